/* SPDX-License-Identifier: MIT */

/* A worker: takes a job from its area, calls the function, and ends or takes the next one. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/socket.h>
#include <pal/util-priv.h>

static struct {
	struct isolate__call call;
	struct isolate_writer writer; /* hooks of exit(3) know it: always the same */
	struct isolate__seat *seat;
	unsigned char *input;
	size_t input_mapped;
	const void *in;
	size_t in_size;
	isolate_pool_fn fn;
	uint32_t waits; /* ISOLATE__JOB_LISTENED or ISOLATE__JOB_AWAITED, and its generation */
	uint32_t takes; /* ISOLATE__JOB_TAKEN, and its generation */
	pid_t parent;
	int line;
	dev_t line_device; /* a function that closes what is not its own may have another one by now */
	ino_t line_inode;
	bool secluded;
} worker;

/* ---- the line ---- */

static int tell(const int *fds, size_t fd_count)
{
	struct stat st;
	ssize_t sent;

	if (fstat(worker.line, &st) < 0)
		return -errno;
	if (st.st_dev != worker.line_device || st.st_ino != worker.line_inode)
		return -EBADF;
	sent = pal_socket_send(worker.line, "", 1, fds, fd_count);
	return sent < 0 ? (int)sent : 0;
}

/* Each long result has a memfd of its own: what its parent does with it is for good. */
static int deliver(struct isolate__call *call)
{
	struct isolate__job *job = &worker.seat->area->job;
	int r;

	job->memfd_device = call->memfd_device;
	job->memfd_inode = call->memfd_inode;
	r = tell(&call->memfd, 1);
	call->memfd = pal_close(call->memfd);
	return r;
}

static void open_line(void)
{
	struct stat st = {0};

	worker.line = worker.seat->snapshot->pool->worker_line;
	/* What is kept is open across exec. This is for the function, and not for what it may execute. */
	(void)fcntl(worker.line, F_SETFD, FD_CLOEXEC);
	(void)fstat(worker.line, &st);
	worker.line_device = st.st_dev;
	worker.line_inode = st.st_ino;
}

/* ---- the job ---- */

/*
 * What is to kill the copy with its snapshot, PR_SET_PDEATHSIG and the lifeline, is lost where a function changes
 * the user and is not root of the initial user namespace: an idle copy looks for itself.
 */
static const struct timespec look_interval = {.tv_sec = 1};

static bool snapshot_is_gone(void)
{
	return getppid() != worker.parent;
}

/*
 * A copy that is reused waits at its line: who writes to a socket and then waits himself is
 * followed on the same CPU, which is several times faster than a futex where others are idle. But a
 * process that an earlier function left behind may read from the line, too. So where that is not
 * the caller's own affair, a futex in memory that no such process has is waited for, and
 * where a filter does not allow the line. false: it does not allow either.
 */
static bool sleep_until_called(const struct isolate__job *job)
{
	char byte;

	if ((worker.waits & ISOLATE__JOB_KIND) == ISOLATE__JOB_AWAITED)
		return syscall(SYS_futex, &job->state, FUTEX_WAIT, worker.waits, &look_interval, NULL,
			       0) >= 0 ||
		       errno == EAGAIN || errno == EINTR ||
		       (errno == ETIMEDOUT && !snapshot_is_gone());
	if (syscall(SYS_recvfrom, worker.line, &byte, 1, 0, NULL, NULL) != 1 && errno != EINTR)
		worker.waits = (worker.waits & ~ISOLATE__JOB_KIND) | ISOLATE__JOB_AWAITED;
	return true;
}

/* Whether there is one; false: it cannot be waited for. */
static bool await_job(struct isolate__job *job)
{
	for (;;) {
		uint32_t seen = atomic_load(&job->state);

		if (seen == ISOLATE__JOB_POSTED) {
			if (atomic_compare_exchange_strong(&job->state, &seen, worker.takes))
				return true;
		} else if (seen != worker.waits) {
			atomic_compare_exchange_strong(&job->state, &seen, worker.waits);
		} else if (!sleep_until_called(job)) {
			return false;
		}
	}
}

/*
 * The mark that ends the call for its caller, and a reason for him to look. From then on all of the
 * area is his. Whether it may wait for the next job.
 */
static bool live_on(struct isolate__job *job)
{
	uint32_t taken = worker.takes;

	return atomic_compare_exchange_strong(&job->state, &taken, worker.waits) &&
	       tell(NULL, 0) == 0;
}

/* Only the input's part of the mapping grows, and may move. 0 or a negative errno. */
static int map_input(const struct isolate__job *job)
{
	size_t size = job->in_size;
	void *moved;

	if (size > worker.input_mapped) {
		moved = mremap(worker.input, worker.input_mapped, size, MREMAP_MAYMOVE);
		if (moved == MAP_FAILED)
			return -errno;
		worker.input = moved;
		worker.input_mapped = size;
	}
	worker.in = worker.input;
	worker.in_size = size;
	return 0;
}

static int call_function(struct isolate_writer *out, void *unused)
{
	(void)unused;
	return worker.fn(out, worker.in, worker.in_size);
}

static void prepare_writer(const struct isolate__job *job)
{
	struct isolate_pool *pool = worker.seat->snapshot->pool;

	worker.call.max_result =
		job->max_result < pool->max_result ? (size_t)job->max_result : pool->max_result;
	worker.call.ticket = job->ticket;
	worker.writer = (struct isolate_writer){.call = &worker.call,
		.shared = &worker.seat->area->shared,
		.owner = getpid()};
}

/* 0, or a negative errno: the function has not been called. */
static int do_job(struct isolate__job *job)
{
	int r = map_input(job);

	if (r < 0)
		return r;
	prepare_writer(job);
	worker.fn = job->fn;
	if (worker.secluded)
		worker.seat->area->shared.marks.secluded = ISOLATE__SECLUDED;
	isolate__child_call(&worker.writer);
	return 0;
}

/* ---- the process ---- */

static void set_up(struct isolate__seat *seat)
{
	struct isolate_pool *pool = seat->snapshot->pool;

	worker.seat = seat;
	worker.parent = getppid();
	worker.waits = seat->generation |
		       (pool->reuse > 1 ? ISOLATE__JOB_LISTENED : ISOLATE__JOB_AWAITED);
	worker.takes = seat->generation | ISOLATE__JOB_TAKEN;
	worker.call = (struct isolate__call){.fn = call_function,
		.options = pool->options,
		.shared = &seat->area->shared,
		.memfd = -1,
		.deliver = deliver};
	worker.input = (unsigned char *)seat->area + ISOLATE__INPUT_AT;
	worker.input_mapped = seat->mapped - ISOLATE__INPUT_AT;
	open_line();
	/* A filter might take it for a crime. */
	worker.secluded = !pool->options.sandbox &&
			  madvise(seat->area, seat->mapped, MADV_DONTFORK) == 0;
}

bool isolate__works_for(const struct isolate_pool *pool)
{
	return worker.seat && worker.seat->snapshot->pool == pool;
}

int isolate__work(void *userdata)
{
	struct isolate__seat *seat = userdata;
	struct isolate__job *job = &seat->area->job;
	int r;

	set_up(seat);
	prepare_writer(job);
	r = isolate__child_arm(&worker.writer);
	for (unsigned left = seat->snapshot->pool->reuse; r == 0 && await_job(job);) {
		r = do_job(job);
		/* What could not be written may still be open. */
		if (r < 0 || worker.writer.error || --left == 0 || !live_on(job))
			break;
	}
	if (r < 0)
		job->error = r;
	return EXIT_SUCCESS;
}
