/* SPDX-License-Identifier: MIT */
#include "process-support.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn-support.h"
#include "support.h"

static const char *const files[] = {"/proc/self/status", "/proc/self/stat"};

void process_need_root(void)
{
	static const gid_t some_groups[] = {7, 8, 9};

	if (geteuid() != 0)
		support_skip("needs root");
	ck_assert_int_eq(setgroups(3, some_groups), 0);
}

struct pal_builder *process_builder(int kind)
{
	struct pal_builder *builder = pal_builder_new("/bin/cat");

	ck_assert_ptr_nonnull(builder);
	pal_builder_arg(builder, files[0]);
	pal_builder_arg(builder, files[1]);
	pal_builder_vfork(builder, kind == KIND_VFORK);
	return builder;
}

static int show_files(void *arg)
{
	char buffer[4096];
	ssize_t got;

	(void)arg;
	for (int i = 0; i < 2; i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return 1;
		while ((got = read(fd, buffer, sizeof buffer)) > 0)
			if (write(1, buffer, (size_t)got) != got)
				return 2;
		close(fd);
	}
	return 0;
}

static int start(
	struct pal_builder *builder, int kind, struct pal_child **ret, struct pal_error *error)
{
	if (kind == KIND_FORK)
		return pal_fork(builder, show_files, NULL, ret, error);
	return pal_builder_spawn(builder, ret, error);
}

const char *process_text(struct pal_builder *builder, int kind)
{
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child;
	const char *text;

	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	ck_assert_ok(start(builder, kind, &child, &error), &error);
	pal_builder_free(builder);
	text = read_to_end(pal_child_stdout(child));
	status = wait_take(child);
	ck_assert(!status.signaled);
	ck_assert_int_eq(status.code, 0);
	return text;
}

const char *process_line(const char *text, const char *name)
{
	static char line[4096];
	char wanted[64], *to = line;
	const char *from;

	snprintf(wanted, sizeof wanted, "\n%s:", name);
	from = strstr(text, wanted);
	ck_assert_msg(from, "no line \"%s\"", name);
	for (from += strlen(wanted); *from != '\n'; from++) {
		if (*from != '\t' && *from != ' ')
			*to++ = *from;
		else if (to > line && to[-1] != ' ')
			*to++ = ' ';
	}
	*to = 0;
	if (to > line && to[-1] == ' ')
		to[-1] = 0;
	return line;
}

long process_stat(const char *text, int field)
{
	const char *at = strrchr(text, ')');
	char *end;
	long value;

	ck_assert_ptr_nonnull(at);
	if (field == STAT_PID) {
		while (at > text && at[-1] != '\n')
			at--;
		return strtol(at, NULL, 10);
	}
	for (int i = 2; i < field; i++)
		at = strchr(at, ' ') + 1;
	value = strtol(at, &end, 10);
	ck_assert_ptr_ne(end, at);
	return value;
}

void assert_refused(struct pal_builder *builder, int kind, int code, int stage, int index)
{
	struct pal_child *child = (void *)-1;
	struct pal_error error = {0};
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pal_builder_stdout(builder, PAL_STDIO_FD(ends[1]));
	ck_assert_int_eq(start(builder, kind, &child, &error), code);
	ck_assert_ptr_eq(child, (void *)-1);
	ck_assert_int_eq(error.code, code);
	ck_assert_str_eq(pal_stage_name(error.stage), pal_stage_name(stage));
	ck_assert_int_eq(error.index, index);
	pal_builder_free(builder);
	close(ends[1]);
	ck_assert_str_eq(read_to_end(ends[0]), "");
	close(ends[0]);
}

static void become(uid_t id)
{
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(id, id, id), 0);
	ck_assert_int_eq(setresuid(id, id, id), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* /proc/self is ours again */
}

void run_as(uid_t id, void (*fn)(int arg), int arg)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (id)
			become(id);
		fn(arg);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "status %#x", (unsigned)status);
}
