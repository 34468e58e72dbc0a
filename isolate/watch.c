/* SPDX-License-Identifier: MIT */

/*
 * One descriptor for all that a run waits for: an epoll set of the pidfd, the
 * captured streams and a timer. Descriptors are taken out of it before they are
 * closed: another child may have copies, and the set would go on telling of them.
 */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

#define NS_PER_SECOND 1000000000
#define AGAIN_NS 5000000

static int add(const struct isolate_run *run, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(run->watch.epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void isolate__watch_forget(struct isolate_run *run, int fd)
{
	if (run->watch.epoll >= 0)
		epoll_ctl(run->watch.epoll, EPOLL_CTL_DEL, fd, NULL);
}

void isolate__watch_forget_child(struct isolate_run *run)
{
	if (run->watch.child)
		isolate__watch_forget(run, pal_child_peek_pidfd(run->call.child));
	run->watch.child = false;
}

/* Also on failure: then the timer looks after it. */
static int watch_child(struct isolate_run *run)
{
	/* In the end it is what nobody can read away: it shows the end for ever. */
	bool is_done = run->phase == ISOLATE__DONE;
	bool wanted = (run->phase <= ISOLATE__KILLED && !run->held) || (is_done && run->call.child);
	int r = 0;

	if (!wanted) {
		isolate__watch_forget_child(run);
	} else if (!run->watch.child) {
		r = add(run, pal_child_peek_pidfd(run->call.child));
		run->watch.child = r == 0;
	}
	return is_done ? 0 : r;
}

static void set_timer(const struct isolate_run *run)
{
	struct itimerspec at = {{0}, {0}};
	pal_deadline next = run->next;

	if (run->phase <= ISOLATE__KILLED && !run->watch.child) {
		pal_deadline nap = PAL_DEADLINE_MS(ISOLATE__HELD_NAP_MS);

		next = nap < next ? nap : next;
	}
	if (next != PAL_DEADLINE_NONE) {
		at.it_value.tv_sec = (time_t)(next / NS_PER_SECOND);
		at.it_value.tv_nsec = next % NS_PER_SECOND;
	}
	/*
	 * Another process with a copy may read that it has expired: then it does again. Costs
	 * nothing where nobody reads: the kernel goes on with the intervals in a read.
	 */
	at.it_interval.tv_nsec = AGAIN_NS;
	if (next == PAL_DEADLINE_NOW) /* zero would be never */
		at.it_value.tv_nsec = 1;
	timerfd_settime(run->watch.timer, TFD_TIMER_ABSTIME, &at, NULL);
}

void isolate__watch_update(struct isolate_run *run)
{
	if (run->watch.epoll < 0)
		return;
	watch_child(run);
	set_timer(run);
}

void isolate__watch_close(struct isolate_run *run)
{
	pal_private_close(&run->watch.epoll);
	pal_private_close(&run->watch.timer);
	run->watch.child = false;
}

static int open_both(struct isolate__watch *watch)
{
	bool held = pal_private_begin();
	int r = 0;

	watch->epoll = isolate__lift(epoll_create1(EPOLL_CLOEXEC));
	if (watch->epoll >= 0)
		watch->timer = isolate__lift(
			timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (watch->epoll < 0 || watch->timer < 0)
		r = -errno;
	pal_private_end(held);
	return r;
}

static int open_all(struct isolate_run *run)
{
	int r = open_both(&run->watch);

	if (r == 0)
		r = add(run, run->watch.timer);
	if (r == 0)
		r = watch_child(run);
	for (int i = 0; i < 2 && r == 0; i++)
		if (run->captures[i].fd >= 0)
			r = add(run, run->captures[i].fd);
	return r;
}

int isolate_run_fd(struct isolate_run *run)
{
	int r = 0;

	if (!run)
		return -EINVAL;
	if (run->owner != pal_process_mark())
		return -EPERM;
	if (run->watch.epoll >= 0)
		return run->watch.epoll;
	r = open_all(run);
	if (r < 0) {
		isolate__watch_close(run);
		return r;
	}
	set_timer(run);
	return run->watch.epoll;
}
