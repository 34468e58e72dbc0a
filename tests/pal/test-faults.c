/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault-calls.h"
#include "spawn-support.h"
#include "support.h"

/*
 * S105, S106: every call of a spawn is made to fail once; S48, S21: nothing of
 * the attempt is left in the parent; S50: the child never allocates.
 */

/* Each failing call with the stages that it can show as. */
static const struct {
	const char *call;
	int stages[3];
} expected[] = {
	{"calloc", {PAL_STAGE_MEMORY, PAL_STAGE_CLONE}}, /* CLONE: for the parent-death thread */
	{"malloc", {PAL_STAGE_MEMORY}},
	{"reallocarray", {PAL_STAGE_MEMORY}},
	{"strdup", {PAL_STAGE_MEMORY}},
	{"asprintf", {PAL_STAGE_MEMORY}},
	{"mmap", {PAL_STAGE_STACK}},
	{"mprotect", {PAL_STAGE_STACK}},
	{"open", {PAL_STAGE_STDIO}},
	{"pipe2", {PAL_STAGE_STDIO}},
	{"fcntl", {PAL_STAGE_STDIO, PAL_STAGE_CLONE}},
	{"eventfd", {PAL_STAGE_CLONE}},
	{"clone", {PAL_STAGE_CLONE}},
	{"fork", {PAL_STAGE_CLONE}},
	{"pthread_create", {PAL_STAGE_CLONE}},
	{"sys_write", {PAL_STAGE_CLONE}},
	{"sys_pidfd_open", {PAL_STAGE_CLONE}},
	{"sys_rt_sigaction", {PAL_STAGE_SIGNALS}},
	{"sys_prctl", {PAL_STAGE_PARENT_DEATH}},
	{"sys_fcntl", {PAL_STAGE_FDS, PAL_STAGE_STDIO}},
	{"sys_dup3", {PAL_STAGE_FDS, PAL_STAGE_STDIO}},
	{"sys_close_range", {PAL_STAGE_CLOSE_OTHERS}},
	{"sys_chdir", {PAL_STAGE_CHDIR}},
	{"sys_prlimit64", {PAL_STAGE_RLIMIT}},
	{"sys_execve", {PAL_STAGE_EXEC}},
};

static bool stage_fits(const char *call, int stage)
{
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		if (!strcmp(expected[i].call, call))
			for (int j = 0; j < 3; j++)
				if (expected[i].stages[j] == stage)
					return true;
	return false;
}

/* Shared mappings: the stack or report page of a child would be one. */
static int shared_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;

	while (fgets(line, sizeof line, maps))
		count += !!strstr(line, "s 0");
	fclose(maps);
	return count;
}

struct state {
	sigset_t mask;
	void (*handlers[65])(int);
	int mappings;
	size_t fds;
};

static void take_state(struct state *state)
{
	memset(state, 0, sizeof *state);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &state->mask), 0);
	for (int number = 1; number < 65; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0)
			state->handlers[number] = action.sa_handler;
	}
	state->mappings = shared_mappings();
	state->fds = support_open_fds();
}

/* Everything that a builder can do here, and a standard stream that is closed in the parent. */
static struct pal_builder *everything(int mode)
{
	struct pal_builder *builder = pal_builder_new("true");

	pal_builder_vfork(builder, mode == MODE_VFORK);
	pal_builder_arg(builder, "argument");
	pal_builder_env(builder, "K", "v");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_NULL);
	pal_builder_dup_fd(builder, 2, 70);
	pal_builder_dup_fd(builder, 70, 71); /* 70 and 71 are open here, and are a cycle */
	pal_builder_dup_fd(builder, 71, 70);
	pal_builder_close_fd(builder, 50);
	pal_builder_cwd(builder, "/");
	pal_builder_rlimit(builder, RLIMIT_CORE, 0, 0);
	pal_builder_parent_death(builder, SIGKILL);
	return builder;
}

static int return_zero(void *arg)
{
	(void)arg;
	return 0;
}

enum {
	SPAWN_VFORK,
	SPAWN_COPY,
	FORK,
	KINDS
};

static int start(
	int kind, struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
{
	if (kind == FORK)
		return pal_fork(builder, return_zero, NULL, ret, error);
	return pal_builder_spawn(builder, ret, error);
}

/* What an attempt ends with; anything else is a failed assertion. */
enum {
	FAILED_WELL = 10,
	NO_CALL_LEFT
};

static void check_failure(int r, const struct pal_error *error, const char *call, int code)
{
	ck_assert_msg(r == code && error->code == code, "%s: %d instead of %d", call, r, code);
	ck_assert_msg(
		stage_fits(call, error->stage), "%s shows as \"%s\"", call, pal_error_text(error));
}

/* In a process of its own, so that each starts from the same state. */
static int attempt(int kind, int n)
{
	struct pal_builder *builder = everything(kind == SPAWN_COPY ? MODE_COPY : MODE_VFORK);
	struct pal_error error = {0};
	struct state before, after;
	struct pal_child *child = NULL;
	char call[32] = "";
	int r;

	fault_arm(0); /* its page is there before the comparison starts */
	take_state(&before);
	fault_arm(n);
	r = start(kind, builder, &child, &error);
	if (fault_fired())
		snprintf(call, sizeof call, "%s", fault_fired());
	ck_assert_int_eq(fault_stray_allocations(), 0);
	if (*call)
		check_failure(r, &error, call, -fault_errno());
	fault_arm(0);
	pal_child_free(child);
	take_state(&after);
	ck_assert_mem_eq(&before.mask, &after.mask, sizeof before.mask);
	ck_assert_mem_eq(before.handlers, after.handlers, sizeof before.handlers);
	ck_assert_uint_eq(before.fds, after.fds);
	ck_assert_int_eq(before.mappings, after.mappings);
	ck_assert_int_eq(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT), -1);
	ck_assert_int_eq(errno, ECHILD);
	/* S106: a later one works */
	ck_assert_ok(start(kind, builder, &child, &error), &error);
	pal_child_free(child);
	pal_builder_free(builder);
	return *call ? FAILED_WELL : NO_CALL_LEFT;
}

static int in_own_process(int kind, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) /* ThreadSanitizer's _exit would take a second each time */
		syscall(SYS_exit_group, attempt(kind, n));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) >= FAILED_WELL,
		"attempt %d: status %#x", n, status);
	return WEXITSTATUS(status);
}

static void prepare(void)
{
	signal(SIGUSR1, SIG_IGN);
	ck_assert_int_eq(dup3(2, 70, O_CLOEXEC), 70);
	ck_assert_int_eq(dup3(1, 71, O_CLOEXEC), 71);
	ck_assert_int_eq(fcntl(0, F_DUPFD_CLOEXEC, 72), 72);
	close(0);
}

static void restore(void)
{
	dup2(72, 0);
	for (int fd = 70; fd <= 72; fd++)
		close(fd);
	fault_end();
}

/* There are more calls than this: else the wrappers are not in place. */
#define AT_LEAST 20

START_TEST(every_call_of_a_spawn_may_fail)
{
	int n = 1;

	prepare();
	while (in_own_process(_i, n) == FAILED_WELL)
		n++;
	ck_assert_int_gt(n, 62 + AT_LEAST); /* sixty-two dispositions */
	restore();
}
END_TEST

static void fill(struct pal_builder *builder)
{
	pal_builder_arg0(builder, "name");
	for (int i = 0; i < 20; i++)
		pal_builder_arg(builder, "argument");
	pal_builder_env(builder, "A", "1");
	pal_builder_env(builder, "A", "2");
	pal_builder_env_remove(builder, "B");
	pal_builder_dup_fd(builder, 1, 70);
	pal_builder_close_fd(builder, 50);
	pal_builder_cwd(builder, "/");
}

START_TEST(memory_may_run_out_in_every_setter)
{
	for (int n = 1;; n++) {
		struct pal_error error = {0};
		struct pal_builder *builder;
		struct pal_child *child;
		bool fired;

		fault_arm(n);
		builder = pal_builder_new("/bin/true");
		fill(builder);
		fired = fault_fired();
		fault_arm(0);
		if (!fired) {
			pal_builder_free(builder);
			ck_assert_int_gt(n, AT_LEAST);
			fault_end();
			break;
		}
		ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ENOMEM);
		ck_assert_int_eq(error.stage, PAL_STAGE_MEMORY);
		pal_builder_free(builder);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/faults");
	TCase *calls = support_tcase(suite, "calls");

	tcase_add_loop_test(calls, every_call_of_a_spawn_may_fail, 0, KINDS);
	tcase_add_test(calls, memory_may_run_out_in_every_setter);
	return suite;
}
SUPPORT_MAIN(make_suite)
