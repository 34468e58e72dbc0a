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
struct reaper {
	struct pal__process_own own; /* first */
	pthread_mutex_t lock;
	int epoll; /* -1: no thread */
	int wake;  /* an eventfd in the set, to call the thread */
	struct pal_child *children;
};

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
		epoll_ctl(reaper->epoll, EPOLL_CTL_DEL, child->pidfd, NULL);
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
		reaper->epoll = reaper->wake = -1;
	pthread_mutex_unlock(&reaper->lock);
	return done;
}

static void wake(void *arg)
{
	pal_raise_event(*(int *)arg);
}

static void reap_some(struct reaper *reaper, int epoll, int wake_fd)
{
	struct epoll_event ready[READY_AT_ONCE];
	int count = epoll_wait(epoll, ready, READY_AT_ONCE, -1);
	bool again = false;

	for (int i = 0; i < count; i++) {
		if (ready[i].data.ptr)
			again |= !settle(reaper, ready[i].data.ptr);
		else
			pal_lower_event(wake_fd);
	}
	pal__threads_take_part();
	if (again)
		poll(NULL, 0, PAL__TRACED_NAP_MS);
}

static void *reap_all(void *arg)
{
	struct reaper *reaper = arg;
	int epoll = reaper->epoll, wake_fd = reaper->wake;
	struct pal__helper self;

	pal__helper_enter(&self, "pal-reap", wake, &wake_fd);
	do
		reap_some(reaper, epoll, wake_fd);
	while (!is_done(reaper));
	pal__helper_leave(&self);
	pal_close(epoll);
	pal_close(wake_fd);
	return NULL;
}

/* ---- the reaper of this process ---- */

static void init_reaper(struct pal__process_own *fresh)
{
	struct reaper *reaper = (struct reaper *)fresh;

	reaper->epoll = reaper->wake = -1;
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

	return epoll_ctl(reaper->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_set(struct reaper *reaper)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	reaper->epoll = fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	reaper->wake = fd;
	return watch(reaper, fd, NULL);
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
		pal_close(pal_take_fd(&reaper->epoll));
		pal_close(pal_take_fd(&reaper->wake));
	}
	return r;
}

int pal__detach(struct pal_child *child)
{
	struct reaper *reaper = get_reaper();
	int r = -ENOMEM;

	for (int i = 0; i < 3; i++)
		pal_close(pal_take_fd(&child->stdio[i]));
	pal_close(pal_take_fd(&child->notify_fd));
	if (reaper) {
		pthread_mutex_lock(&reaper->lock);
		r = reaper->epoll < 0 ? start(reaper, child) : watch(reaper, child->pidfd, child);
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
