/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/root-priv.h>

#include "fault-calls.h"
#include "sandboxed.h"

/* As test-faults.c, for children in namespaces: whatever fails, nothing runs with less than was asked. */

/* The stages that a call can show as there. Memory runs out in test-faults.c. */
static const struct {
	const char *call;
	int stages[5];
} expected[] = {
	{"mmap", {PAL_STAGE_STACK}},
	{"mprotect", {PAL_STAGE_STACK}},
	{"fcntl", {PAL_STAGE_CLONE, PAL_STAGE_STDIO}},
	{"eventfd", {PAL_STAGE_CLONE}},
	{"socketpair", {PAL_STAGE_CLONE}},
	{"recvmsg", {PAL_STAGE_CLONE}},
	{"clone", {PAL_STAGE_CLONE, PAL_STAGE_ID_MAP}}, /* the latter by who writes the maps */
	{"fork", {PAL_STAGE_CLONE, PAL_STAGE_NAMESPACE}}, /* the latter by process 1 */
	{"pthread_create", {PAL_STAGE_CLONE}},
	{"write", {PAL_STAGE_CLONE}},
	{"sys_pidfd_open", {PAL_STAGE_CLONE, PAL_STAGE_MOUNT}},
	{"sys_rt_sigaction", {PAL_STAGE_SIGNALS, PAL_STAGE_NAMESPACE}},
	{"sys_rt_sigprocmask", {PAL_STAGE_SIGNALS}},
	{"sys_prctl", {PAL_STAGE_PARENT_DEATH, PAL_STAGE_NAMESPACE, PAL_STAGE_ID_MAP}},
	{"sys_fcntl", {PAL_STAGE_FDS, PAL_STAGE_STDIO, PAL_STAGE_MOUNT}},
	{"sys_dup3", {PAL_STAGE_FDS, PAL_STAGE_STDIO}},
	{"sys_close_range", {PAL_STAGE_CLOSE_OTHERS}},
	{"sys_chdir", {PAL_STAGE_CHDIR}},
	{"sys_execve", {PAL_STAGE_EXEC}},
	{"sys_unshare", {PAL_STAGE_NAMESPACE, PAL_STAGE_ID_MAP}},
	{"sys_setns", {PAL_STAGE_NAMESPACE, PAL_STAGE_MOUNT}},
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
	{"sys_openat2", {PAL_STAGE_MOUNT, PAL_STAGE_CHDIR}},
	{"sys_statx", {PAL_STAGE_MOUNT}},
	{"sys_getcwd", {PAL_STAGE_CHDIR}},
	{"sys_capget", {PAL_STAGE_NAMESPACE}},
	{"sys_getresuid", {PAL_STAGE_UID}},
	{"sys_getresgid", {PAL_STAGE_GID}},
	{"sys_getgroups", {PAL_STAGE_GROUPS}},
	{"sys_fstatfs", {PAL_STAGE_ID_MAP}},
	{"sys_mkdirat", {PAL_STAGE_MOUNT}},
	{"sys_symlinkat", {PAL_STAGE_MOUNT}},
	{"sys_newfstatat", {PAL_STAGE_MOUNT}},
	{"sys_fchdir", {PAL_STAGE_MOUNT, PAL_STAGE_CHDIR}},
	{"sys_pivot_root", {PAL_STAGE_MOUNT}},
	{"sys_umount2", {PAL_STAGE_MOUNT}},
};

static bool stage_fits(const char *call, int stage)
{
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		if (!strcmp(expected[i].call, call))
			for (int j = 0; j < 5; j++)
				if (expected[i].stages[j] == stage)
					return true;
	return false;
}

enum {
	PROGRAM, /* process 1 itself */
	PROGRAM_OF_INIT,
	PROGRAM_ALONE, /* with its own ids, so that it needs nobody outside */
	PROGRAM_ALONE_OF_INIT,
	PROGRAM_JOINING, /* with something to do before it is in its namespaces */
	FUNCTION,        /* always of an init, and never born in there */
	PROGRAM_SHARING, /* without those namespaces that forbid to share memory */
	PROGRAM_IN_USER,  /* the same, in a user namespace that is there already */
	PROGRAM_OF_HOST, /* the same, without a private root */
	KINDS
};

static bool is_alone(int kind)
{
	return kind == PROGRAM_ALONE || kind == PROGRAM_ALONE_OF_INIT;
}

static bool is_divided(int kind)
{
	return kind == PROGRAM_JOINING || kind == FUNCTION;
}

static bool has_init(int kind)
{
	return kind == PROGRAM_OF_INIT || kind == PROGRAM_ALONE_OF_INIT || kind == FUNCTION;
}

/* The calls whose failure must have been seen, to know that this goes where it should. */
static const char *const by_all[] = {"sys_unshare", "sys_sethostname", "sys_ioctl", "sys_mount",
	"sys_open_tree", "sys_move_mount", "sys_mount_setattr", "sys_fsopen", "sys_fsconfig",
	"sys_fsmount", "sys_openat2", "sys_mkdirat", "sys_symlinkat", "sys_newfstatat",
	"sys_fchdir", "sys_pivot_root", "sys_umount2", "sys_setns", "sys_statx", "sys_pidfd_open",
	NULL};
static const char *const by_divided[] = {
	"sys_clone3", "sys_wait4", "sys_pipe2", "sys_sendmsg", "recvmsg", "socketpair", NULL};
static const char *const by_host[] = {"sys_getcwd", "sys_fchdir", "sys_openat2", "sys_move_mount",
	"sys_mount_setattr", "sys_open_tree", NULL};
static const char *const by_user_joined[] = {"sys_setns", "sys_capget", "sys_capset", "sys_prctl",
	"sys_setresuid", "sys_setresgid", "sys_getresuid", "sys_getresgid", NULL};
static const char *const by_born[] = {"clone", "sys_write", "sys_prctl", "sys_capset", NULL};
static const char *const by_mapped[] = {"sys_read", "sys_write", "sys_setresuid", "sys_setresgid",
	"sys_setgroups", "sys_getgroups", "sys_capset", "sys_prctl", NULL};
static const char *const not_by_alone[] = {
	"sys_wait4", "sys_pipe2", "sys_read", "socketpair", "recvmsg", NULL};

static void add_mounts(struct pal_builder *builder)
{
	static const char *const folders[] = {"/usr", "/bin", "/lib", "/lib64"};

	pal_builder_private_root(builder, true);
	pal_builder_tmpfs(builder, "/tmp", 65536, 01777, 0);
	for (size_t i = 0; i < 4; i++)
		pal_builder_bind(builder, folders[i], folders[i], PAL_MOUNT_OPTIONAL);
	pal_builder_bind(builder, "/etc/passwd", "/tmp/deep/file", PAL_MOUNT_READ_ONLY);
	pal_builder_mount_dev(builder, "/dev");
	pal_builder_symlink(builder, "deep", "/tmp/link");
	pal_builder_remount_read_only(builder, "/usr", false);
	pal_builder_remount_read_only(builder, "/tmp/deep", false);
	pal_builder_hide(builder, "/tmp/deep/file");
	pal_builder_hide(builder, "/tmp/deep");
	pal_builder_tmpfs(builder, "/late", 0, 0755, PAL_MOUNT_READ_ONLY);
}

static int ipc_fd = -1;

static unsigned namespaces_of(int kind)
{
	unsigned all = 0xff;

	if (kind >= PROGRAM_SHARING)
		return PAL_NS_PID;
	return kind == PROGRAM_JOINING ? all & ~PAL_NS_IPC : all;
}

/* The working directory is kept. */
static void add_mounts_to_host(struct pal_builder *builder)
{
	pal_builder_tmpfs(builder, "/mnt", 65536, 01777, 0);
	pal_builder_hide(builder, "/etc");
	pal_builder_remount_read_only(builder, "/usr", true);
	pal__builder_read_only_but(builder, (const char *const[]){"/tmp", "/var/tmp", NULL});
}

/* With the same ids. */
static int joined = -1;

static struct pal_child *hold_namespace(void)
{
	struct pal_builder *builder = pal_builder_new("/bin/cat");
	struct pal_error error = {0};
	struct pal_child *child;
	char path[64];

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_namespaces(builder, PAL_NS_USER);
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pal_child_pid(child));
	joined = open(path, O_RDONLY | O_CLOEXEC);
	return child;
}

static struct pal_builder *isolated(int kind)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_hostname(builder, "sandbox");
	pal_builder_loopback(builder, true);
	pal_builder_parent_death(builder, SIGKILL);
	if (kind != PROGRAM_OF_HOST)
		pal_builder_cwd(builder, "/");
	if (kind == PROGRAM_IN_USER)
		pal_builder_join_namespace(builder, PAL_NS_USER, joined);
	pal_builder_namespaces(builder, namespaces_of(kind));
	if (kind == PROGRAM_JOINING)
		pal_builder_join_namespace(builder, PAL_NS_IPC, ipc_fd);
	if (kind < PROGRAM_SHARING) {
		pal_builder_pid_init(builder, has_init(kind));
		pal_builder_forbid_user_namespaces(builder, true);
		pal_builder_mount_proc(builder, "/proc");
	}
	if (is_alone(kind))
		pal_builder_deny_setgroups(builder, true);
	else if (kind < PROGRAM_SHARING) {
		pal_builder_map_uid(builder, 0, 100000, 1000);
		pal_builder_map_gid(builder, 0, 100000, 1000);
	}
	if (kind == PROGRAM_OF_HOST)
		add_mounts_to_host(builder);
	else
		add_mounts(builder);
	return builder;
}

static int start(
	int kind, struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
{
	if (kind == FUNCTION)
		return pal_fork(builder, support_return_zero, NULL, ret, error);
	return pal_builder_spawn(builder, ret, error);
}

/* Process 1, which the program is no part of, closes what it does not need. */
static bool is_harmless(int kind, const char *call)
{
	return has_init(kind) && !strcmp(call, "sys_close_range");
}

static void check_failure(int kind, int r, const struct pal_error *error, const char *call)
{
	if (r >= 0 && is_harmless(kind, call))
		return;
	/* a helper that has not been waited for may be late, and tell that there is nobody any more */
	if (r == -ESRCH && !strcmp(call, "sys_wait4"))
		return;
	ck_assert_msg(r == -fault_errno() && error->code == r, "%s: %d instead of %d", call, r,
		-fault_errno());
	ck_assert_msg(
		stage_fits(call, error->stage), "%s shows as \"%s\"", call, pal_error_text(error));
}

/* In a process of its own. Whether a call has failed. */
static bool attempt(int kind, const char *name, int n)
{
	struct pal_builder *builder = isolated(kind);
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	char call[32] = "";
	size_t fds;
	int r;

	fault_arm(0); /* its page is there before the comparison starts */
	fds = support_open_fds();
	fault_arm_call(name, n);
	r = start(kind, builder, &child, &error);
	if (fault_fired())
		snprintf(call, sizeof call, "%s", fault_fired());
	if (*call)
		check_failure(kind, r, &error, call);
	else
		ck_assert_ok(r, &error);
	fault_arm(0);
	pal_child_free(child);
	ck_assert_uint_eq(fds, support_open_fds());
	ck_assert_int_eq(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT), -1);
	ck_assert_int_eq(errno, ECHILD);
	pal_builder_free(builder);
	return *call;
}

static bool in_own_process(int kind, const char *name, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) /* ThreadSanitizer's _exit would take a second each time */
		syscall(SYS_exit_group, attempt(kind, name, n) ? 10 : 11);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) >= 10, "%s %d: status %#x", name, n,
		status);
	return WEXITSTATUS(status) == 10;
}

static bool is_in(const char *call, const char *const *calls)
{
	while (*calls && strcmp(*calls, call) != 0)
		calls++;
	return *calls;
}

static bool is_expected(int kind, const char *call)
{
	if (kind == PROGRAM_OF_HOST)
		return is_in(call, by_host);
	if (is_in(call, by_all) || (is_divided(kind) && is_in(call, by_divided)))
		return true;
	if (kind >= PROGRAM_SHARING)
		return kind == PROGRAM_IN_USER && is_in(call, by_user_joined);
	return is_in(call, is_alone(kind) ? by_born : by_mapped);
}

START_TEST(every_call_on_the_way_into_namespaces_may_fail)
{
	struct pal_child *holder = NULL;

	if (geteuid() != 0)
		support_skip("needs root");
	if (_i == FUNCTION)
		needs_user_namespace_of_fork();
	ipc_fd = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(ipc_fd, 0);
	if (_i == PROGRAM_IN_USER)
		holder = hold_namespace();
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		const char *call = expected[i].call;
		int n = 1;

		while (in_own_process(_i, call, n))
			n++;
		if (is_expected(_i, call))
			ck_assert_msg(n > 1, "%s was never called", call);
		if (is_alone(_i) && is_in(call, not_by_alone))
			ck_assert_msg(n == 1, "%s was called", call);
	}
	close(ipc_fd);
	if (holder)
		close(joined);
	pal_child_free(holder);
	fault_end();
}
END_TEST

START_TEST(memory_may_run_out_in_every_setter)
{
	for (int n = 1;; n++) {
		struct pal_error error = {0};
		struct pal_builder *builder;
		struct pal_child *child;
		bool fired;

		fault_arm(n);
		builder = isolated(PROGRAM);
		fired = fault_fired();
		fault_arm(0);
		if (fired)
			ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ENOMEM);
		if (fired)
			ck_assert_int_eq(error.stage, PAL_STAGE_MEMORY);
		pal_builder_free(builder);
		if (!fired) {
			ck_assert_int_gt(n, 40);
			break;
		}
	}
	fault_end();
}
END_TEST

/* ---- who writes the maps ---- */

static struct pal_builder *mapped(void)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_namespaces(builder, PAL_NS_USER);
	pal_builder_deny_setgroups(builder, true);
	pal_builder_keep_groups(builder);
	pal_builder_map_uid(builder, 0, 100000, 1000);
	pal_builder_map_gid(builder, 0, 100000, 1000);
	return builder;
}

/* There another thread may close it, or put something else on its number. */
START_TEST(nothing_is_opened_in_our_table_on_the_way)
{
	pid_t self = getpid();
	struct pal_builder *builder;
	struct pal_error error = {0};
	struct pal_child *child;

	if (geteuid() != 0)
		support_skip("needs root");
	if (syscall(SYS_kcmp, self, self, KCMP_FILES, 0L, 0L) != 0)
		support_skip("no kcmp(2)");
	fault_arm(0);
	builder = mapped();
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	ck_assert_int_eq(fault_stray_opens(), 0);
	pal_child_free(child);
	pal_builder_free(builder);
	fault_end();
}
END_TEST

/* setgroups and both maps: what has not come to where it was meant for is missed. */
START_TEST(a_child_looks_whether_it_has_been_mapped)
{
	struct pal_builder *builder;
	struct pal_error error = {0};
	struct pal_child *child;

	if (geteuid() != 0)
		support_skip("needs root");
	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer has the maps written in another way");
	fault_arm(0);
	builder = mapped();
	fault_arm_lie("sys_write", _i);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ECHILD);
	ck_assert_int_eq(error.stage, PAL_STAGE_ID_MAP);
	ck_assert_str_eq(fault_fired(), "sys_write");
	pal_builder_free(builder);
	fault_end();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/namespace-faults");
	TCase *calls = support_tcase(suite, "calls");

	tcase_add_loop_test(calls, every_call_on_the_way_into_namespaces_may_fail, 0, KINDS);
	tcase_add_test(calls, nothing_is_opened_in_our_table_on_the_way);
	tcase_add_loop_test(calls, a_child_looks_whether_it_has_been_mapped, 1, 4);
	tcase_add_test(calls, memory_may_run_out_in_every_setter);
	return suite;
}
SUPPORT_MAIN(make_suite)
