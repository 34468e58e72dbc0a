/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>

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
	{"fork", {PAL_STAGE_CLONE, PAL_STAGE_NAMESPACE}}, /* by process 1 */
	{"socketpair", {PAL_STAGE_CLONE}},
	{"recvmsg", {PAL_STAGE_CLONE}},
	{"pthread_create", {PAL_STAGE_CLONE}},
	{"write", {PAL_STAGE_CLONE}},
	{"sys_pidfd_open", {PAL_STAGE_CLONE}},
	{"sys_rt_sigaction", {PAL_STAGE_SIGNALS, PAL_STAGE_NAMESPACE}},
	{"sys_prctl", {PAL_STAGE_PARENT_DEATH, PAL_STAGE_NAMESPACE}},
	{"sys_fcntl", {PAL_STAGE_FDS, PAL_STAGE_STDIO}},
	{"sys_dup3", {PAL_STAGE_FDS, PAL_STAGE_STDIO}},
	{"sys_close_range", {PAL_STAGE_CLOSE_OTHERS}},
	{"sys_chdir", {PAL_STAGE_CHDIR}},
	{"sys_prlimit64", {PAL_STAGE_RLIMIT}},
	{"sys_execve", {PAL_STAGE_EXEC}},
	{"sys_unshare", {PAL_STAGE_NAMESPACE}},
	{"sys_setns", {PAL_STAGE_NAMESPACE}},
	{"sys_clone3", {PAL_STAGE_NAMESPACE, PAL_STAGE_ID_MAP}},
	{"sys_wait4", {PAL_STAGE_ID_MAP}},
	{"sys_pipe2", {PAL_STAGE_ID_MAP}},
	{"sys_read", {PAL_STAGE_ID_MAP}},
	{"sys_write", {PAL_STAGE_ID_MAP, PAL_STAGE_NAMESPACE, PAL_STAGE_CLONE}},
	{"sys_openat", {PAL_STAGE_ID_MAP, PAL_STAGE_NAMESPACE, PAL_STAGE_MOUNT}},
	{"sys_sendmsg", {PAL_STAGE_CLONE}},
	{"sys_setresuid", {PAL_STAGE_UID}},
	{"sys_setresgid", {PAL_STAGE_GID}},
	{"sys_setgroups", {PAL_STAGE_GROUPS}},
	{"sys_sethostname", {PAL_STAGE_HOSTNAME}},
	{"sys_socket", {PAL_STAGE_LOOPBACK}},
	{"sys_ioctl", {PAL_STAGE_LOOPBACK}},
	{"sys_capset", {PAL_STAGE_NAMESPACE}},
	{"sys_mount", {PAL_STAGE_MOUNT}},
	{"sys_open_tree", {PAL_STAGE_MOUNT}},
	{"sys_move_mount", {PAL_STAGE_MOUNT}},
	{"sys_mount_setattr", {PAL_STAGE_MOUNT}},
	{"sys_fsopen", {PAL_STAGE_MOUNT}},
	{"sys_fsconfig", {PAL_STAGE_MOUNT}},
	{"sys_fsmount", {PAL_STAGE_MOUNT}},
	{"sys_openat2", {PAL_STAGE_MOUNT}},
	{"sys_mkdirat", {PAL_STAGE_MOUNT}},
	{"sys_symlinkat", {PAL_STAGE_MOUNT}},
	{"sys_newfstatat", {PAL_STAGE_MOUNT}},
	{"sys_fchdir", {PAL_STAGE_MOUNT}},
	{"sys_pivot_root", {PAL_STAGE_MOUNT}},
	{"sys_umount2", {PAL_STAGE_MOUNT}},
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

/* Every namespace, a helper for the maps, a process 1 or none, and every kind of mount. */
static struct pal_builder *isolated(int mode, bool init)
{
	static const char *const folders[] = {"/usr", "/bin", "/lib", "/lib64"};
	struct pal_builder *builder = everything(mode);

	pal_builder_namespaces(builder, 0xff);
	pal_builder_map_uid(builder, 0, 100000, 1000);
	pal_builder_map_gid(builder, 0, 100000, 1000);
	pal_builder_pid_init(builder, init);
	pal_builder_hostname(builder, "sandbox");
	pal_builder_loopback(builder, true);
	pal_builder_forbid_user_namespaces(builder, true);
	pal_builder_private_root(builder, true);
	pal_builder_tmpfs(builder, "/tmp", 65536, 01777, 0);
	for (size_t i = 0; i < 4; i++)
		pal_builder_bind(builder, folders[i], folders[i], PAL_MOUNT_OPTIONAL);
	pal_builder_bind(builder, "/etc/passwd", "/tmp/deep/file", PAL_MOUNT_READ_ONLY);
	pal_builder_mount_proc(builder, "/proc");
	pal_builder_mount_dev(builder, "/dev");
	pal_builder_symlink(builder, "deep", "/tmp/link");
	pal_builder_remount_read_only(builder, "/usr", false);
	pal_builder_hide(builder, "/tmp/deep/file");
	pal_builder_hide(builder, "/tmp/deep");
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

/* Process 1 of a pid namespace, which the program is no part of, closes what it does not need. */
static bool is_harmless(const char *call)
{
	return !strcmp(call, "sys_close_range");
}

/* In a process of its own, so that each starts from the same state. */
static int attempt(struct pal_builder *builder, int kind, int n)
{
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
	if (*call && !(r >= 0 && is_harmless(call)))
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

static int in_own_process(struct pal_builder *builder, int kind, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) /* ThreadSanitizer's _exit would take a second each time */
		syscall(SYS_exit_group, attempt(builder, kind, n));
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
	struct pal_builder *builder = everything(_i == SPAWN_COPY ? MODE_COPY : MODE_VFORK);
	int n = 1;

	prepare();
	while (in_own_process(builder, _i, n) == FAILED_WELL)
		n++;
	pal_builder_free(builder);
	ck_assert_int_gt(n, 62 + AT_LEAST); /* sixty-two dispositions */
	restore();
}
END_TEST

START_TEST(every_call_on_the_way_into_namespaces_may_fail)
{
	struct pal_builder *builder;
	int n = 1;

	if (geteuid() != 0)
		support_skip("needs root");
	builder = isolated(MODE_VFORK, _i == SPAWN_COPY);
	prepare();
	while (in_own_process(builder, _i, n) == FAILED_WELL)
		n++;
	pal_builder_free(builder);
	ck_assert_int_gt(n, 62 + 150);
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
	tcase_add_loop_test(calls, every_call_on_the_way_into_namespaces_may_fail, 0, KINDS);
	tcase_add_test(calls, memory_may_run_out_in_every_setter);
	return suite;
}
SUPPORT_MAIN(make_suite)
