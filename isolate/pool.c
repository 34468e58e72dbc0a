/* SPDX-License-Identifier: MIT */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

/* In a fork, too, where another thread may have had the locks: there they are left as they are. */
static void release(struct isolate_pool *pool)
{
	isolate__snapshot_free(pool->current);
	if (pool->owner == pal_process_mark()) {
		pthread_mutex_destroy(&pool->lock);
		pthread_mutex_destroy(&pool->refreshing);
		pal_builder_free(pool->builder);
	} else {
		pal_builder_forget(pool->builder);
	}
	pal_private_disown(&pool->private);
	pal_private_close(&pool->reserved);
	pal_private_remove(&pool->private);
	free(pool->kept);
	free(pool);
}

static int take_snapshot(struct isolate_pool *pool, struct pal_error *error)
{
	struct isolate__snapshot *fresh;
	int r = isolate__pool_check_kept(pool, error);

	if (r == 0 && pool->options.only_thread)
		r = isolate__check_only_thread(error);
	if (r == 0)
		r = isolate__snapshot_new(pool, &fresh, error);
	if (r == 0)
		isolate__pool_replace(pool, fresh);
	return r;
}

static const ptrdiff_t private_places[] = {
	PAL_PRIVATE_PLACE(struct isolate_pool, private, reserved)};
static const struct pal_private_layout private_layout = {.count = 1, .places = private_places};

static int make(const struct isolate_pool_options *options, struct isolate_pool **ret,
	struct pal_error *error)
{
	struct isolate_pool *pool = calloc(1, sizeof *pool);
	int r;

	if (!pool)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, -ENOMEM, "memory for a pool");
	pool->owner = pal_process_mark();
	pool->reserved = -1;
	pal_private_add(&pool->private, &private_layout);
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_mutex_init(&pool->refreshing, NULL);
	r = isolate__pool_configure(pool, options, error);
	if (r == 0)
		r = take_snapshot(pool, error);
	if (r < 0)
		release(pool);
	else
		*ret = pool;
	return r;
}

int isolate_pool_new(const struct isolate_pool_options *options, struct isolate_pool **ret,
	struct pal_error *error)
{
	int cancel_state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = make(options, ret, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

int isolate_pool_refresh(struct isolate_pool *pool, struct pal_error *error)
{
	int cancel_state, r;

	if (pool->owner != pal_process_mark())
		return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, -EPERM,
			"another process has made this pool");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&pool->refreshing);
	r = take_snapshot(pool, error);
	pthread_mutex_unlock(&pool->refreshing);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

pid_t isolate_pool_pid(struct isolate_pool *pool)
{
	bool is_own = pool->owner == pal_process_mark();
	pid_t pid;

	if (is_own)
		pthread_mutex_lock(&pool->lock);
	pid = pal_child_pid(pool->current->process);
	if (is_own)
		pthread_mutex_unlock(&pool->lock);
	return pid;
}

void isolate_pool_free(struct isolate_pool *pool)
{
	int saved = errno, cancel_state;

	/* What a function frees of its own copy of the pool, that copy still needs for its result. */
	if (!pool || isolate__works_for(pool))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	release(pool);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
}
