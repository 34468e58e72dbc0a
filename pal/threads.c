/* SPDX-License-Identifier: MIT */
#include <pal/threads-priv.h>

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/deadline.h>
#include <pal/helper-thread-priv.h>
#include <pal/sandbox.h>
#include <pal/task-status-priv.h>
#include <pal/util-priv.h>

/*
 * Stopping every thread before anything is done has two uses: a thread that
 * cannot be reached is found while nothing has changed yet, and no thread can
 * appear unnoticed, since only running threads make new ones.
 *
 * While threads are stopped they may hold any lock of libc, so the caller makes
 * raw system calls only, too, and has its own signals blocked. One that ends, or
 * starts another, waits for libc's locks with all signals blocked: where a
 * stopped thread holds that lock, it never comes. Then all are let go, and it is
 * begun again.
 */

#define STOP_LIMIT_MS 5000    /* for threads that the kernel does not interrupt */
#define PATIENCE_MS 50        /* for one that blocks the signal, while others are stopped */
#define UNBLOCK_LIMIT_MS 5000 /* for one that blocks the signal: libc does, for moments */
#define POLL_NS 2000000
#define REST_LIMIT_NS 64000000 /* between two attempts; POLL_NS at first */

enum command {
	COMMAND_STOP,
	COMMAND_RUN,
	COMMAND_LEAVE
};

struct slot {
	pid_t tid;
	_Atomic enum slot_state {
		SLOT_SIGNALLED,
		SLOT_STOPPED,
		SLOT_GONE
	} state;
};

/* Why a thread could not be stopped; the text is made of it when none is stopped any more. */
struct obstacle {
	pid_t tid;
	const char *what;
	struct pal__task_status status;
};

struct broadcast {
	int (*fn)(void *arg);
	void *arg;
	int task_fd;
	pid_t pid, self;
	struct pal__helpers *helpers; /* during an attempt */
	struct obstacle obstacle;
	bool unstoppable; /* fn has run nowhere */
	bool again;       /* because of this attempt's luck only */
	/*
	 * A thread that was listed had ended when it was looked at. The kernel ends a
	 * list early when that happens under its hands: such a list proves nothing.
	 */
	bool list_unsure;

	_Atomic uint32_t command; /* futex of the stopped threads */
	_Atomic uint32_t stopped; /* futex of the caller: changes when a thread has stopped */
	_Atomic int failure;      /* the first negative return of fn */

	struct slot *slots;
	unsigned capacity;
	_Atomic unsigned count;
};

static atomic_flag in_use = ATOMIC_FLAG_INIT;
static _Atomic(struct broadcast *) current;
/* Threads in the handler: once it is 0 with `current` reset, nobody looks at the broadcast. */
static _Atomic uint32_t inside;

int pal_threads_signal(void)
{
	return SIGRTMAX - 3;
}

/* ---- futexes, by number: the kernel's timespec has two longs, whatever libc's time_t is ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, long limit_ns)
{
	const long limit[2] = {0, limit_ns};

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, limit_ns ? limit : NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* ---- the stopped threads' side ---- */

static struct slot *slot_of(struct broadcast *broadcast, pid_t tid)
{
	for (unsigned i = atomic_load(&broadcast->count); i-- > 0;)
		if (broadcast->slots[i].tid == tid &&
			atomic_load(&broadcast->slots[i].state) != SLOT_GONE)
			return &broadcast->slots[i];
	return NULL;
}

static void take_part(struct broadcast *broadcast)
{
	struct slot *slot = slot_of(broadcast, (pid_t)syscall(SYS_gettid));
	enum slot_state expected = SLOT_SIGNALLED;
	int result, none = 0;

	/* somebody else's signal, or one that comes late */
	if (!slot || !atomic_compare_exchange_strong(&slot->state, &expected, SLOT_STOPPED))
		return;
	atomic_fetch_add(&broadcast->stopped, 1);
	futex_wake(&broadcast->stopped);
	while (atomic_load(&broadcast->command) == COMMAND_STOP)
		futex_wait(&broadcast->command, COMMAND_STOP, 0);
	if (atomic_load(&broadcast->command) != COMMAND_RUN)
		return;
	result = broadcast->fn(broadcast->arg);
	if (result < 0)
		atomic_compare_exchange_strong(&broadcast->failure, &none, result);
}

void pal__threads_take_part(void)
{
	struct broadcast *broadcast;

	atomic_fetch_add(&inside, 1);
	broadcast = atomic_load(&current);
	if (broadcast)
		take_part(broadcast);
	if (atomic_fetch_sub(&inside, 1) == 1)
		futex_wake(&inside);
}

static void on_signal(int signal)
{
	int saved = errno;

	(void)signal;
	pal__threads_take_part();
	errno = saved;
}

/* ---- the caller's side: before anything is touched ---- */

struct survey {
	struct broadcast *broadcast;
	unsigned others;
};

/* A thread-group leader that has ended stays, and stays listed, until all others have. */
static void note_gone(struct broadcast *broadcast, pid_t tid)
{
	if (tid != broadcast->pid)
		broadcast->list_unsure = true;
}

static bool is_helper(pid_t tid)
{
	struct pal__helpers *helpers = pal__helpers_lock();
	bool found = pal__helpers_find(helpers, tid);

	pal__helpers_unlock(helpers);
	return found;
}

/* Waits a moment for a thread that blocks the signal: libc does so in pthread_create and elsewhere. */
static int survey_thread(pid_t tid, void *arg)
{
	struct survey *survey = arg;
	struct broadcast *broadcast = survey->broadcast;
	pal_deadline deadline = pal_deadline_after_ms(UNBLOCK_LIMIT_MS);
	_Atomic uint32_t never = 0;

	if (tid == broadcast->self)
		return 0;
	for (;;) {
		struct pal__task_status status;
		int result =
			pal__task_status(broadcast->task_fd, tid, pal_threads_signal(), &status);

		if (result < 0)
			return result;
		if (status.gone) {
			note_gone(broadcast, tid);
			return 0;
		}
		if (!status.blocks || is_helper(tid)) {
			survey->others++;
			return 0;
		}
		if (pal_deadline_left_ms(deadline) == 0) {
			broadcast->obstacle = (struct obstacle){tid, "blocks the signal", status};
			return -EBUSY;
		}
		futex_wait(&never, 0, POLL_NS);
	}
}

/* ---- the caller's side: stopping ---- */

/* 0 or -1 and errno. */
static int call_thread(const struct broadcast *broadcast, pid_t tid)
{
	struct pal__helper *helper = pal__helpers_find(broadcast->helpers, tid);

	if (!helper)
		return (int)syscall(SYS_tgkill, broadcast->pid, tid, pal_threads_signal());
	helper->wake(helper->arg);
	return 0;
}

static int stop_thread(pid_t tid, void *arg)
{
	struct broadcast *broadcast = arg;
	unsigned count = atomic_load(&broadcast->count);
	struct pal__task_status status;
	struct slot *slot;
	int result;

	if (tid == broadcast->self || slot_of(broadcast, tid))
		return 0;
	result = pal__task_status(broadcast->task_fd, tid, pal_threads_signal(), &status);
	if (result < 0)
		return result;
	if (status.gone) {
		note_gone(broadcast, tid);
		return 0;
	}
	if (count == broadcast->capacity) {
		broadcast->again = true;
		broadcast->obstacle = (struct obstacle){tid, "is one of too many new ones", status};
		return -EAGAIN;
	}
	slot = &broadcast->slots[count];
	slot->tid = tid;
	atomic_store(&slot->state, SLOT_SIGNALLED);
	/* before the signal: its handler looks for the slot */
	atomic_store(&broadcast->count, count + 1);
	if (call_thread(broadcast, tid) == 0)
		return 0;
	atomic_store(&slot->state, SLOT_GONE);
	if (errno == ESRCH)
		return 0;
	broadcast->obstacle = (struct obstacle){tid, "cannot be signalled", status};
	return -errno;
}

/* 1 while a thread that was signalled has not come to its handler, 0 when there is none. */
static int look_for_running(struct broadcast *broadcast, pal_deadline deadline, bool patient)
{
	bool out_of_time = pal_deadline_left_ms(deadline) == 0;

	for (unsigned i = 0; i < atomic_load(&broadcast->count); i++) {
		struct slot *slot = &broadcast->slots[i];
		struct pal__task_status status;
		int result;

		if (atomic_load(&slot->state) != SLOT_SIGNALLED)
			continue;
		result = pal__task_status(
			broadcast->task_fd, slot->tid, pal_threads_signal(), &status);
		if (result < 0)
			return result;
		if (status.gone) {
			atomic_store(&slot->state, SLOT_GONE);
			continue;
		}
		if (!out_of_time && (patient || !status.blocks))
			return 1;
		broadcast->again = !out_of_time;
		broadcast->obstacle =
			(struct obstacle){slot->tid, "does not come to its signal handler", status};
		return -EBUSY;
	}
	return 0;
}

static int await_stopped(struct broadcast *broadcast, pal_deadline deadline)
{
	pal_deadline patience = pal_deadline_after_ms(PATIENCE_MS);

	for (;;) {
		uint32_t stopped = atomic_load(&broadcast->stopped);
		int result = look_for_running(
			broadcast, deadline, pal_deadline_left_ms(patience) > 0);

		if (result <= 0)
			return result;
		futex_wait(&broadcast->stopped, stopped, POLL_NS);
	}
}

/* Until a list of all threads, begun when every known one had stopped, shows no other. */
static int stop_all(struct broadcast *broadcast, pal_deadline deadline)
{
	for (;;) {
		unsigned before = atomic_load(&broadcast->count);
		int result;

		broadcast->list_unsure = false;
		result = pal__task_for_each(broadcast->task_fd, stop_thread, broadcast);
		if (result < 0)
			return result;
		if (atomic_load(&broadcast->count) == before && !broadcast->list_unsure)
			return 0;
		result = await_stopped(broadcast, deadline);
		if (result < 0)
			return result;
	}
}

/* Lets the stopped threads go and waits until none of them looks at the broadcast any more. */
static void release(struct broadcast *broadcast, enum command command)
{
	uint32_t left;

	atomic_store(&broadcast->command, command);
	futex_wake(&broadcast->command);
	atomic_store(&current, NULL);
	while ((left = atomic_load(&inside)))
		futex_wait(&inside, left, 0);
}

/* Nobody is stopped, and nobody looks at the broadcast. */
static void begin(struct broadcast *broadcast)
{
	broadcast->obstacle = (struct obstacle){0};
	broadcast->again = false;
	atomic_store(&broadcast->command, COMMAND_STOP);
	atomic_store(&broadcast->count, 0);
	atomic_store(&current, broadcast);
}

static int attempt(struct broadcast *broadcast, pal_deadline deadline)
{
	int result;

	/* Before anyone is stopped who starts or is one of them. */
	broadcast->helpers = pal__helpers_lock();
	begin(broadcast);
	result = stop_all(broadcast, deadline);
	broadcast->unstoppable = result < 0;
	if (result == 0)
		result = broadcast->fn(broadcast->arg);
	release(broadcast, result < 0 ? COMMAND_LEAVE : COMMAND_RUN);
	pal__helpers_unlock(broadcast->helpers);
	return result;
}

static int run_stopped(struct broadcast *broadcast)
{
	const int signal = pal_threads_signal();
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
	pal_deadline deadline = pal_deadline_after_ms(STOP_LIMIT_MS);
	_Atomic uint32_t never = 0;
	long rest = POLL_NS;
	sigset_t mask;
	int result, failure;

	sigfillset(&action.sa_mask);
	pthread_sigmask(SIG_SETMASK, &action.sa_mask, &mask);
	sigaction(signal, &action, NULL);

	result = attempt(broadcast, deadline);
	while (broadcast->again && pal_deadline_left_ms(deadline) > 0) {
		/* Or who holds the lock gets no further, nor what one of ours does between two waits. */
		futex_wait(&never, 0, rest);
		rest = rest < REST_LIMIT_NS ? 2 * rest : rest;
		result = attempt(broadcast, deadline);
	}
	failure = atomic_load(&broadcast->failure);

	/* ignored first: that discards what is queued for threads that did not stop, and would die */
	action = (struct sigaction){.sa_handler = SIG_IGN};
	sigaction(signal, &action, NULL);
	action.sa_handler = SIG_DFL;
	sigaction(signal, &action, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return result < 0 ? result : failure;
}

static int report(const struct broadcast *broadcast, int code, struct pal_error *error)
{
	const struct obstacle *obstacle = &broadcast->obstacle;

	if (!obstacle->what)
		return pal_error_set(
			error, PAL_STAGE_THREADS, code, "listing the threads of this process");
	pal_error_set(error, PAL_STAGE_THREADS, code, "thread %d (%s) %s", (int)obstacle->tid,
		obstacle->status.name, obstacle->what);
	if (error)
		error->index = obstacle->tid;
	return code;
}

static int on_threads_of(struct broadcast *broadcast, struct pal_error *error)
{
	PAL_CLEANUP_FREE struct slot *slots = NULL;
	struct sigaction action;
	struct survey survey = {.broadcast = broadcast};
	int result;

	do {
		broadcast->list_unsure = false;
		result = pal__task_for_each(broadcast->task_fd, survey_thread, &survey);
	} while (!result && !survey.others && broadcast->list_unsure);
	if (result < 0)
		return report(broadcast, result, error);
	if (!survey.others)
		return broadcast->fn(broadcast->arg);
	if (sigaction(pal_threads_signal(), NULL, &action) < 0 || action.sa_handler != SIG_DFL)
		return pal_error_set(error, PAL_STAGE_THREADS, -EBUSY,
			"signal %d, which reaches the other threads, is in use",
			pal_threads_signal());
	broadcast->capacity =
		2 * survey.others + 1024; /* threads may still make threads before they are stopped */
	broadcast->slots = slots = calloc(broadcast->capacity, sizeof *slots);
	if (!slots)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "%u threads", survey.others);
	result = run_stopped(broadcast);
	return broadcast->unstoppable ? report(broadcast, result, error) : result;
}

int pal__on_every_thread(int (*fn)(void *arg), void *arg, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int task_fd = pal__task_open();
	struct broadcast broadcast = {
		.fn = fn,
		.arg = arg,
		.task_fd = task_fd,
		.pid = getpid(),
		.self = (pid_t)syscall(SYS_gettid),
	};
	int result;

	if (task_fd < 0)
		return pal_error_set(error, PAL_STAGE_THREADS, task_fd, "opening /proc/self/task");
	if (atomic_flag_test_and_set(&in_use))
		return pal_error_set(
			error, PAL_STAGE_THREADS, -EBUSY, "another thread does the same");
	result = on_threads_of(&broadcast, error);
	atomic_flag_clear(&in_use);
	return result;
}
