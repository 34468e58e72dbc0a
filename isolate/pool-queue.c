/* SPDX-License-Identifier: MIT */

/* Who gets a place, and when: first come, first served. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <time.h>

#include <pal/util-priv.h>

#define NS_PER_SECOND 1000000000

struct isolate__waiter {
	pthread_cond_t called;
	struct isolate__slot *slot; /* that it has been given */
	bool refused;               /* there is no snapshot to wait for */
	struct isolate__waiter *next;
};

int isolate__pool_lost_error(struct pal_error *error)
{
	return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, -EOWNERDEAD,
		"the snapshot process of the pool has ended");
}

static struct isolate__slot *take_idle(struct isolate__snapshot *snapshot)
{
	struct isolate__slot *slot = snapshot->idle;

	if (slot) {
		snapshot->idle = slot->next;
		snapshot->busy++;
	}
	return slot;
}

static struct isolate__waiter *take_waiter(struct isolate_pool *pool)
{
	struct isolate__waiter *waiter = pool->first;

	if (!waiter)
		return NULL;
	pool->first = waiter->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->waiting--;
	return waiter;
}

/* After a change of what there is to be had. */
static void serve_waiters(struct isolate_pool *pool)
{
	struct isolate__snapshot *current = pool->current;
	struct isolate__waiter *waiter;

	while ((current->lost || current->idle) && (waiter = take_waiter(pool))) {
		waiter->refused = current->lost;
		if (!current->lost)
			waiter->slot = take_idle(current);
		pthread_cond_signal(&waiter->called);
	}
}

static void leave_queue(struct isolate_pool *pool, const struct isolate__waiter *leaving)
{
	struct isolate__waiter **link = &pool->first;

	while (*link != leaving)
		link = &(*link)->next;
	*link = leaving->next;
	if (!*link)
		pool->last = link;
	pool->waiting--;
}

/* Until it was called: 0, or -ETIMEDOUT. */
static int await_call(struct isolate_pool *pool, struct isolate__waiter *waiter, pal_deadline deadline)
{
	struct timespec until = {.tv_sec = (time_t)(deadline / NS_PER_SECOND),
		.tv_nsec = deadline % NS_PER_SECOND};
	int r = 0;

	while (!waiter->slot && !waiter->refused && r != ETIMEDOUT) {
		if (deadline == PAL_DEADLINE_NONE)
			r = pthread_cond_wait(&waiter->called, &pool->lock);
		else
			r = pthread_cond_timedwait(&waiter->called, &pool->lock, &until);
	}
	if (waiter->slot || waiter->refused)
		return 0;
	leave_queue(pool, waiter);
	return -ETIMEDOUT;
}

static int queue_up(struct isolate_pool *pool, pal_deadline deadline, struct isolate__slot **ret,
	struct pal_error *error)
{
	struct isolate__waiter waiter = {.slot = NULL};
	pthread_condattr_t monotonic;
	int r;

	if (pool->waiting >= pool->queue)
		return pal_error_set(error, ISOLATE_STAGE_QUEUE, -EAGAIN,
			"%u callers wait for the pool already", pool->waiting);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&waiter.called, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*pool->last = &waiter;
	pool->last = &waiter.next;
	pool->waiting++;
	r = await_call(pool, &waiter, deadline);
	pthread_cond_destroy(&waiter.called);
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_DEADLINE, r, "waiting for a place in the pool");
	if (waiter.refused)
		return isolate__pool_lost_error(error);
	*ret = waiter.slot;
	return 0;
}

int isolate__pool_acquire(struct isolate_pool *pool, pal_deadline deadline,
	struct isolate__slot **ret, struct pal_error *error)
{
	int r = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->current->lost) {
		r = isolate__pool_lost_error(error);
	} else {
		*ret = take_idle(pool->current);
		if (!*ret)
			r = queue_up(pool, deadline, ret, error);
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

void isolate__pool_release(struct isolate_pool *pool, struct isolate__slot *slot, bool lost)
{
	struct isolate__snapshot *snapshot = slot->snapshot;
	bool unused;

	pthread_mutex_lock(&pool->lock);
	snapshot->lost |= lost;
	snapshot->busy--;
	slot->next = snapshot->idle;
	snapshot->idle = slot;
	if (snapshot == pool->current)
		serve_waiters(pool);
	unused = snapshot != pool->current && !snapshot->busy;
	pthread_mutex_unlock(&pool->lock);
	if (unused)
		isolate__snapshot_free(snapshot);
}

void isolate__pool_replace(struct isolate_pool *pool, struct isolate__snapshot *fresh)
{
	struct isolate__snapshot *old;
	bool unused;

	pthread_mutex_lock(&pool->lock);
	old = pool->current;
	pool->current = fresh;
	serve_waiters(pool);
	unused = old && !old->busy;
	pthread_mutex_unlock(&pool->lock);
	if (unused)
		isolate__snapshot_free(old);
}
