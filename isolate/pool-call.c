/* SPDX-License-Identifier: MIT */

/* One call, from its place in the queue to its answer. */
#include <isolate/pool-call-priv.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <pal/process-mark.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/* How long the snapshot may take to tell of the end of a worker that was to be killed. */
#define KILLED_WITHIN_MS 2000
/* How long a copy that waits for a job may take to take it. */
#define HEARD_WITHIN_MS 100

#define PLACE(fd) PAL_PRIVATE_PLACE(struct pool_call, private, fd)
static const ptrdiff_t private_places[] = {PLACE(call.memfd), PLACE(reserved), PLACE(next_line),
	PLACE(replaced)};
static const struct pal_private_layout private_layout = {
	.count = PAL_ARRAY_LENGTH(private_places), .places = private_places};

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

static int post(struct pool_call *c)
{
	bool waits;
	int r;

	c->began_us = now_us();
	r = isolate__job_post(c->slot, &waits);
	c->heard = waits ? PAL_DEADLINE_MS(HEARD_WITHIN_MS) : PAL_DEADLINE_NONE;
	return r;
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
	if (!isolate__job_take_back(c->slot) &&
		c->slot->area->shared.marks.progress == ISOLATE__PREPARED)
		c->facts.marks.progress = ISOLATE__ENTERED;
	is_over(c);
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

	/* One that waited and died was no part of this call: nothing was taken, and another will do. */
	if (c->was_stocked && isolate__job_is_untouched(c->slot)) {
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

/* Between pal_private_begin and _end. */
static void keep_last(const int *fds, size_t count, int *ret)
{
	for (size_t i = 0; i < count; i++) {
		pal_close(*ret);
		*ret = fds[i];
	}
}

/* Whether there was one, for a worker of any time. */
static bool take_notice(struct pool_call *c)
{
	struct isolate__notice notice;
	int fds[PAL_SOCKET_MAX_FDS];
	size_t fd_count;
	bool fds_lost; /* then that worker is not used */
	bool held = pal_private_begin();
	ssize_t size = pal_socket_receive_partial(
		c->slot->socket, &notice, sizeof notice, fds, &fd_count, &fds_lost);

	keep_last(fds, size == sizeof notice ? fd_count : 0, &c->next_line);
	pal_private_end(held);
	if (size != sizeof notice)
		return false;
	if (notice.generation == 0) /* to an order; perhaps to one of a call before this */
		c->snapshot_answers |= notice.next == c->slot->generation;
	else if (notice.generation == c->slot->generation)
		worker_ended(c, &notice);
	return true;
}

static void kill_worker(struct pool_call *c)
{
	c->facts.killed = true;
	order_signal(c, SIGKILL);
	c->phase = ISOLATE__KILLED;
	c->next = PAL_DEADLINE_MS(KILLED_WITHIN_MS);
}

/* Whether or not the copy may be used again: SIGTERM may still be on its way to it. */
static void job_is_done(struct pool_call *c)
{
	if (c->phase == ISOLATE__RUNS) {
		c->facts.wait_code = -ECHILD;
		c->slot->stocked = c->settled = true;
		is_over(c);
	} else if (c->phase == ISOLATE__TOLD) {
		kill_worker(c);
	}
}

static void take_line(struct pool_call *c)
{
	isolate__long_result_receive(c);
	if (isolate__job_is_done(c->slot))
		job_is_done(c);
}

/* ---- time ---- */

static void out_of_time(struct pool_call *c)
{
	int64_t grace_ms = c->call.options.grace_ms;

	c->facts.timed_out = true;
	c->slot->stocked = false;
	if (isolate__job_take_back(c->slot)) {
		c->facts.wait_code = -ECHILD;
		c->facts.withdrawn = true;
		order_signal(c, SIGKILL); /* who comes late for it finds nothing, and would wait for more */
		is_over(c);
	} else if (grace_ms == 0) {
		kill_worker(c);
	} else {
		order_signal(c, SIGTERM);
		c->phase = ISOLATE__TOLD;
		c->next = PAL_DEADLINE_MS(grace_ms);
	}
}

/*
 * It has been killed, and takes longer to end: it has much memory and no CPU to give that back
 * with, or a tracer or a device holds it. That is its place's affair, and no other call's.
 */
static void abandon_copy(struct pool_call *c)
{
	c->facts.wait_code = -ECHILD;
	is_over(c);
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
	default:
		if (c->snapshot_answers) {
			abandon_copy(c);
			break;
		}
		/* It is stopped, or hangs in a handler of fork(3). */
		pal_child_signal(c->slot->snapshot->process, SIGKILL);
		snapshot_ended(c);
	}
}

static int start(struct pool_call *c, struct pal_error *error);

/*
 * The copy stands still, or a process that an earlier call of it left behind has read what was
 * for it. What it could take is taken back, and stays behind with it.
 */
static void give_up_waiting_copy(struct pool_call *c)
{
	struct pal_error error;
	int r;

	c->heard = PAL_DEADLINE_NONE;
	if (!isolate__job_take_back(c->slot))
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
		give_up_waiting_copy(c);
}

/* ---- the whole ---- */

static int start(struct pool_call *c, struct pal_error *error)
{
	struct isolate__slot *slot = c->slot;
	int r = isolate__long_result_reserve(c);

	if (r < 0)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, r, "a number for a long result");
	r = isolate__slot_prepare(slot, c->in_size);
	if (r == 0)
		r = isolate__slot_fill(slot, c->in, c->in_size);
	if (r < 0) {
		isolate__slot_shrink(slot, c->in_size);
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, r, "memory for a call");
	}
	write_job(c);
	c->call.shared = &slot->area->shared;
	c->was_stocked = slot->stocked;
	slot->stocked = false;
	r = post(c);
	if (r == 0 && !c->was_stocked)
		r = order_worker(c);
	if (r == -EPIPE || r == -ECONNRESET)
		snapshot_ended(c);
	else if (r < 0 && isolate__job_take_back(slot))
		could_not_start(c, r, "tell a worker, or the snapshot process");
	return 0;
}

static void conclude(struct pool_call *c, struct isolate_result *result)
{
	uint32_t forced = c->facts.marks.progress;

	if (c->slot->area) {
		/* Nobody comes for it late; who has it already has ended, or was killed. */
		(void)isolate__job_take_back(c->slot);
		c->facts.marks = c->slot->area->shared.marks;
	} else { /* the job was taken back, and there was nothing to put it into again */
		c->call.shared = NULL;
		c->facts.marks.progress = ISOLATE__PREPARED;
	}
	if (forced && c->facts.marks.progress == ISOLATE__PREPARED)
		c->facts.marks.progress = forced;
	if (c->slot->area)
		isolate__long_result_check(c);
	isolate__conclude(&c->call, &c->facts, result);
	if (c->lost && !c->facts.timed_out && result->error.code == -EOWNERDEAD)
		result->error.stage = ISOLATE_STAGE_SNAPSHOT;
	isolate__slot_close_slowly(c->slot, &c->call.memfd);
	pal_private_close(&c->reserved);
}

static void take_next_line(struct pool_call *c)
{
	bool held;

	isolate__slot_close_line(c->slot);
	held = pal_private_begin();
	c->slot->line = isolate__lift(c->next_line);
	c->next_line = -1;
	pal_private_end(held);
}

static void leave(struct pool_call *c)
{
	struct isolate__slot *slot = c->slot;

	isolate__slot_shrink(slot, c->in_size);
	if (c->settled && slot->stocked && c->facts.wait_code == 0) /* the last one has ended */
		take_next_line(c);
	pal_private_close(&c->next_line);
	/* A worker that nobody knows the end of may yet look into its area for a job. */
	if (slot->area &&
		(!c->settled || slot->line < 0 || !isolate__area_is_clean(slot->area)))
		isolate__slot_drop(slot);
	isolate__pool_release(c->pool, slot, c->lost);
}

static int check(struct pool_call *c, const struct isolate_options *options, struct pal_error *error)
{
	int r;

	if (c->pool->owner != pal_process_mark())
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
	int r = isolate__code_check(c->slot->snapshot->code, (const void *)c->fn, error);

	if (r == 0)
		r = start(c, error);
	if (r < 0) {
		pal_private_close(&c->reserved);
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
		.next_line = -1,
		.replaced = -1};
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
	if (r == 0) {
		pal_private_add(&c.private, &private_layout);
		r = call_in_slot(&c, result, &error);
		pal_private_remove(&c.private);
	}
	if (r < 0)
		result->error = error;
	pthread_setcancelstate(cancel_state, NULL);
	return result->answer;
}
