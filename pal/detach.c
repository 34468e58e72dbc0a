/* SPDX-License-Identifier: MIT */
#include <pal/detach-priv.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <pal/helper-thread-priv.h>
#include <pal/process-own-priv.h>
#include <pal/streams-priv.h>
#include <pal/threads-priv.h>
#include <pal/util-priv.h>

/*
 * Children that run on without a handle, and the thread that reaps them. It
 * watches their pidfds in an epoll set; thread and set are there from the first
 * child until the last one has ended.
 */
struct ends {
	struct pal_private private; /* forked children are not to have them */
	int epoll;                  /* -1: no thread */
	int wake;                   /* an eventfd in the set, to call the thread */
};
struct reaper {
	struct pal__process_own own; /* first */
	pthread_mutex_t lock;
	struct ends ends; /* of the thread, until it leaves */
	struct pal_child *children;
};
#define PLACE(fd) PAL_PRIVATE_PLACE(struct ends, private, fd)
static const ptrdiff_t private_places[] = {PLACE(epoll), PLACE(wake)};
static const struct pal_private_layout private_layout = {
	.count = PAL_ARRAY_LENGTH(private_places), .places = private_places};

static struct pal__process_own *_Atomic current;

#define READY_AT_ONCE 16

/* ---- the children ---- */

static void list_add(struct reaper *reaper, struct pal_child *child)
{
	child->next = reaper->children;
	child->link = &reaper->children;
	if (child->next)
		child->next->link = &child->next;
	reaper->children = child;
}

static void list_remove(struct pal_child *child)
{
	*child->link = child->next;
	if (child->next)
		child->next->link = child->link;
}

/* ---- the thread ---- */

/* Whether that has been the end of it; else its tracer has it still, and it remains "ready". */
static bool settle(struct reaper *reaper, struct pal_child *child)
{
	bool ended;

	pthread_mutex_lock(&reaper->lock);
	ended = pal__child_reap(child) == 0;
	if (ended) {
		/* Before the close, which is not the last one where a fork has a copy. */
		epoll_ctl(reaper->ends.epoll, EPOLL_CTL_DEL, child->pidfd, NULL);
		list_remove(child);
		pal__child_release(child);
	}
	pthread_mutex_unlock(&reaper->lock);
	return ended;
}

/* Whether there is nobody left to wait for. A child that comes later gets another thread, and set. */
static bool is_done(struct reaper *reaper)
{
	bool done;

	pthread_mutex_lock(&reaper->lock);
	done = !reaper->children;
	if (done)
		reaper->ends.epoll = reaper->ends.wake = -1;
	pthread_mutex_unlock(&reaper->lock);
	return done;
}

static void wake(void *arg)
{
	pal_raise_event(*(int *)arg);
}

static void reap_some(struct reaper *reaper, const struct ends *ends)
{
	struct epoll_event ready[READY_AT_ONCE];
	int count = epoll_wait(ends->epoll, ready, READY_AT_ONCE, -1);
	bool again = false;

	for (int i = 0; i < count; i++) {
		if (ready[i].data.ptr)
			again |= !settle(reaper, ready[i].data.ptr);
		else
			pal_lower_event(ends->wake);
	}
	pal__threads_take_part();
	if (again)
		poll(NULL, 0, PAL__TRACED_NAP_MS);
}

static void *reap_all(void *arg)
{
	struct reaper *reaper = arg;
	struct ends ends = {.epoll = -1, .wake = -1};
	struct pal__helper self;

	pal_private_add(&ends.private, &private_layout);
	ends.epoll = reaper->ends.epoll;
	ends.wake = reaper->ends.wake;
	pal__helper_enter(&self, "pal-reap", wake, &ends.wake);
	do
		reap_some(reaper, &ends);
	while (!is_done(reaper));
	pal__helper_leave(&self);
	pal_private_close(&ends.epoll);
	pal_private_close(&ends.wake);
	pal_private_remove(&ends.private);
	return NULL;
}

/* ---- the reaper of this process ---- */

static void init_reaper(struct pal__process_own *fresh)
{
	struct reaper *reaper = (struct reaper *)fresh;

	reaper->ends.epoll = reaper->ends.wake = -1;
	pthread_mutex_init(&reaper->lock, NULL);
}

/* In a fork the parent's children are none of its own. */
static struct reaper *get_reaper(void)
{
	return (struct reaper *)pal__process_own_get(&current, sizeof(struct reaper), init_reaper);
}

/* ---- detaching ---- */

static int watch(struct reaper *reaper, int fd, struct pal_child *child)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = child};

	return epoll_ctl(reaper->ends.epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_ends(struct ends *ends)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	ends->epoll = fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	ends->wake = fd;
	return 0;
}

static int open_set(struct reaper *reaper)
{
	bool held;
	int r;

	/* Not where it is made: that may be freed again. */
	if (!reaper->ends.private.layout)
		pal_private_add(&reaper->ends.private, &private_layout);
	held = pal_private_begin();
	r = open_ends(&reaper->ends);
	pal_private_end(held);
	return r < 0 ? r : watch(reaper, reaper->ends.wake, NULL);
}

/* The first child: set and thread, which finds the child there. */
static int start(struct reaper *reaper, struct pal_child *child)
{
	pthread_t thread;
	int r = open_set(reaper);

	if (r == 0)
		r = watch(reaper, child->pidfd, child);
	if (r == 0)
		r = pal__helper_thread_start(&thread, PAL__THREAD_DETACHED, reap_all, reaper);
	if (r < 0) {
		pal_private_close(&reaper->ends.epoll);
		pal_private_close(&reaper->ends.wake);
	}
	return r;
}

int pal__detach(struct pal_child *child)
{
	struct reaper *reaper = get_reaper();
	int r = -ENOMEM;

	for (int i = 0; i < 3; i++)
		pal_close(pal__child_take_stdio(child, i));
	pal_private_close(&child->notify_fd);
	if (reaper) {
		pthread_mutex_lock(&reaper->lock);
		r = reaper->ends.epoll < 0 ? start(reaper, child) : watch(reaper, child->pidfd, child);
		if (r == 0)
			list_add(reaper, child);
		pthread_mutex_unlock(&reaper->lock);
	}
	if (r < 0) {
		/* Its death thread stays, whose end would be the signal; so does a lifeline. */
		child->lifeline = (struct pal__lifeline)PAL__LIFELINE_INIT;
		pal__child_release(child);
	}
	return r;
}

static int detach(struct pal_child *child, struct pal_error *error)
{
	int pid = (int)child->pid, r;

	if (!pal__child_is_own(child) || pal__child_reap(child) == 0) {
		pal_child_free(child);
		return 0;
	}
	r = pal__detach(child);
	if (r < 0)
		return pal_error_set(
			error, PAL_STAGE_WAIT, r, "thread that reaps detached child %d", pid);
	return 0;
}

int pal_child_detach(struct pal_child *child, struct pal_error *error)
{
	int cancel_state, r;

	if (!child)
		return 0;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = detach(child, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}
