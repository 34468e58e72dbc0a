/* SPDX-License-Identifier: MIT */
#include <mesh/poller-priv.h>

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include <pal/helper.h>
#include <pal/util-priv.h>

/* ---- waiting threads ---- */

static int monotonic_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int result;

	result = pthread_condattr_init(&attr);
	if (result)
		return -result;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	result = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -result;
}

int mesh__waiter_init(struct mesh__waiter *waiter)
{
	*waiter = (struct mesh__waiter){0};
	return monotonic_cond_init(&waiter->wake);
}

void mesh__waiter_deinit(struct mesh__waiter *waiter)
{
	pthread_cond_destroy(&waiter->wake);
}

static void poke(struct mesh__poller *poller)
{
	pal_raise_event(poller->wake_fd);
}

void mesh__waiter_wake(struct mesh__waiter *waiter)
{
	struct mesh__poller *poller = waiter->driving;

	pthread_cond_signal(&waiter->wake);
	if (poller) {
		waiter->driving = NULL; /* one poke is enough */
		poke(poller);
	}
}

static bool cond_sleep(pthread_cond_t *cond, pthread_mutex_t *lock, pal_deadline deadline)
{
	struct timespec until;

	if (deadline == PAL_DEADLINE_NONE)
		return !pthread_cond_wait(cond, lock);
	until.tv_sec = deadline / 1000000000;
	until.tv_nsec = deadline % 1000000000;
	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

bool mesh__waiter_sleep(struct mesh__waiter *waiter, pthread_mutex_t *lock, pal_deadline deadline)
{
	return cond_sleep(&waiter->wake, lock, deadline);
}

/* ---- driving ---- */

static void handle(struct mesh__poller *poller, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == &poller->wake_fd)
			pal_lower_event(poller->wake_fd);
		else if (events[i].data.ptr == &poller->timer_fd)
			pal_lower_event(poller->timer_fd);
		else
			poller->ops->ready(poller, events[i].data.ptr, events[i].events);
	}
	poller->ops->after(poller);
}

/* The home where it does not drive: the base, or the I/O thread if it rests. */
static void wake_home(struct mesh__poller *poller)
{
	if (!poller->home_event && !poller->home_rests)
		return;
	poller->home_rests = false; /* one call is enough */
	pal_raise_event(poller->home_fd);
}

static void wake_one(struct mesh__poller *poller)
{
	struct mesh__waiter *waiter = TAILQ_FIRST(&poller->waiters);

	if (waiter)
		mesh__waiter_wake(waiter);
}

/* One wait on the set and what comes of it. The caller has made sure that nobody drives. `waiter` NULL: the home. */
static int drive(struct mesh__poller *poller, struct mesh__waiter *waiter, int timeout_ms)
{
	struct epoll_event events[MESH__EVENTS_PER_TURN];
	int count;

	poller->driven = true;
	if (waiter)
		waiter->driving = poller;
	poller->ops->unlock(poller);
	/* The home thread's call may have been for a poke that another one has taken, which drove before. */
	if (!waiter)
		pal_helper_take_part();
	count = epoll_wait(poller->epoll_fd, events, MESH__EVENTS_PER_TURN, timeout_ms);
	if (!waiter)
		pal_helper_take_part();
	pthread_mutex_lock(poller->lock);
	poller->home_drives = false;
	if (waiter)
		waiter->driving = NULL;
	if (count > 0)
		handle(poller, events, count);
	poller->driven = false;
	return count;
}

/* It is no use to wait for oneself: for a callback that this thread is in, or a base that it runs. */
static bool is_home_thread(const struct mesh__poller *poller)
{
	return poller->has_home_thread && pthread_equal(poller->home_thread, pthread_self());
}

/* Whether a thread that could drive lets the home go first, no longer than until poller->home_patience. */
static bool home_goes_first(struct mesh__poller *poller)
{
	if (!poller->has_home_thread || is_home_thread(poller) || !poller->ops->home_is_behind(poller)) {
		poller->home_patience = 0;
		return false;
	}
	if (!poller->home_patience || poller->home_calls != poller->home_calls_seen) {
		poller->home_patience = pal_deadline_after_ms(MESH__HOME_FIRST_MS);
		poller->home_calls_seen = poller->home_calls;
	}
	if (pal_deadline_left_ms(poller->home_patience))
		return true;
	poller->home_patience = 0;
	return false;
}

/* The next one that would not look again by itself. */
static void wake_one_not_yielding(struct mesh__poller *poller)
{
	struct mesh__waiter *waiter;

	TAILQ_FOREACH(waiter, &poller->waiters, next) {
		if (!waiter->yielding) {
			mesh__waiter_wake(waiter);
			return;
		}
	}
}

/* Nobody drives, and nobody is to before the home has got on. false: the deadline has passed. */
static bool yield(struct mesh__poller *poller, struct mesh__waiter *waiter, pal_deadline deadline)
{
	waiter->yielding = true;
	TAILQ_INSERT_TAIL(&poller->waiters, waiter, next);
	mesh__waiter_sleep(waiter, poller->lock, poller->home_patience < deadline ? poller->home_patience : deadline);
	TAILQ_REMOVE(&poller->waiters, waiter, next);
	waiter->yielding = false;
	/* It may have what it wants, and drive no more; but two that yield must not wake one another. */
	if (!poller->driven)
		wake_one_not_yielding(poller);
	return pal_deadline_left_ms(deadline) != 0;
}

static bool wait_step(struct mesh__poller *poller, struct mesh__waiter *waiter, pal_deadline deadline)
{
	bool in_time;

	if (!poller->driven && home_goes_first(poller))
		return yield(poller, waiter, deadline);
	if (!poller->driven) {
		/* Where there is always something to read a turn is never empty. */
		in_time = drive(poller, waiter, pal_deadline_left_ms(deadline)) != 0 && pal_deadline_left_ms(deadline) != 0;
		poller->turns++;
		wake_one(poller);
		return in_time;
	}
	if (poller->home_drives) {
		poller->home_drives = false; /* one poke is enough */
		poke(poller);
	}
	TAILQ_INSERT_TAIL(&poller->waiters, waiter, next);
	in_time = mesh__waiter_sleep(waiter, poller->lock, deadline);
	TAILQ_REMOVE(&poller->waiters, waiter, next);
	/* Whoever was woken to drive but has what it wanted passes the chance on. */
	if (!poller->driven)
		wake_one(poller);
	return in_time;
}

bool mesh__poller_wait(struct mesh__poller *poller, struct mesh__waiter *waiter, pal_deadline deadline)
{
	bool in_time;

	if (poller->ops->settle(poller))
		return true; /* what the caller waits for may be there now */
	if (poller->stop)
		return false;
	poller->inside++;
	in_time = wait_step(poller, waiter, deadline);
	poller->inside--;
	if (!poller->inside && poller->stop)
		pthread_cond_signal(&poller->empty);
	if (!poller->inside && poller->home_sleeps)
		wake_home(poller);
	return in_time;
}

/* ---- home ---- */

void mesh__poller_kick_home(struct mesh__poller *poller)
{
	poller->kicked = true;
	if (poller->at_home)
		return;
	if (poller->home_drives)
		poke(poller);
	else
		wake_home(poller);
}

bool mesh__poller_is_home(const struct mesh__poller *poller)
{
	return poller->at_home && is_home_thread(poller);
}

static void home_turn(struct mesh__poller *poller)
{
	poller->at_home = true;
	poller->home_thread = pthread_self();
	poller->has_home_thread = true;
	poller->kicked = false; /* before the call: who kicks while a callback runs without the lock is not lost */
	if (poller->ops->home(poller))
		poller->kicked = true;
	poller->at_home = false;
	if (!poller->driven)
		wake_one(poller); /* which let this one go first */
}

/*
 * Of the I/O thread, until it is woken or the time is over. Not on a condition: pal
 * wakes it, too, and then other threads may be stopped with any lock of libc's.
 */
static void rest(struct mesh__poller *poller, int timeout_ms)
{
	struct pollfd wake = {.fd = poller->home_fd, .events = POLLIN};

	poller->home_rests = true;
	poller->ops->unlock(poller);
	if (poll(&wake, 1, timeout_ms) > 0)
		pal_lower_event(poller->home_fd);
	pal_helper_take_part();
	pthread_mutex_lock(poller->lock);
	poller->home_rests = false;
}

static void *io_thread(void *argument)
{
	struct mesh__poller *poller = argument;
	uint64_t seen = 0;

	pthread_mutex_lock(poller->lock);
	while (!poller->stop && !mesh__is_inherited(poller->forks)) {
		bool others;

		if (poller->ops->settle(poller))
			continue;
		others = poller->inside > 0;
		if (poller->turns != seen) {
			/* Threads that wait come again and again: step back until there was a pause. */
			seen = poller->turns;
			if (!poller->kicked)
				rest(poller, MESH__LINGER_MS);
		} else if (others) {
			/* One waits for long: the last one to go will say so. */
			poller->home_sleeps = true;
			if (!poller->kicked)
				rest(poller, -1);
			poller->home_sleeps = false;
		} else {
			poller->home_drives = true;
			drive(poller, NULL, poller->kicked ? 0 : -1);
			wake_one(poller);
		}
		home_turn(poller);
	}
	poller->ops->unlock(poller);
	return NULL;
}

/* The caller's libevent base found the epoll descriptor readable. */
static void on_base(evutil_socket_t fd, short what, void *argument)
{
	struct mesh__poller *poller = argument;
	bool idle;

	(void)fd;
	(void)what;
	if (mesh__is_inherited(poller->forks)) {
		event_del(poller->event);
		return;
	}
	pthread_mutex_lock(poller->lock);
	idle = !poller->driven;
	if (idle) {
		poller->at_home = true;
		drive(poller, NULL, 0);
		wake_one(poller);
	}
	home_turn(poller);
	if (poller->kicked)
		mesh__poller_kick_home(poller);
	poller->ops->unlock(poller);
	if (!idle)
		sched_yield(); /* another thread waits on the set and is about to take what made it readable */
}

/* The base was told that there is something for the home alone. */
static void on_home(evutil_socket_t fd, short what, void *argument)
{
	struct mesh__poller *poller = argument;

	(void)what;
	if (mesh__is_inherited(poller->forks)) {
		event_del(poller->home_event);
		return;
	}
	pal_lower_event(fd);
	pthread_mutex_lock(poller->lock);
	home_turn(poller);
	if (poller->kicked)
		mesh__poller_kick_home(poller);
	poller->ops->unlock(poller);
}

/* For pal_self_restrict. Whether the thread drives is not asked: that would need the lock. */
static void call_thread(void *argument)
{
	struct mesh__poller *poller = argument;

	pal_raise_event(poller->wake_fd);
	pal_raise_event(poller->home_fd);
}

static int start_thread(struct mesh__poller *poller)
{
	int result;

	pthread_mutex_lock(poller->lock); /* the thread starts when all is set */
	result = pal_helper_start(&poller->thread, "mesh-io", io_thread, call_thread, poller);
	poller->has_thread = !result;
	pthread_mutex_unlock(poller->lock);
	return result;
}

static int watch_on_base(struct mesh__poller *poller, struct event_base *base)
{
	poller->event = event_new(base, poller->epoll_fd, EV_READ | EV_PERSIST, on_base, poller);
	poller->home_event = event_new(base, poller->home_fd, EV_READ | EV_PERSIST, on_home, poller);
	if (!poller->event || !poller->home_event)
		return -ENOMEM;
	return event_add(poller->event, NULL) < 0 || event_add(poller->home_event, NULL) < 0 ? -ENOMEM : 0;
}

static int open_fds(struct mesh__poller *poller)
{
	struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &poller->wake_fd};
	struct epoll_event timer = {.events = EPOLLIN, .data.ptr = &poller->timer_fd};

	poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (poller->epoll_fd < 0)
		return -errno;
	poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (poller->wake_fd < 0)
		return -errno;
	poller->home_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (poller->home_fd < 0)
		return -errno;
	poller->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (poller->timer_fd < 0)
		return -errno;
	if (epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, poller->wake_fd, &wake) < 0 ||
		epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, poller->timer_fd, &timer) < 0)
		return -errno;
	return 0;
}

int mesh__poller_init(struct mesh__poller *poller, const struct mesh__poller_ops *ops, pthread_mutex_t *lock,
	struct event_base *base)
{
	int result;

	*poller = (struct mesh__poller){.ops = ops, .lock = lock, .forks = mesh__forks, .epoll_fd = -1, .wake_fd = -1, .timer_fd = -1, .home_fd = -1};
	TAILQ_INIT(&poller->waiters);
	pthread_cond_init(&poller->empty, NULL);
	result = open_fds(poller);
	if (!result)
		result = base ? watch_on_base(poller, base) : start_thread(poller);
	if (result < 0)
		mesh__poller_deinit(poller);
	return result;
}

/*
 * With libevent's locks (evthread_use_pthreads) event_free waits for a callback in progress in the base's thread, which
 * needs the lock.
 */
static void leave_base(struct mesh__poller *poller)
{
	struct event *event, *home_event;

	pthread_mutex_lock(poller->lock);
	event = PAL_TAKE_POINTER(poller->event);
	home_event = PAL_TAKE_POINTER(poller->home_event);
	poller->ops->unlock(poller);
	if (event)
		event_free(event);
	if (home_event)
		event_free(home_event);
}

/* Everybody who waits leaves: who is in epoll by a poke, the others by their condition. */
static void send_waiters_out(struct mesh__poller *poller)
{
	struct mesh__waiter *waiter;

	poller->stop = true;
	if (poller->wake_fd >= 0)
		poke(poller);
	TAILQ_FOREACH(waiter, &poller->waiters, next)
		mesh__waiter_wake(waiter);
	wake_home(poller);
	while (poller->inside)
		pthread_cond_wait(&poller->empty, poller->lock);
}

void mesh__poller_deinit(struct mesh__poller *poller)
{
	leave_base(poller);
	pthread_mutex_lock(poller->lock);
	send_waiters_out(poller);
	poller->ops->unlock(poller);
	if (poller->has_thread)
		pthread_join(poller->thread, NULL);
	poller->has_thread = false;
	/* Callbacks that are still due, the ends of ports above all, would come no more. */
	pthread_mutex_lock(poller->lock);
	do
		home_turn(poller);
	while (poller->kicked);
	poller->ops->unlock(poller);
	poller->epoll_fd = pal_close(poller->epoll_fd);
	poller->wake_fd = pal_close(poller->wake_fd);
	poller->timer_fd = pal_close(poller->timer_fd);
	poller->home_fd = pal_close(poller->home_fd);
	pthread_cond_destroy(&poller->empty);
}

/* ---- the set ---- */

static int control(struct mesh__poller *poller, int op, int fd, uint32_t events, void *data)
{
	struct epoll_event event = {.events = events, .data.ptr = data};

	return epoll_ctl(poller->epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

int mesh__poller_add(struct mesh__poller *poller, int fd, uint32_t events, void *data)
{
	return control(poller, EPOLL_CTL_ADD, fd, events, data);
}

void mesh__poller_change(struct mesh__poller *poller, int fd, uint32_t events, void *data)
{
	control(poller, EPOLL_CTL_MOD, fd, events, data);
}

void mesh__poller_remove(struct mesh__poller *poller, int fd)
{
	control(poller, EPOLL_CTL_DEL, fd, 0, NULL);
}

void mesh__poller_timer(struct mesh__poller *poller, unsigned ms)
{
	struct itimerspec when = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};

	timerfd_settime(poller->timer_fd, 0, &when, NULL);
}
