/* SPDX-License-Identifier: MIT */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <pal/util-priv.h>

/* Of a struct isolate__slot: its socket, its line, its area. */
#define FDS_PER_PLACE 3

static int invalid(struct pal_error *error, const char *what)
{
	return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL, "pool: %s", what);
}

/* ---- of the pool ---- */

static int read_given(const struct isolate_pool_options *given, struct isolate_pool_options *ret,
	struct pal_error *error)
{
	int r;

	*ret = (struct isolate_pool_options){ISOLATE_POOL_OPTIONS_INIT};
	if (!given)
		return 0;
	r = pal_check_size(given, given->size, sizeof *ret);
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, r, "pool: options of %zu bytes", given->size);
	*ret = *given;
	if (ret->at_once > ISOLATE_POOL_AT_ONCE_MAX)
		return invalid(error, "options.at_once is too large");
	return 0;
}

static bool can_be_stream(const struct pal_stdio *stream)
{
	return stream->kind != PAL_STDIO_KIND_PIPE && stream->kind != PAL_STDIO_KIND_FILE;
}

static int check_worker(const struct isolate_options *worker, struct pal_error *error)
{
	if (!can_be_stream(&worker->std_in) || !can_be_stream(&worker->std_out) ||
		!can_be_stream(&worker->std_err))
		return invalid(error, "a standard stream of a worker is a file name or a pipe");
	if (worker->max_capture)
		return invalid(error, "worker.max_capture is set, and nothing is captured");
	if (worker->drain_ms)
		return invalid(error, "worker.drain_ms is set, and nothing is captured");
	return 0;
}

static int bad_kept(struct pal_error *error, int fd)
{
	return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EBADF,
		"pool: descriptor %d, which it is to keep", fd);
}

static int keep(struct isolate_pool *pool, int fd, struct pal_error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return bad_kept(error, fd);
	pool->kept[pool->kept_count++] =
		(struct isolate__kept_fd){.fd = fd, .device = st.st_dev, .inode = st.st_ino};
	return 0;
}

/* The snapshot has them to give them to workers. */
static int keep_fds(struct isolate_pool *pool, struct pal_error *error)
{
	const struct isolate_options *options = &pool->options;
	const struct pal_stdio *streams[] = {
		&options->std_in, &options->std_out, &options->std_err};
	int r = 0;

	pool->kept = calloc(options->keep_fd_count + 3, sizeof *pool->kept);
	if (!pool->kept)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, -ENOMEM, "pool: memory for its options");
	for (size_t i = 0; i < options->keep_fd_count && r == 0; i++)
		r = keep(pool, options->keep_fds[i], error);
	for (size_t i = 0; i < 3 && r == 0; i++)
		if (streams[i]->kind == PAL_STDIO_KIND_FD)
			r = keep(pool, streams[i]->fd, error);
	return r;
}

int isolate__pool_check_kept(const struct isolate_pool *pool, struct pal_error *error)
{
	for (size_t i = 0; i < pool->kept_count; i++) {
		const struct isolate__kept_fd *kept = &pool->kept[i];
		struct stat st;

		/* The number may have gone to what the pool itself has: its memory, its sockets. */
		if (fstat(kept->fd, &st) < 0 || st.st_dev != kept->device ||
			st.st_ino != kept->inode)
			return bad_kept(error, kept->fd);
	}
	return 0;
}

/* Where all places are used at the same time they cannot do with less. */
static int check_limit(const struct isolate_pool *pool, struct pal_error *error)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
		limit.rlim_cur >= (rlim_t)pool->at_once * FDS_PER_PLACE)
		return 0;
	return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EMFILE,
		"pool: %u calls at once, of %d descriptors each, and %llu there may be",
		pool->at_once, FDS_PER_PLACE, (unsigned long long)limit.rlim_cur);
}

static int make_builder(struct isolate_pool *pool, struct pal_error *error)
{
	struct isolate__call like = {.options = pool->options};
	bool held = pal_private_begin();
	int r;

	/* It only keeps the number from others: in the snapshot the line takes its place. */
	pool->reserved = isolate__lift(eventfd(0, EFD_CLOEXEC));
	r = pool->reserved < 0 ? -errno : 0;
	pal_private_end(held);
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, r, "pool: a descriptor for workers");
	pool->worker_line = like.memfd = pool->reserved;
	pool->builder = isolate__options_make_builder(&like);
	r = pal_builder_error(pool->builder, error);
	if (r < 0) {
		if (error)
			error->stage = ISOLATE_STAGE_PREPARE;
		return r;
	}
	/*
	 * By a lifeline of its own: what the kernel would do for a child that asks for it, a function
	 * takes back with its user id, or with prctl(2).
	 */
	pal_builder_parent_death_of_process(pool->builder, true);
	/* With a filter that has to be attended to, or one that could not be loaded. */
	pal_builder_fork_unwaited(pool->builder, !pool->options.sandbox);
	return 0;
}

int isolate__pool_configure(struct isolate_pool *pool, const struct isolate_pool_options *given,
	struct pal_error *error)
{
	struct isolate_pool_options options;
	int r = read_given(given, &options, error);

	if (r == 0)
		r = isolate__options_read(options.worker, &pool->options, error);
	if (r == 0)
		r = check_worker(&pool->options, error);
	if (r < 0)
		return r;
	pool->max_result = pool->options.max_result ? pool->options.max_result
						    : ISOLATE_DEFAULT_MAX_RESULT;
	pool->at_once = options.at_once ? options.at_once : ISOLATE_POOL_AT_ONCE;
	pool->queue = options.queue > 0   ? (unsigned)options.queue
		      : options.queue < 0 ? 0
					  : ISOLATE_POOL_QUEUE;
	pool->reuse = options.reuse ? options.reuse : 1;
	pool->spare = !options.no_spare && !pool->options.sandbox;
	if (pool->options.crash_report) /* what workers cannot do for themselves */
		isolate__crash_unwind_warm();
	r = check_limit(pool, error);
	if (r == 0)
		r = keep_fds(pool, error); /* before there is one of ours at such a number */
	return r < 0 ? r : make_builder(pool, error);
}

/* ---- of a call ---- */

/* Whether all else is as if it had not been set: of what can be said when a function starts. */
static bool asks_for_a_plan(const struct isolate_options *options)
{
	return !isolate__options_plain(options) || options->max_capture || options->drain_ms ||
	       options->keep_fd_count || options->only_thread || options->crash_report;
}

int isolate__pool_call_options(const struct isolate_pool *pool, const struct isolate_options *given,
	struct isolate_options *ret, struct pal_error *error)
{
	struct isolate_options options;
	int r;

	*ret = pool->options;
	if (!given)
		return 0;
	r = isolate__options_read(given, &options, error);
	if (r < 0)
		return r;
	if (asks_for_a_plan(&options))
		return invalid(
			error, "a call has its own deadline, grace and max_result, and the rest from the pool");
	if (options.max_result > pool->max_result)
		return invalid(error, "options.max_result is more than the pool's");
	if (options.deadline_ms)
		ret->deadline_ms = options.deadline_ms;
	if (options.grace_ms)
		ret->grace_ms = options.grace_ms;
	if (options.max_result)
		ret->max_result = options.max_result;
	return 0;
}
