/* SPDX-License-Identifier: MIT */
#include "sandboxed.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

void become_(const char *test, int user)
{
	if (user == USER_ROOT && geteuid() != 0)
		support_skip_(test, "needs root");
	if (user == USER_ROOT || geteuid() != 0)
		return;
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* /proc/self is ours again */
}

static int ending(struct pal_child *child)
{
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(30000), &status, &error), &error);
	pal_child_free(child);
	return status.signaled ? DIED + status.code : status.code;
}

int outcome(struct pal_builder *builder, int (*attempt)(void *arg), void *arg)
{
	struct pal_builder *plain = builder ? NULL : pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_fork(builder ? builder : plain, attempt, arg, &child, &error), &error);
	pal_builder_free(plain);
	return ending(child);
}

int outcome_under(const struct pal_profile *profile, int (*attempt)(void *arg), const void *arg)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	int code;

	if (profile)
		pal_builder_sandbox(builder, profile);
	code = outcome(builder, attempt, (void *)arg);
	pal_builder_free(builder);
	return code;
}

int outcome_of_program(struct pal_builder *builder)
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	return ending(child);
}

int refusal(struct pal_builder *builder, int stage)
{
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	int code = pal_builder_spawn(builder, &child, &error);

	ck_assert_int_lt(code, 0);
	ck_assert_ptr_null(child);
	ck_assert_int_eq(error.code, code);
	ck_assert_msg(error.stage == stage, "stage %s: %s", pal_stage_name(error.stage),
		pal_error_text(&error));
	return code;
}

int result_of(long value)
{
	return value < 0 ? errno : 0;
}

int opened(int fd)
{
	int result = result_of(fd);

	if (fd >= 0)
		close(fd);
	return result;
}

int attempt_read(void *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;

	if (fd < 0)
		return errno;
	if (read(fd, &byte, 1) < 0 && errno != EISDIR)
		result = errno;
	close(fd);
	return result;
}

int attempt_create(void *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int attempt_run_true(void *unused)
{
	(void)unused;
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

int attempt_socket(void *unused)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int attempt_bind_privileged_port(void *unused)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};

	(void)unused;
	/* others may try the same just now; a filter may refuse to have that said */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
}

/* The kernel chooses the name: several of a test program may run at once. */
int bind_abstract(int type, struct abstract_address *ret)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	*ret = (struct abstract_address){
		.address.sun_family = AF_UNIX, .size = sizeof ret->address};
	ck_assert_int_eq(
		bind(fd, (struct sockaddr *)&ret->address, sizeof ret->address.sun_family), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&ret->address, &ret->size), 0);
	return fd;
}

int attempt_abstract_socket(void *address)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct abstract_address *to = address;

	need(fd >= 0);
	return connect(fd, (const struct sockaddr *)&to->address, to->size) < 0 ? errno : 0;
}

unsigned long long status_number(const char *name)
{
	FILE *file = fopen("/proc/thread-self/status", "re");
	unsigned long long number = ~0ull;
	char line[256];

	if (!file)
		return number;
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			number = strtoull(line + strlen(name) + 1, NULL, 16);
	fclose(file);
	return number;
}

void copy_file(const char *from, const char *to, mode_t mode)
{
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	struct stat status;

	ck_assert_int_ge(in, 0);
	ck_assert_int_ge(out, 0);
	ck_assert_int_eq(fstat(in, &status), 0);
	ck_assert_int_eq(sendfile(out, in, NULL, (size_t)status.st_size), status.st_size);
	ck_assert_int_eq(fchmod(out, mode), 0);
	close(in);
	close(out);
}

void make_folder(char path[static 64])
{
	strcpy(path, "/tmp/procmesh-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chmod(path, 0777), 0);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

void remove_folder(const char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

struct pal_landlock *new_ruleset(void)
{
	struct pal_error error = {0};
	struct pal_landlock *ruleset;

	ck_assert_ok(pal_landlock_new(&ruleset, &error), &error);
	return ruleset;
}

struct pal_seccomp *new_filter(int otherwise)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(otherwise, &filter, &error), &error);
	return filter;
}

void filter_rule(struct pal_seccomp *filter, int action, const char *name)
{
	struct pal_error error = {0};

	ck_assert_ok(pal_seccomp_rule(filter, action, name, &error), &error);
}

struct pal_builder *builder_under(struct pal_seccomp *filter, const char *program)
{
	struct pal_builder *builder = pal_builder_new(program);

	ck_assert_ptr_nonnull(builder);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return builder;
}

struct pal_landlock *ruleset_handling(uint64_t files, uint64_t ports, uint64_t scopes)
{
	struct pal_error error = {0};
	struct pal_landlock *ruleset;

	ck_assert_ok(pal_landlock_new_handling(files, ports, scopes, 0, &ruleset, &error), &error);
	return ruleset;
}

struct pal_builder *builder_in_domain(struct pal_landlock *ruleset)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	ck_assert_ptr_nonnull(builder);
	pal_builder_no_new_privs(builder, true);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
	return builder;
}
