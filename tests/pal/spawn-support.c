/* SPDX-License-Identifier: MIT */
#include "spawn-support.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "support.h"

struct pal_builder *builder_for(const char *helper, int mode)
{
	struct pal_builder *builder = pal_builder_new(support_helper(helper));

	ck_assert_ptr_nonnull(builder);
	pal_builder_vfork(builder, mode == MODE_VFORK);
	return builder;
}

struct pal_child *spawn_take(struct pal_builder *builder)
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

const char *read_to_end(int fd)
{
	static char text[1 << 16];
	size_t used = 0;
	ssize_t got;

	while ((got = read(fd, text + used, sizeof text - 1 - used)) > 0)
		used += (size_t)got;
	ck_assert_int_eq(got, 0);
	text[used] = 0;
	return text;
}

struct pal_status wait_take(struct pal_child *child)
{
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	pal_child_free(child);
	return status;
}

const char *output_of(struct pal_builder *builder)
{
	struct pal_child *child;
	const char *text;
	struct pal_status status;

	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	child = spawn_take(builder);
	text = read_to_end(pal_child_stdout(child));
	status = wait_take(child);
	ck_assert(!status.signaled);
	ck_assert_int_eq(status.code, 0);
	return text;
}

int new_file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

int new_file_at(int number)
{
	int fd = new_file();

	if (fd != number) {
		ck_assert_int_eq(dup3(fd, number, O_CLOEXEC), number);
		close(fd);
	}
	return number;
}

bool shows(const char *text, int number, int fd)
{
	char line[128], first[128];
	struct stat info;

	ck_assert_int_eq(fstat(fd, &info), 0);
	snprintf(line, sizeof line, "\n%d %lx:%lx\n", number, (unsigned long)info.st_dev,
		(unsigned long)info.st_ino);
	snprintf(first, sizeof first, "%s", line + 1);
	return strstr(text, line) || !strncmp(text, first, strlen(first));
}

int count_lines(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

void kill_and_reap(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

pid_t fork_with_number(pid_t wanted)
{
	for (int i = 0; i < 100; i++) {
		FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "we");
		pid_t pid;

		if (!last)
			return -1;
		fprintf(last, "%d", (int)wanted - 1);
		fclose(last);
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			for (;;)
				pause();
		if (pid == wanted)
			return pid;
		kill_and_reap(pid);
	}
	return -1;
}

void filter_calls(unsigned number, unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = PAL_ARRAY_LENGTH(code), .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

struct pal_builder *builder_saying(const char *what, size_t count)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);
	char number[24];

	snprintf(number, sizeof number, "%zu", count);
	pal_builder_arg(builder, what);
	pal_builder_arg(builder, number);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	return builder;
}

void check_said(const char *text, size_t size)
{
	size_t i = 0;

	while (i < size && text[i] == (char)('a' + i % 26)) /* an assertion each would take long */
		i++;
	ck_assert_msg(i == size, "byte %zu of %zu is %#x", i, size, (unsigned)text[i]);
	ck_assert_int_eq(text[size], 0);
}
