/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/process.h>
#include <pal/sandbox.h>
#include <pal/steps.h>

#include "fault-calls.h"
#include "spawn-support.h"
#include "support.h"

/*
 * S105, S106: every call of a spawn is made to fail once; S48, S21: nothing of
 * the attempt is left in the parent; S50: the child never allocates.
 */

/* Children that cannot be one: in a group, in a session, or of another user, who is never vforked. */
enum {
	IN_GROUP,
	IN_SESSION,
	OF_USER,
	CHILDREN
};
#define GROUP_ (1u << IN_GROUP)
#define SESSION_ (1u << IN_SESSION)
#define USER_ (1u << OF_USER)

/* Each failing call with the stages that it can show as. */
static const struct {
	const char *call;
	int stages[3];
	unsigned children; /* those of which it is surely a call: bits */
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
	{"sys_rt_sigaction", {PAL_STAGE_SIGNALS}, GROUP_ | SESSION_},
	{"sys_rt_sigprocmask", {PAL_STAGE_SIGNALS}, GROUP_ | SESSION_},
	{"sys_openat", {PAL_STAGE_CGROUP, PAL_STAGE_STEP}, SESSION_},
	{"sys_write", {PAL_STAGE_CGROUP}, GROUP_},
	{"sys_fcntl", {PAL_STAGE_FDS, PAL_STAGE_STDIO, PAL_STAGE_STEP}, GROUP_ | SESSION_},
	{"sys_dup3", {PAL_STAGE_FDS, PAL_STAGE_STDIO, PAL_STAGE_STEP}, GROUP_ | SESSION_},
	{"sys_setsid", {PAL_STAGE_SESSION}, SESSION_},
	{"sys_setpgid", {PAL_STAGE_PROCESS_GROUP}, GROUP_},
	{"sys_ioctl", {PAL_STAGE_TERMINAL, PAL_STAGE_STEP}, SESSION_},
	{"sys_setpriority", {PAL_STAGE_NICE}, SESSION_},
	{"sys_sched_setscheduler", {PAL_STAGE_SCHEDULER}, SESSION_},
	{"sys_sched_setparam", {PAL_STAGE_SCHEDULER}, GROUP_},
	{"sys_sched_setaffinity", {PAL_STAGE_AFFINITY}, SESSION_},
	{"sys_prlimit64", {PAL_STAGE_RLIMIT}, GROUP_},
	{"sys_setgroups", {PAL_STAGE_GROUPS}, USER_},
	{"sys_setresgid", {PAL_STAGE_GID}, USER_},
	{"sys_setresuid", {PAL_STAGE_UID}, USER_},
	{"sys_prctl", {PAL_STAGE_PARENT_DEATH, PAL_STAGE_CAPABILITIES}, GROUP_ | USER_},
	{"sys_close_range", {PAL_STAGE_CLOSE_OTHERS, PAL_STAGE_STEP}, GROUP_ | SESSION_},
	{"sys_chdir", {PAL_STAGE_CHDIR, PAL_STAGE_STEP}, GROUP_ | SESSION_},
	{"sys_fchdir", {PAL_STAGE_CHDIR, PAL_STAGE_STEP}, SESSION_},
	{"sys_execve", {PAL_STAGE_EXEC}},
};

#define EXPECTED (sizeof expected / sizeof expected[0])
static bool *seen; /* which of them have failed; shared with the attempts */

static bool stage_fits(const char *call, int stage)
{
	for (size_t i = 0; i < EXPECTED; i++)
		if (!strcmp(expected[i].call, call) && (seen[i] = true))
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
	char cwd[256];
	mode_t umask;
	uid_t uids[3];
	gid_t gids[3], groups[32];
	int group_count, dumpable, nice, policy;
	pid_t session, group;
	cpu_set_t cpus;
};

static void take_identity(struct state *state)
{
	ck_assert_ptr_nonnull(getcwd(state->cwd, sizeof state->cwd));
	state->umask = umask(0);
	umask(state->umask);
	ck_assert_int_eq(getresuid(&state->uids[0], &state->uids[1], &state->uids[2]), 0);
	ck_assert_int_eq(getresgid(&state->gids[0], &state->gids[1], &state->gids[2]), 0);
	state->group_count = getgroups(32, state->groups);
	state->dumpable = prctl(PR_GET_DUMPABLE);
	state->nice = getpriority(PRIO_PROCESS, 0);
	state->policy = sched_getscheduler(0);
	state->session = getsid(0);
	state->group = getpgrp();
	ck_assert_int_eq(sched_getaffinity(0, sizeof state->cpus, &state->cpus), 0);
}

static void take_state(struct state *state)
{
	memset(state, 0, sizeof *state);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &state->mask), 0);
	for (int number = 1; number < 65; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0)
			state->handlers[number] = action.sa_handler;
	}
	take_identity(state);
	state->mappings = shared_mappings();
	state->fds = support_open_fds();
}

enum {
	SPAWN_VFORK,
	SPAWN_COPY,
	FORK,
	KINDS
};

/* Open in this process, see prepare(). */
enum {
	TERMINAL = 73, /* and its other end */
	FOLDER = 75,   /* with a file cgroup.procs, which takes everything */
	PROCS
};

/* Descriptors that go round, and a standard stream that is closed in the parent. */
static struct pal_builder *group_of_everything(void)
{
	struct pal_builder *builder = pal_builder_new("true");

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
	pal_builder_process_group(builder, 0);
	pal_builder_scheduler_priority(builder, 0);
	pal_builder_cgroup_procs(builder, PROCS);
	return builder;
}

static void add_steps(struct pal_builder *builder)
{
	pal_builder_step_open(builder, 77, "/dev/null", O_RDONLY, 0);
	pal_builder_step_dup2(builder, 77, 78);
	pal_builder_step_dup2(builder, 77, 77);
	pal_builder_step_close(builder, 78);
	pal_builder_step_foreground(builder, 79);
	pal_builder_step_close_from(builder, 90);
	pal_builder_step_chdir(builder, "/");
	pal_builder_step_fchdir(builder, FOLDER);
}

/* In a session of its own; it does things in order. */
static struct pal_builder *session_of_everything(int kind)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	sigset_t set;
	cpu_set_t cpus;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	ck_assert_int_eq(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	pal_builder_env_verbatim(builder, (const char *const[]){"A=1", "A=2", NULL});
	pal_builder_stdout(builder, PAL_STDIO_OPEN("/dev/null", O_WRONLY, 0));
	pal_builder_stderr(builder, PAL_STDIO_STDOUT);
	pal_builder_dup_fd(builder, TERMINAL, 79);
	pal_builder_dup_fd(builder, FOLDER, FOLDER);
	pal_builder_controlling_tty(builder, 79);
	pal_builder_nice(builder, 1);
	pal_builder_scheduler(builder, SCHED_OTHER, 0);
	pal_builder_affinity(builder, &cpus, sizeof cpus);
	pal_builder_umask(builder, 077);
	pal_builder_keep_ignored_signals(builder, &set);
	pal_builder_ignore_signals(builder, &set);
	pal_builder_signal_mask(builder, &set);
	pal_builder_cwd_fd(builder, FOLDER);
	if (kind == FORK) /* clone3 would want a real one */
		pal_builder_cgroup(builder, FOLDER);
	add_steps(builder);
	return builder;
}

static struct pal_builder *another_user(void)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	if (geteuid() != 0)
		return builder;
	pal_builder_uid(builder, 65534);
	pal_builder_gid(builder, 65534);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	return builder;
}

static struct pal_builder *everything(int kind, int which)
{
	struct pal_builder *builder = which == IN_GROUP     ? group_of_everything()
				      : which == IN_SESSION ? session_of_everything(kind)
							    : another_user();

	pal_builder_vfork(builder, kind != SPAWN_COPY);
	return builder;
}

static int start(
	int kind, struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
{
	if (kind == FORK)
		return pal_fork(builder, support_return_zero, NULL, ret, error);
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

/* The step goes through a list then. What closes all others must not: that is IN_GROUP's to see. */
static bool is_made_good(int which, const char *call, int r)
{
	return which == IN_SESSION && r == 0 && !strcmp(call, "sys_close_range");
}

/* In a process of its own, so that each starts from the same state. */
static int attempt(int kind, int which, int n)
{
	struct pal_builder *builder = everything(kind, which);
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
	if (*call && !is_made_good(which, call, r))
		check_failure(r, &error, call, -fault_errno());
	fault_arm(0);
	pal_child_free(child);
	take_state(&after);
	ck_assert_mem_eq(&before.mask, &after.mask, sizeof before.mask);
	ck_assert_mem_eq(before.handlers, after.handlers, sizeof before.handlers);
	ck_assert_uint_eq(before.fds, after.fds);
	ck_assert_int_eq(before.mappings, after.mappings);
	ck_assert_int_eq(before.dumpable, after.dumpable);
	ck_assert_str_eq(before.cwd, after.cwd);
	ck_assert_mem_eq(&before, &after, sizeof before); /* and all the rest */
	ck_assert_int_eq(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT), -1);
	ck_assert_int_eq(errno, ECHILD);
	/* S106: a later one works */
	ck_assert_ok(start(kind, builder, &child, &error), &error);
	pal_child_free(child);
	pal_builder_free(builder);
	return *call ? FAILED_WELL : NO_CALL_LEFT;
}

static int in_own_process(int kind, int which, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) /* ThreadSanitizer's _exit would take a second each time */
		syscall(SYS_exit_group, attempt(kind, which, n));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) >= FAILED_WELL,
		"attempt %d: status %#x", n, status);
	return WEXITSTATUS(status);
}

static char folder[] = "/tmp/procmesh-faults-XXXXXX";

static void place(int fd, int number)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup3(fd, number, O_CLOEXEC), number);
	close(fd);
}

static void prepare_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	place(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC), TERMINAL);
	place(master, TERMINAL + 1);
}

static void prepare_folder(void)
{
	strcpy(strrchr(folder, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0); /* for another user, too */
	place(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), FOLDER);
	place(openat(FOLDER, "cgroup.procs", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), PROCS);
}

static void prepare(void)
{
	seen = mmap(NULL, EXPECTED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(seen, MAP_FAILED);
	signal(SIGUSR1, SIG_IGN);
	prepare_terminal();
	prepare_folder();
	ck_assert_int_eq(dup3(2, 70, O_CLOEXEC), 70);
	ck_assert_int_eq(dup3(1, 71, O_CLOEXEC), 71);
	ck_assert_int_eq(fcntl(0, F_DUPFD_CLOEXEC, 72), 72);
	close(0);
}

static void restore(void)
{
	dup2(72, 0);
	unlinkat(FOLDER, "cgroup.procs", 0);
	ck_assert_int_eq(rmdir(folder), 0);
	for (int fd = 70; fd <= PROCS; fd++)
		close(fd);
	munmap(seen, EXPECTED);
	fault_end();
}

START_TEST(every_call_of_a_spawn_may_fail)
{
	int kind = _i % KINDS, which = _i / KINDS, n = 1;

	prepare();
	while (in_own_process(kind, which, n) == FAILED_WELL)
		n++;
	for (size_t i = 0; i < EXPECTED; i++)
		ck_assert_msg(seen[i] || !(expected[i].children & 1u << which) || geteuid() != 0,
			"%s was never called", expected[i].call);
	restore();
}
END_TEST

/* There are more calls than this: else the wrappers are not in place. */
#define AT_LEAST 20

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
	pal_builder_env_verbatim(builder, (const char *const[]){"A=1", "B=2", NULL});
	pal_builder_stdin(builder, PAL_STDIO_OPEN("/dev/null", O_RDONLY, 0));
	pal_builder_groups(builder, &(gid_t){1}, 1);
	pal_builder_affinity(builder, &(cpu_set_t){{1}}, sizeof(cpu_set_t));
	pal_builder_step_open(builder, 5, "/dev/null", O_RDONLY, 0);
	pal_builder_step_chdir(builder, "/");
	pal_builder_step_close(builder, 5);
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

	tcase_add_loop_test(calls, every_call_of_a_spawn_may_fail, 0, KINDS * CHILDREN);
	tcase_add_test(calls, memory_may_run_out_in_every_setter);
	return suite;
}
SUPPORT_MAIN(make_suite)
