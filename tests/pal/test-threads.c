/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/*
 * pal_self_restrict with threads that exist before it. Everything happens in a
 * child of pal_fork: what it does to itself cannot be undone.
 */

#define WORKERS 4

/* A thread that says when it runs, waits in some way, and then says what it is allowed to do. */
struct worker {
	pthread_t thread;
	void (*wait)(struct worker *worker);
	bool blocks;
	int fds[2];        /* a byte in the pipe ends the wait */
	atomic_bool go;    /* this too, for the one that spins */
	sem_t started;
	pid_t tid;
	int no_new_privs;
	int read_result;
	int permitted;
};

static void wait_in_read(struct worker *worker)
{
	char byte;

	while (read(worker->fds[0], &byte, 1) < 0 && errno == EINTR)
		;
}

static void wait_in_poll(struct worker *worker)
{
	struct pollfd event = {.fd = worker->fds[0], .events = POLLIN};

	while (poll(&event, 1, -1) < 0 && errno == EINTR)
		;
}

static void wait_spinning(struct worker *worker)
{
	while (!atomic_load(&worker->go))
		;
}

static void wait_in_mutex(struct worker *worker)
{
	pthread_mutex_t mutex;
	pthread_mutexattr_t attributes;
	struct timespec limit;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_NORMAL);
	pthread_mutex_init(&mutex, &attributes);
	pthread_mutex_lock(&mutex);
	while (!atomic_load(&worker->go)) { /* a second lock of a normal mutex waits */
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_nsec += 1000000;
		limit.tv_sec += limit.tv_nsec / 1000000000;
		limit.tv_nsec %= 1000000000;
		pthread_mutex_timedlock(&mutex, &limit);
	}
	pthread_mutex_unlock(&mutex);
	pthread_mutex_destroy(&mutex);
	pthread_mutexattr_destroy(&attributes);
}

static void wait_in_malloc(struct worker *worker) /* stopped with the allocator's lock held, sooner or later */
{
	while (!atomic_load(&worker->go))
		free(malloc(100));
}

static void (*const waits[])(struct worker *worker) = {
	wait_in_read, wait_in_poll, wait_spinning, wait_in_mutex, wait_in_malloc,
};

/* 0 or the errno; without libc's buffers, since no capability may mean that /proc is not readable. */
static int try_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int holds_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	return data[0].permitted || data[1].permitted || data[0].effective || data[1].effective;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	sigset_t set;

	if (worker->blocks) {
		sigemptyset(&set);
		sigaddset(&set, pal_threads_signal());
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	worker->tid = (pid_t)syscall(SYS_gettid);
	errno = EXFULL;
	sem_post(&worker->started);
	worker->wait(worker);
	worker->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	worker->read_result = try_read("/etc/passwd");
	worker->permitted = holds_capability();
	return NULL;
}

static int start_worker(struct worker *worker, void (*wait)(struct worker *))
{
	worker->wait = wait;
	need(pipe2(worker->fds, O_CLOEXEC) == 0);
	need(sem_init(&worker->started, 0, 0) == 0);
	need(pthread_create(&worker->thread, NULL, work, worker) == 0);
	while (sem_wait(&worker->started) < 0)
		;
	return 0;
}

static int end_worker(struct worker *worker)
{
	atomic_store(&worker->go, true);
	need(write(worker->fds[1], "x", 1) == 1);
	need(pthread_join(worker->thread, NULL) == 0);
	sem_destroy(&worker->started);
	pal_close(worker->fds[0]);
	pal_close(worker->fds[1]);
	return 0;
}

/* Nothing but reading /proc, so that a restricted process can be restricted again. */
static int restrict_all(const struct pal_seccomp *filter, struct pal_error *error)
{
	struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions,
		.no_new_privs = true,
		.capabilities = &PAL_CAPABILITIES_NONE,
		.seccomp = filter,
	};
	struct pal_landlock *ruleset;
	int result = pal_landlock_new(&ruleset, error);

	if (result < 0)
		return result;
	result = pal_landlock_allow_path(ruleset, "/proc", PAL_LANDLOCK_READ, error);
	restrictions.landlock = ruleset;
	if (!result)
		result = pal_self_restrict(&restrictions, error);
	pal_landlock_free(ruleset);
	return result;
}

static bool signal_is_default(void)
{
	struct sigaction action;

	return sigaction(pal_threads_signal(), NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

static bool is_restricted(const struct worker *worker)
{
	return worker->no_new_privs == 1 && worker->read_result == EACCES && worker->permitted == 0;
}

/* As far as one can be that had been allowed nothing much before. */
static bool is_free(const struct worker *worker)
{
	return worker->no_new_privs == 0 && worker->read_result == 0;
}

/* ---- the threads are reached ---- */

static int restrict_with_workers(void *unused)
{
	static struct worker workers[PAL_ARRAY_LENGTH(waits)], late;
	struct pal_error error = {0};
	sigset_t before, after;

	(void)unused;
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(waits); i++)
		need(start_worker(&workers[i], waits[i]) == 0);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	need(restrict_all(NULL, &error) == 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < NSIG; signal++)
		need(sigismember(&before, signal) == sigismember(&after, signal));
	need(signal_is_default());
	need(try_read("/etc/passwd") == EACCES);
	need(start_worker(&late, wait_in_read) == 0); /* a thread started later inherits it all */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(waits); i++) {
		need(end_worker(&workers[i]) == 0);
		need(is_restricted(&workers[i]));
	}
	need(end_worker(&late) == 0);
	need(is_restricted(&late));
	return 0;
}

START_TEST(every_thread_that_exists_is_restricted)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_with_workers, NULL), 0);
}
END_TEST

static int compare_unrestricted(void *unused)
{
	static struct worker worker;

	(void)unused;
	need(start_worker(&worker, wait_in_read) == 0);
	need(end_worker(&worker) == 0);
	need(is_free(&worker));
	need(worker.permitted == (geteuid() == 0));
	return 0;
}

START_TEST(without_it_the_threads_are_free)
{
	become(_i);
	ck_assert_int_eq(outcome(NULL, compare_unrestricted, NULL), 0);
}
END_TEST

static int restrict_alone(void *unused)
{
	struct pal_error error = {0};

	(void)unused;
	/* the signal is not needed, so it may have any other use */
	signal(pal_threads_signal(), SIG_IGN);
	need(restrict_all(NULL, &error) == 0);
	need(try_read("/etc/passwd") == EACCES);
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return 0;
}

START_TEST(a_process_with_one_thread_needs_no_signal)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_alone, NULL), 0);
}
END_TEST

static int filter_with_workers(void *unused)
{
	static struct worker workers[WORKERS];
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	(void)unused;
	for (int i = 0; i < WORKERS; i++)
		need(start_worker(&workers[i], waits[i]) == 0);
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EXFULL), "openat", &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EXFULL), "open", &error) == 0);
	need(restrict_all(filter, &error) == 0);
	pal_seccomp_free(filter);
	for (int i = 0; i < WORKERS; i++) {
		need(end_worker(&workers[i]) == 0);
		need(workers[i].read_result == EXFULL && workers[i].no_new_privs == 1);
	}
	return 0;
}

START_TEST(a_filter_reaches_every_thread)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, filter_with_workers, NULL), 0);
}
END_TEST

/* ---- threads come and go ---- */

struct churn {
	atomic_bool stop;
	atomic_int made;
};

static void *short_lived(void *unused)
{
	return unused;
}

static void *make_threads(void *arg)
{
	struct churn *churn = arg;
	pthread_t thread;

	while (!atomic_load(&churn->stop)) {
		if (pthread_create(&thread, NULL, short_lived, NULL) == 0) {
			atomic_fetch_add(&churn->made, 1);
			pthread_join(thread, NULL);
		}
	}
	return (void *)(intptr_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int restrict_among_short_lived(void *unused)
{
	static struct churn churn;
	struct pal_error error = {0};
	pthread_t makers[2];
	void *result;
	int code;

	(void)unused;
	for (int i = 0; i < 2; i++)
		need(pthread_create(&makers[i], NULL, make_threads, &churn) == 0);
	while (atomic_load(&churn.made) < 100)
		sched_yield();
	for (int round = 0; round < 10; round++) {
		code = restrict_all(NULL, &error);
		if (code < 0)
			fprintf(stderr, "%s\n", pal_error_text(&error));
		need(code == 0);
	}
	atomic_store(&churn.stop, true);
	for (int i = 0; i < 2; i++) {
		need(pthread_join(makers[i], &result) == 0);
		need((intptr_t)result == 1);
	}
	return 0;
}

START_TEST(threads_may_start_and_end_meanwhile)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_among_short_lived, NULL), 0);
}
END_TEST

static struct worker survivor;

static void *outlive_main(void *main_thread)
{
	struct pal_error error = {0};
	bool fine;

	pthread_join(*(pthread_t *)main_thread, NULL);
	fine = restrict_all(NULL, &error) == 0 && end_worker(&survivor) == 0 && is_restricted(&survivor);
	if (!fine)
		fprintf(stderr, "%s\n", pal_error_text(&error));
	_exit(fine ? 0 : 1);
}

static int end_main_first(void *unused)
{
	static pthread_t self, thread;

	(void)unused;
	self = pthread_self();
	need(start_worker(&survivor, wait_in_read) == 0);
	need(pthread_create(&thread, NULL, outlive_main, &self) == 0);
	pthread_exit(NULL);
}

START_TEST(a_main_thread_that_has_ended_is_no_obstacle)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, end_main_first, NULL), 0);
}
END_TEST

/* ---- a thread cannot be reached ---- */

static int restrict_with_blocker(void *unused)
{
	static struct worker reachable, blocker;
	struct pal_error error = {0};
	char tid[16];

	(void)unused;
	blocker.blocks = true;
	need(start_worker(&reachable, wait_in_read) == 0);
	need(start_worker(&blocker, wait_in_read) == 0);
	need(restrict_all(NULL, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_THREADS && error.code == -EBUSY);
	need(error.index == blocker.tid);
	snprintf(tid, sizeof tid, "%d", (int)blocker.tid);
	need(strstr(error.text, tid) && strstr(error.text, "blocks"));
	need(signal_is_default());
	need(end_worker(&reachable) == 0 && is_free(&reachable));
	need(end_worker(&blocker) == 0 && is_free(&blocker));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0); /* nothing was applied anywhere */
	need(try_read("/etc/passwd") == 0);
	need(restrict_all(NULL, &error) == 0); /* and now it can be */
	return 0;
}

START_TEST(a_thread_that_blocks_the_signal_is_named_and_nothing_is_applied)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_with_blocker, NULL), 0);
}
END_TEST

static void own_handler(int signal)
{
	(void)signal;
}

static int restrict_with_signal_in_use(void *unused)
{
	static struct worker worker;
	struct pal_error error = {0};
	struct sigaction action;

	(void)unused;
	need(start_worker(&worker, wait_in_read) == 0);
	signal(pal_threads_signal(), own_handler);
	need(restrict_all(NULL, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_THREADS);
	need(sigaction(pal_threads_signal(), NULL, &action) == 0 && action.sa_handler == own_handler);
	need(end_worker(&worker) == 0 && is_free(&worker));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(a_signal_that_is_in_use_stays_the_programs)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_with_signal_in_use, NULL), 0);
}
END_TEST

/* In vfork the calling thread is not interrupted before its child has ended. */
static void *sit_in_vfork(void *arg)
{
	int *gate = arg;
	uint64_t value;
	pid_t pid = vfork();

	if (pid == 0) {
		if (write(gate[1], &(uint64_t){1}, 8) == 8 && read(gate[0], &value, 8) == 8)
			_exit(0);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	return (void *)(intptr_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int restrict_with_uninterruptible(void *unused)
{
	static struct worker worker;
	static int gate[2];
	struct pal_error error = {0};
	pthread_t thread;
	uint64_t value;
	void *result;

	(void)unused;
	gate[0] = eventfd(0, EFD_CLOEXEC);
	gate[1] = eventfd(0, EFD_CLOEXEC);
	need(start_worker(&worker, wait_in_read) == 0);
	need(pthread_create(&thread, NULL, sit_in_vfork, gate) == 0);
	need(read(gate[1], &value, 8) == 8);
	need(restrict_all(NULL, &error) == -EBUSY); /* at the end of its patience */
	need(error.stage == PAL_STAGE_THREADS && error.index != 0);
	need(signal_is_default());
	need(write(gate[0], &(uint64_t){1}, 8) == 8);
	need(pthread_join(thread, &result) == 0); /* a signal that was left queued would kill it now */
	need(result == NULL);
	need(end_worker(&worker) == 0 && is_free(&worker));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(a_thread_that_cannot_be_interrupted_fails_it_and_survives)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_with_uninterruptible, NULL), 0);
}
END_TEST

/* ---- other failures ---- */

static int gain(void *unused)
{
	const uint64_t one = UINT64_C(1) << CAP_CHOWN;
	const struct pal_capabilities gains[] = {
		{.permitted = one, .inheritable = one},
		{.permitted = one, .effective = one},
		{.permitted = one, .inheritable = one, .ambient = one},
	};
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions};
	/* numbers that no kernel has are ignored here, too (S78) */
	struct pal_capabilities held = {.bounding = UINT64_MAX, .permitted = one | UINT64_C(1) << 63};
	struct pal_error error = {0};

	(void)unused;
	restrictions.capabilities = &held;
	need(pal_self_restrict(&restrictions, &error) == 0);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(gains); i++) {
		restrictions.capabilities = &gains[i];
		need(pal_self_restrict(&restrictions, &error) == -EPERM);
		need(error.stage == PAL_STAGE_CAPABILITIES && error.index == CAP_CHOWN);
	}
	need(status_number("CapPrm") == one && status_number("CapInh") == 0 && status_number("CapEff") == 0);
	return 0;
}

START_TEST(a_process_cannot_give_itself_capabilities)
{
	needs_self_restrict();
	become(USER_ROOT);
	ck_assert_int_eq(outcome(NULL, gain, NULL), 0);
}
END_TEST

static void *filter_itself(void *arg)
{
	struct worker *worker = arg;
	struct sock_filter allow = {.code = 0x06 /* BPF_RET | BPF_K */, .k = 0x7fff0000 /* SECCOMP_RET_ALLOW */};
	struct sock_fprog program = {1, &allow};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &program);
	worker->tid = (pid_t)syscall(SYS_gettid);
	sem_post(&worker->started);
	wait_in_read(worker);
	return NULL;
}

static int filter_against_another(void *unused)
{
	static struct worker other;
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	(void)unused;
	need(pipe2(other.fds, O_CLOEXEC) == 0);
	need(sem_init(&other.started, 0, 0) == 0);
	need(pthread_create(&other.thread, NULL, filter_itself, &other) == 0);
	while (sem_wait(&other.started) < 0)
		;
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(restrict_all(filter, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_SECCOMP && error.index == other.tid);
	pal_seccomp_free(filter);
	need(end_worker(&other) == 0);
	return 0;
}

START_TEST(a_thread_with_a_filter_of_its_own_is_named)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, filter_against_another, NULL), 0);
}
END_TEST

START_TEST(unknown_wishes_are_refused)
{
	struct {
		struct pal_self_restrictions known;
		long later;
	} wishes = {.known.size = sizeof wishes, .later = 1};
	struct pal_error error = {0};

	ck_assert_int_eq(pal_self_restrict(NULL, &error), -EINVAL);
	ck_assert_int_eq(pal_self_restrict(&wishes.known, &error), -EINVAL);
	wishes.later = 0;
	ck_assert_int_eq(pal_self_restrict(&wishes.known, &error), 0); /* asks for nothing */
	wishes.known.size = 0;
	ck_assert_int_eq(pal_self_restrict(&wishes.known, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
}
END_TEST

/* Each system call that finds and reaches the threads, failing (S105): nothing may have been applied. */
static const struct fault {
	const char *call;
	int stage;
	bool applied;
} faults[] = {
	{"openat", PAL_STAGE_THREADS, false},
	{"getdents64", PAL_STAGE_THREADS, false},
	{"lseek", PAL_STAGE_THREADS, false},
	{"tgkill", PAL_STAGE_THREADS, false},
	{"capget", PAL_STAGE_CAPABILITIES, false},
	{"capset", PAL_STAGE_CAPABILITIES, false},
	{"landlock_restrict_self", PAL_STAGE_LANDLOCK, true},
};

static int restrict_with_fault(void *arg)
{
	const struct fault *fault = arg;
	static struct worker worker;
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions, .no_new_privs = true};
	struct pal_self_restrictions filtered = {.size = sizeof filtered};
	struct pal_landlock *ruleset;
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	need(start_worker(&worker, wait_in_read) == 0);
	need(pal_landlock_new(&ruleset, &error) == 0);
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EIO), fault->call, &error) == 0);
	filtered.seccomp = filter; /* as root: without no_new_privs */
	need(pal_self_restrict(&filtered, &error) == 0);
	pal_seccomp_free(filter);
	restrictions.capabilities = &PAL_CAPABILITIES_NONE;
	restrictions.landlock = ruleset;
	need(pal_self_restrict(&restrictions, &error) == -EIO);
	if (error.stage != fault->stage)
		fprintf(stderr, "%s\n", pal_error_text(&error));
	need(error.stage == fault->stage && error.text[0]);
	need(signal_is_default());
	pal_landlock_free(ruleset);
	need(end_worker(&worker) == 0);
	need(worker.no_new_privs == 0); /* the caller goes first: a thread behind it was not touched */
	need(fault->applied || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(a_failure_before_the_first_change_changes_nothing)
{
	needs_self_restrict();
	become(USER_ROOT);
	ck_assert_int_eq(outcome(NULL, restrict_with_fault, (void *)&faults[_i]), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/threads");
	TCase *reached = support_tcase(suite, "reached");
	TCase *moving = support_tcase(suite, "moving");
	TCase *unreachable = support_tcase(suite, "unreachable");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_loop_test(reached, every_thread_that_exists_is_restricted, 0, USERS);
	tcase_add_loop_test(reached, without_it_the_threads_are_free, 0, USERS);
	tcase_add_loop_test(reached, a_process_with_one_thread_needs_no_signal, 0, USERS);
	tcase_add_loop_test(reached, a_filter_reaches_every_thread, 0, USERS);
	tcase_add_loop_test(moving, threads_may_start_and_end_meanwhile, 0, USERS);
	tcase_add_test(moving, a_main_thread_that_has_ended_is_no_obstacle);
	tcase_add_loop_test(unreachable, a_thread_that_blocks_the_signal_is_named_and_nothing_is_applied, 0, USERS);
	tcase_add_test(unreachable, a_signal_that_is_in_use_stays_the_programs);
	tcase_add_test(unreachable, a_thread_that_cannot_be_interrupted_fails_it_and_survives);
	tcase_add_test(failures, a_process_cannot_give_itself_capabilities);
	tcase_add_test(failures, a_thread_with_a_filter_of_its_own_is_named);
	tcase_add_test(failures, unknown_wishes_are_refused);
	tcase_add_loop_test(failures, a_failure_before_the_first_change_changes_nothing, 0,
		(int)PAL_ARRAY_LENGTH(faults));
	return suite;
}
SUPPORT_MAIN(make_suite)
