/* SPDX-License-Identifier: MIT */

/*
 * Which processes may have a copy of a mapping: a fork has what was mapped when it
 * was made, for as long as it lives. Forks by others are seen through pthread_atfork(3),
 * and nobody tells when they end. Ours are counted by epochs: a new one begins when all
 * children of the one before the last have ended, so two epochs later every older child has.
 *
 * Neither we nor a child of ours write anything here while it lives: that would be one more
 * page to be copied, in every call.
 */
#include <isolate/forks-priv.h>

#include <pthread.h>
#include <stdatomic.h>

#include <pal/process-mark.h>

static _Atomic uint64_t owner ISOLATE__WRITTEN_BY_CALLS; /* in a fork the rest is the parent's */
static atomic_uint epoch ISOLATE__WRITTEN_BY_CALLS;
/* Children of this epoch, and of the last one: by its lowest bit. */
static atomic_uint alive[2] ISOLATE__WRITTEN_BY_CALLS;
static atomic_uint_fast64_t by_others ISOLATE__WRITTEN_BY_CALLS, left ISOLATE__WRITTEN_BY_CALLS;
static atomic_uint under_way ISOLATE__WRITTEN_BY_CALLS; /* by others */
static bool watching ISOLATE__WRITTEN_BY_CALLS;         /* the handlers are there */

/* What the fork of this thread is. Found without a call, which a child has no page for. */
#define FOUND_DIRECTLY __attribute__((tls_model("initial-exec")))
static _Thread_local bool ours FOUND_DIRECTLY, theirs FOUND_DIRECTLY;
/* How many forks by others lie between this thread and the one that began as a child of ours. */
static _Thread_local unsigned depth FOUND_DIRECTLY;

static void own(void)
{
	uint64_t mark = pal_process_mark();

	if (atomic_load(&owner) == mark)
		return;
	atomic_store(&alive[0], 0);
	atomic_store(&alive[1], 0);
	atomic_store(&under_way, 0);
	atomic_store(&owner, mark);
}

static void before_any_fork(void)
{
	theirs = !ours;
	ours = false;
	if (!theirs)
		return;
	own();
	depth++;
	atomic_fetch_add(&under_way, 1);
	atomic_fetch_add(&by_others, 1);
}

static void after_any_fork(void)
{
	if (!theirs)
		return;
	theirs = false;
	depth--;
	atomic_fetch_sub(&under_way, 1);
}

/* Who is asked before a fork is not to allocate then: hence the mark. */
__attribute__((constructor)) static void watch(void)
{
	(void)pal_process_mark();
	watching = pthread_atfork(before_any_fork, after_any_fork, NULL) == 0;
}

void isolate__forks_arm(void)
{
	depth = 0;
}

bool isolate__forks_is_copy(void)
{
	return depth > 0;
}

unsigned isolate__forks_begin(void)
{
	unsigned now;

	own();
	for (;;) {
		now = atomic_load(&epoch);
		atomic_fetch_add(&alive[now & 1], 1);
		if (atomic_load(&epoch) == now)
			break;
		atomic_fetch_sub(&alive[now & 1], 1);
	}
	ours = true;
	return now;
}

void isolate__forks_end(void)
{
	if (ours) /* it did not come to the fork */
		ours = false;
}

void isolate__forks_child_ended(unsigned began)
{
	atomic_fetch_sub(&alive[began & 1], 1);
}

void isolate__forks_child_left(unsigned began)
{
	atomic_fetch_add(&by_others, 1);
	atomic_fetch_add(&left, 1);
	atomic_fetch_sub(&alive[began & 1], 1);
}

/* A fork that is under way has been counted, and may copy what is not even mapped yet. */
struct isolate__forks isolate__forks_now(void)
{
	struct isolate__forks now = {0};

	own();
	now.by_others = atomic_load(&by_others);
	now.left = atomic_load(&left);
	now.epoch = atomic_load(&epoch);
	now.known = watching && atomic_load(&under_way) == 0;
	return now;
}

bool isolate__forks_none_by_others(const struct isolate__forks *then)
{
	return then->known && atomic_load(&by_others) == then->by_others;
}

bool isolate__forks_have_ended(const struct isolate__forks *then)
{
	unsigned now;

	own();
	for (;;) {
		now = atomic_load(&epoch);
		if (now - then->epoch >= 2)
			return atomic_load(&left) == then->left;
		if (atomic_load(&alive[(now - 1) & 1]))
			return false;
		atomic_compare_exchange_strong(&epoch, &now, now + 1);
	}
}
