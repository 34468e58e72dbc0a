/* SPDX-License-Identifier: MIT */

/*
 * What happens between the start of a child and its outcome. Nothing here waits but
 * isolate__run_await.
 */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

/*
 * How long a killed child may be kept from its end by a tracer, or by a device that does not
 * answer.
 */
#define KILLED_WITHIN_MS 2000

/* ---- captured streams ---- */

static bool is_capturing(const struct isolate_run *run)
{
	return run->captures[0].fd >= 0 || run->captures[1].fd >= 0;
}

static void close_capture(struct isolate_run *run, struct isolate__capture *capture)
{
	if (capture->fd < 0)
		return;
	isolate__watch_forget(run, capture->fd);
	pal_private_close(&capture->fd);
}

static void read_captures(struct isolate_run *run)
{
	for (int i = 0; i < 2; i++)
		if (run->captures[i].fd >= 0 && !isolate__capture_read(&run->captures[i]))
			close_capture(run, &run->captures[i]);
}

/* ---- from phase to phase ---- */

static void enter(struct isolate_run *run, enum isolate__phase phase, pal_deadline next)
{
	run->phase = phase;
	run->next = next;
}

static void is_done(struct isolate_run *run)
{
	enter(run, ISOLATE__DONE, PAL_DEADLINE_NOW);
	for (int i = 0; i < 2; i++)
		close_capture(run, &run->captures[i]);
}

static void has_ended(struct isolate_run *run)
{
	int64_t drain_ms = run->call.options.drain_ms;
	pal_deadline drained = PAL_DEADLINE_NOW;

	if (drain_ms >= 0 && !run->facts.timed_out && !run->facts.cancelled)
		drained = PAL_DEADLINE_MS(drain_ms ? drain_ms : ISOLATE_DRAIN_MS);
	if (run->call.deadline < drained)
		drained = run->call.deadline;
	run->held = false;
	isolate__watch_forget_child(run);
	read_captures(run);
	if (is_capturing(run))
		enter(run, ISOLATE__DRAINS, drained);
	else
		is_done(run);
}

void isolate__run_kill(struct isolate_run *run)
{
	int r = pal_child_signal(run->call.child, SIGKILL);

	run->facts.killed = r == 0 || r == -ESRCH;
	enter(run, ISOLATE__KILLED, PAL_DEADLINE_MS(KILLED_WITHIN_MS));
}

/* Where its end shows, and still there is nothing to be had, a tracer comes first. */
static void take_end(struct isolate_run *run)
{
	struct isolate__facts *facts = &run->facts;
	int r;

	r = pal_child_try_wait(run->call.child, &facts->status, &facts->wait_error);
	run->held = r == 0;
	if (run->held)
		return;
	facts->wait_code = r < 0 ? r : 0;
	has_ended(run);
}

/* The time for this phase is over. */
static void give_up(struct isolate_run *run)
{
	int64_t grace_ms = run->call.options.grace_ms;

	switch (run->phase) {
	case ISOLATE__RUNS:
		run->facts.timed_out = true;
		if (grace_ms == 0) {
			isolate__run_kill(run);
			break;
		}
		pal_child_signal(run->call.child, SIGTERM);
		enter(run, ISOLATE__TOLD, PAL_DEADLINE_MS(grace_ms));
		break;
	case ISOLATE__TOLD:
		isolate__run_kill(run);
		break;
	case ISOLATE__KILLED:
		take_end(run); /* that may not have shown: something has replaced the pidfd */
		if (run->phase != ISOLATE__KILLED)
			break;
		run->facts.wait_code = -ETIMEDOUT;
		has_ended(run);
		break;
	case ISOLATE__DRAINS:
		run->cut_off = true;
		is_done(run);
		break;
	case ISOLATE__DONE:
		break;
	}
}

/* ---- without waiting ---- */

/* A pidfd that is lost (child.h) shows nothing. */
static bool shows_end(const struct isolate_run *run)
{
	struct pollfd end = {.fd = pal_child_peek_pidfd(run->call.child), .events = POLLIN};

	return end.fd < 0 || poll(&end, 1, 0) > 0;
}

bool isolate__run_advance(struct isolate_run *run)
{
	read_captures(run);
	if (run->phase <= ISOLATE__KILLED && shows_end(run))
		take_end(run);
	if (run->phase == ISOLATE__DRAINS && !is_capturing(run))
		is_done(run);
	if (run->phase < ISOLATE__DONE && pal_deadline_left_ms(run->next) == 0)
		give_up(run);
	return run->phase == ISOLATE__DONE;
}

int isolate_progress(struct isolate_run *run)
{
	int cancel_state;

	/* In a fork the child is somebody else's: that is all there is to know. */
	if (!run || run->owner != pal_process_mark())
		return 1;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	isolate__run_advance(run);
	isolate__watch_update(run);
	pthread_setcancelstate(cancel_state, NULL);
	return run->phase == ISOLATE__DONE;
}

/* ---- waiting ---- */

/* The child alone: nothing else can happen. */
static void await_child(struct isolate_run *run)
{
	struct isolate__facts *facts = &run->facts;

	facts->wait_code =
		pal_child_wait(run->call.child, run->next, &facts->status, &facts->wait_error);
	if (facts->wait_code == -ETIMEDOUT)
		give_up(run);
	else
		has_ended(run);
}

static void await_any(struct isolate_run *run)
{
	int left = pal_deadline_left_ms(run->next);
	struct pollfd events[] = {
		{.fd = run->captures[0].fd, .events = POLLIN},
		{.fd = run->captures[1].fd, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};

	if (run->held && (left < 0 || left > ISOLATE__HELD_NAP_MS))
		left = ISOLATE__HELD_NAP_MS;
	if (!run->held && run->phase <= ISOLATE__KILLED)
		events[2].fd = pal_child_peek_pidfd(run->call.child);
	poll(events, 3, left);
}

void isolate__run_await(struct isolate_run *run)
{
	while (run->phase != ISOLATE__DONE)
		if (run->phase <= ISOLATE__KILLED && !is_capturing(run))
			await_child(run);
		else if (!isolate__run_advance(run) && is_capturing(run))
			await_any(run);
}
