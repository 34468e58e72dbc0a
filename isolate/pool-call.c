/* SPDX-License-Identifier: MIT */

/* One call, from its place in the queue to its answer. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <pal/socket.h>
#include <pal/util-priv.h>

/* How long the snapshot may take to tell of the end of a worker that was to be killed. */
#define KILLED_WITHIN_MS 2000
/* How long a copy that listens at its line may take to take a job. */
#define HEARD_WITHIN_MS 100
/* More than a line holds: who goes on writing to it is not waited for. */
#define LINE_MESSAGES 1024

struct pool_call {
	struct isolate_pool *pool;
	struct isolate__slot *slot;
	struct isolate__call call;
	struct isolate__facts facts;
	isolate_pool_fn fn;
	const void *in;
	size_t in_size;
	enum isolate__phase phase;
	pal_deadline next; /* when to give the phase up */
	pal_deadline heard; /* when to give up a copy that listens */
	int64_t began_us;
	int reserved;   /* keeps a number for the descriptor of a long result; -1 */
	int next_line;  /* of the worker that is made now; -1 */
	int line_error; /* that descriptor did not come */
	bool was_stocked; /* the worker was there before the call */
	bool settled;     /* that worker has ended, or waits again */
	bool lost;        /* the snapshot */
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- the job ---- */

static void write_job(struct pool_call *c)
{
	struct isolate__area *area = c->slot->area;

	area->shared.marks = (struct isolate__marks){.progress = ISOLATE__PREPARED};
	if (c->call.options.crash_report)
		isolate__crash_prepare(&area->shared.crash);
	area->job.error = 0;
	area->job.fn = c->fn;
	area->job.in_size = c->in_size;
	area->job.max_result = c->call.max_result;
	area->job.ticket = c->call.ticket = isolate__result_ticket();
}

/* 0 or a negative errno: the worker may sleep on. */
static int post(struct pool_call *c)
{
	struct isolate__job *job = &c->slot->area->job;
	uint32_t before = atomic_exchange(&job->state, ISOLATE__JOB_POSTED);
	long r = 0;

	before &= ISOLATE__JOB_KIND;
	c->began_us = now_us();
	c->heard = before == ISOLATE__JOB_LISTENED ? PAL_DEADLINE_MS(HEARD_WITHIN_MS)
						   : PAL_DEADLINE_NONE;
	if (before == ISOLATE__JOB_LISTENED)
		r = syscall(SYS_sendto, c->slot->line, "", 1, MSG_NOSIGNAL, NULL, 0);
	else if (before == ISOLATE__JOB_AWAITED)
		r = syscall(SYS_futex, &job->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	/* What fills the line wakes it, too; and one whose end is closed has ended or will. */
	return r < 0 && errno != EAGAIN && errno != EPIPE && errno != ECONNRESET ? -errno : 0;
}

/* Whether no worker has taken it: then none will. */
static bool take_back(struct isolate__job *job)
{
	uint32_t expected = ISOLATE__JOB_POSTED;

	return atomic_compare_exchange_strong(&job->state, &expected, ISOLATE__JOB_REVOKED);
}

/* ---- to the snapshot ---- */

static int order_worker(struct pool_call *c)
{
	struct isolate__order order = {.generation = isolate__next_ordered(c->slot->generation),
		.deadline = c->call.deadline,
		.in_size = c->in_size};
	int r = isolate__slot_renew_line(c->slot);

	if (r == 0)
		r = isolate__slot_order(c->slot, &order);
	if (r == 0)
		c->slot->generation = order.generation;
	return r;
}

static void order_signal(struct pool_call *c, int signal)
{
	struct isolate__order order = {
		.signal = (uint32_t)signal, .generation = c->slot->generation};

	(void)isolate__slot_order(c->slot, &order); /* the time that it has for it is bounded */
}

static void is_over(struct pool_call *c)
{
	c->phase = ISOLATE__DONE;
}

/* The function was not called: nothing but the code is to be told. */
static void could_not_start(struct pool_call *c, int code, const char *what)
{
	c->facts.start_code = pal_error_set(
		&c->facts.start_error, ISOLATE_STAGE_START, code, "%s", what);
	c->facts.wait_code = -ECHILD;
	is_over(c);
}

/* ---- what happens ---- */

static void snapshot_ended(struct pool_call *c)
{
	c->lost = true;
	c->facts.wait_code = -EOWNERDEAD;
	isolate__pool_lost_error(&c->facts.wait_error);
	/* A worker that has the job dies now, and may come into the function on the way. */
	if (!take_back(&c->slot->area->job) &&
		c->slot->area->shared.marks.progress == ISOLATE__PREPARED)
		c->facts.marks.progress = ISOLATE__ENTERED;
	is_over(c);
}

/* One that waited and died was no part of this call: nothing was taken, and another will do. */
static bool needs_another(const struct pool_call *c)
{
	const struct isolate__area *area = c->slot->area;

	return c->was_stocked && area->shared.marks.progress == ISOLATE__PREPARED &&
	       area->job.state == ISOLATE__JOB_POSTED;
}

static void replace_worker(struct pool_call *c)
{
	int r;

	c->was_stocked = false;
	r = order_worker(c);
	if (r < 0) /* if it has ended, too, that is seen next */
		could_not_start(c, r, "tell the snapshot process");
}

static void worker_ended(struct pool_call *c, const struct isolate__notice *notice)
{
	struct isolate__job *job = &c->slot->area->job;

	if (needs_another(c)) {
		replace_worker(c);
		return;
	}
	c->settled = true;
	c->facts.start_code = notice->start_code;
	c->facts.start_error = notice->start_error;
	c->facts.wait_code = notice->wait_code;
	c->facts.status = notice->status;
	c->facts.status.wall_us = now_us() - c->began_us;
	if (job->error < 0 && c->facts.start_code == 0)
		could_not_start(c, job->error, "what a worker needs for a function");
	c->slot->stocked = notice->next;
	if (notice->next)
		c->slot->generation = notice->next;
	is_over(c);
}

/* Whether there was one, for a worker of any time. */
static bool take_notice(struct pool_call *c)
{
	struct isolate__notice notice;
	int fds[PAL_SOCKET_MAX_FDS];
	size_t fd_count;
	bool fds_lost; /* then that worker is not used */
	ssize_t size = pal_socket_receive_partial(
		c->slot->socket, &notice, sizeof notice, fds, &fd_count, &fds_lost);

	if (size != sizeof notice)
		return false;
	for (size_t i = 0; i < fd_count; i++) {
		pal_close(c->next_line);
		c->next_line = fds[i];
	}
	if (notice.generation == c->slot->generation)
		worker_ended(c, &notice);
	return true;
}

static int reserve_number(struct pool_call *c)
{
	if (c->reserved < 0 && c->call.max_result > ISOLATE__BUFFER_SIZE)
		c->reserved = isolate__lift(eventfd(0, EFD_CLOEXEC));
	return c->reserved < 0 && c->call.max_result > ISOLATE__BUFFER_SIZE ? -errno : 0;
}

static bool lives_on(const struct pool_call *c)
{
	uint32_t state = c->slot->area->job.state, kind = state & ISOLATE__JOB_KIND;

	return (kind == ISOLATE__JOB_AWAITED || kind == ISOLATE__JOB_LISTENED) &&
	       (state & ~ISOLATE__JOB_KIND) == c->slot->generation &&
	       c->slot->area->shared.marks.progress == ISOLATE__COMPLETE;
}

/* What the worker says is only a reason to look; the descriptor is judged with the marks. */
static void take_line(struct pool_call *c)
{
	int fds[PAL_SOCKET_MAX_FDS];
	size_t fd_count;
	bool fds_lost;
	char byte;
	ssize_t size;

	c->reserved = pal_close(c->reserved);
	size = pal_socket_receive_partial(c->slot->line, &byte, 1, fds, &fd_count, &fds_lost);
	if (c->call.memfd < 0 && fd_count == 0)
		(void)reserve_number(c);
	/* A wake-up was not read before the worker ended: told once, before what it has sent. */
	if (size == -EAGAIN || size == -ECONNRESET)
		return;
	if (fds_lost)
		c->line_error = -EMFILE;
	if (size <= 0 && size != -EMSGSIZE) {
		c->slot->line = pal_close(c->slot->line); /* has been shut down */
		return;
	}
	for (size_t i = 0; size > 0 && i < fd_count; i++) {
		pal_close(c->call.memfd);
		c->call.memfd = fds[i];
	}
	if (c->phase == ISOLATE__RUNS && lives_on(c)) {
		c->facts.wait_code = -ECHILD;
		c->slot->stocked = c->settled = true;
		is_over(c);
	}
}

/* ---- time ---- */

static void kill_worker(struct pool_call *c)
{
	c->facts.killed = true;
	order_signal(c, SIGKILL);
	c->phase = ISOLATE__KILLED;
	c->next = PAL_DEADLINE_MS(KILLED_WITHIN_MS);
}

static void out_of_time(struct pool_call *c)
{
	int64_t grace_ms = c->call.options.grace_ms;

	c->facts.timed_out = true;
	c->slot->stocked = false;
	if (take_back(&c->slot->area->job)) {
		c->facts.wait_code = -ECHILD;
		is_over(c);
	} else if (grace_ms == 0) {
		kill_worker(c);
	} else {
		order_signal(c, SIGTERM);
		c->phase = ISOLATE__TOLD;
		c->next = PAL_DEADLINE_MS(grace_ms);
	}
}

static void give_up(struct pool_call *c)
{
	switch (c->phase) {
	case ISOLATE__RUNS:
		out_of_time(c);
		break;
	case ISOLATE__TOLD:
		kill_worker(c);
		break;
	default: /* the snapshot is stopped, or hangs in a handler of fork(3) */
		pal_child_signal(c->slot->snapshot->process, SIGKILL);
		snapshot_ended(c);
	}
}

static int start(struct pool_call *c, struct pal_error *error);

/*
 * A process that an earlier call of a copy left behind has read what was for it, or it stands
 * still. What it could take is taken back, and stays behind with it.
 */
static void give_up_listener(struct pool_call *c)
{
	struct pal_error error;
	int r;

	c->heard = PAL_DEADLINE_NONE;
	if (!take_back(&c->slot->area->job))
		return;
	isolate__slot_drop(c->slot);
	r = start(c, &error);
	if (r < 0)
		could_not_start(c, r, "memory for a call");
}

/* ---- waiting ---- */

static void await_event(struct pool_call *c)
{
	struct pollfd events[] = {
		{.fd = c->slot->socket, .events = POLLIN},
		{.fd = c->slot->line, .events = POLLIN},
		{.fd = pal_child_peek_pidfd(c->slot->snapshot->process), .events = POLLIN},
	};
	pal_deadline next = c->heard < c->next ? c->heard : c->next;
	int count = poll(events, 3, pal_deadline_left_ms(next));

	if (count > 0 && events[1].revents)
		take_line(c);
	if (count > 0 && events[0].revents && c->phase != ISOLATE__DONE)
		(void)take_notice(c);
	if (count > 0 && events[2].revents && c->phase != ISOLATE__DONE) {
		while (c->phase != ISOLATE__DONE && take_notice(c))
			; /* what it has still told */
		if (c->phase != ISOLATE__DONE)
			snapshot_ended(c);
	}
	if (c->phase != ISOLATE__DONE && pal_deadline_left_ms(c->next) == 0)
		give_up(c);
	if (c->phase == ISOLATE__RUNS && pal_deadline_left_ms(c->heard) == 0)
		give_up_listener(c);
}

/* ---- the whole ---- */

static int start(struct pool_call *c, struct pal_error *error)
{
	struct isolate__slot *slot = c->slot;
	int r = reserve_number(c);

	if (r < 0)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, r, "a number for a long result");
	r = isolate__slot_prepare(slot, c->in_size);
	if (r == 0)
		r = isolate__slot_fill(slot, c->in, c->in_size);
	if (r < 0)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, r, "memory for a call");
	write_job(c);
	c->call.shared = &slot->area->shared;
	c->was_stocked = slot->stocked;
	slot->stocked = false;
	r = post(c);
	if (r == 0 && !c->was_stocked)
		r = order_worker(c);
	if (r == -EPIPE || r == -ECONNRESET)
		snapshot_ended(c);
	else if (r < 0 && take_back(&slot->area->job))
		could_not_start(c, r, "tell a worker, or the snapshot process");
	return 0;
}

/* The descriptor that came last has to be the file that the marks are about. Whether it is. */
static bool find_memfd(struct pool_call *c)
{
	const struct isolate__job *job = &c->slot->area->job;
	struct stat st;

	for (int i = 0; i < LINE_MESSAGES; i++) {
		struct pollfd more = {.fd = c->slot->line, .events = POLLIN};

		if (c->call.memfd >= 0 && fstat(c->call.memfd, &st) == 0 &&
			st.st_dev == job->memfd_device && st.st_ino == job->memfd_inode) {
			c->call.memfd_device = st.st_dev;
			c->call.memfd_inode = st.st_ino;
			return true;
		}
		if (c->slot->line < 0 || poll(&more, 1, 0) <= 0)
			break;
		take_line(c);
	}
	return false;
}

static void check_memfd(struct pool_call *c)
{
	struct isolate__marks *marks = &c->facts.marks;

	if (marks->progress == ISOLATE__COMPLETE && !marks->write_error &&
		marks->size > ISOLATE__BUFFER_SIZE && !find_memfd(c))
		marks->write_error = c->line_error ? c->line_error : -EPIPE;
}

static void conclude(struct pool_call *c, struct isolate_result *result)
{
	uint32_t forced = c->facts.marks.progress;

	if (c->slot->area) {
		/* Nobody comes for it late; who has it already is known to have ended. */
		(void)take_back(&c->slot->area->job);
		c->facts.marks = c->slot->area->shared.marks;
	} else { /* the job was taken back, and there was nothing to put it into again */
		c->call.shared = NULL;
		c->facts.marks.progress = ISOLATE__PREPARED;
	}
	if (forced && c->facts.marks.progress == ISOLATE__PREPARED)
		c->facts.marks.progress = forced;
	if (c->slot->area)
		check_memfd(c);
	isolate__conclude(&c->call, &c->facts, result);
	if (c->lost && !c->facts.timed_out && result->error.code == -EOWNERDEAD)
		result->error.stage = ISOLATE_STAGE_SNAPSHOT;
	c->call.memfd = pal_close(c->call.memfd);
	c->reserved = pal_close(c->reserved);
}

static void leave(struct pool_call *c)
{
	struct isolate__slot *slot = c->slot;

	isolate__slot_shrink(slot, c->in_size);
	if (c->settled && slot->stocked && c->facts.wait_code == 0) { /* the last one has ended */
		pal_close(slot->line);
		slot->line = isolate__lift(c->next_line);
		c->next_line = -1;
	}
	c->next_line = pal_close(c->next_line);
	/* A worker that nobody knows the end of may yet look into its area for a job. */
	if (slot->area &&
		(!c->settled || slot->line < 0 || !isolate__area_is_clean(slot->area)))
		isolate__slot_drop(slot);
	isolate__pool_release(c->pool, slot, c->lost);
}

static int check(struct pool_call *c, const struct isolate_options *options, struct pal_error *error)
{
	int r;

	if (c->pool->owner != getpid())
		return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, -EPERM,
			"another process has made this pool");
	r = isolate__pool_call_options(c->pool, options, &c->call.options, error);
	if (r < 0)
		return r;
	if (!c->fn || (c->in_size && !c->in) || c->in_size > INT64_MAX / 2)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL,
			"no function to call, or no input where there is some");
	c->call.max_result =
		c->call.options.max_result ? c->call.options.max_result : c->pool->max_result;
	c->call.deadline = c->call.options.deadline_ms ? PAL_DEADLINE_MS(c->call.options.deadline_ms)
						       : PAL_DEADLINE_NONE;
	c->next = c->call.deadline;
	return 0;
}

static int call_in_slot(struct pool_call *c, struct isolate_result *result, struct pal_error *error)
{
	int r = 0;

	if (!isolate__code_has(c->slot->snapshot->code, (const void *)c->fn))
		r = pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, -ENOEXEC,
			"the snapshot has no function at %p", (const void *)c->fn);
	if (r == 0)
		r = start(c, error);
	if (r < 0) {
		c->reserved = pal_close(c->reserved);
		isolate__pool_release(c->pool, c->slot, false);
		return r;
	}
	while (c->phase != ISOLATE__DONE)
		await_event(c);
	conclude(c, result);
	leave(c);
	return 0;
}

enum isolate_answer isolate_pool_call(struct isolate_pool *pool, isolate_pool_fn fn, const void *in,
	size_t in_size, const struct isolate_options *options, struct isolate_result *result)
{
	struct pool_call c = {.pool = pool,
		.fn = fn,
		.in = in,
		.in_size = in_size,
		.call = {.memfd = -1},
		.phase = ISOLATE__RUNS,
		.heard = PAL_DEADLINE_NONE,
		.reserved = -1,
		.next_line = -1};
	struct pal_error error;
	int cancel_state, r;

	if (!result)
		return ISOLATE_NOT_EXECUTED;
	*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED};
	/* Unwinding from here by pthread_cancel would leave the place taken. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = check(&c, options, &error);
	if (r == 0)
		r = isolate__pool_acquire(pool, c.call.deadline, &c.slot, &error);
	if (r == 0)
		r = call_in_slot(&c, result, &error);
	if (r < 0)
		result->error = error;
	pthread_setcancelstate(cancel_state, NULL);
	return result->answer;
}
