/* SPDX-License-Identifier: MIT */

/*
 * The snapshot process: makes workers as it is told, and tells when they have ended. It calls
 * pal_fork, which allocates a handle for each; of the program that it is a copy of it runs
 * nothing but handlers of pthread_atfork(3).
 *
 * It ends with the process that made it: by that one's lifeline, and because it looks at its
 * pidfd, which no fork of that process keeps open. Workers end with it by theirs.
 */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/process.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/* What an event is about: a seat's number, doubled, and whether it is the worker. */
#define HOST_ENDED UINT32_MAX
#define EVENTS_AT_ONCE 16
/* How long a copy that has to make room for another may take for that. */
#define DIES_WITHIN_MS 100

static int watch(int set, int fd, uint32_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static void forget(int set, int fd)
{
	epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL); /* workers have copies: closing it would not do */
}

/* ---- workers ---- */

/* Where it is said to have no status: killed, and perhaps not gone yet. */
static void end_worker(struct isolate__seat *seat, int set)
{
	if (!seat->worker)
		return;
	forget(set, pal_child_peek_pidfd(seat->worker));
	pal_child_free(PAL_TAKE_POINTER(seat->worker));
}

/* As that, but one that goes on dying is not waited for by all other places. */
static void replace_worker(struct isolate__seat *seat, int set)
{
	struct pal_child *worker = PAL_TAKE_POINTER(seat->worker);

	if (!worker)
		return;
	forget(set, pal_child_peek_pidfd(worker));
	(void)pal_child_signal(worker, SIGKILL);
	if (pal_child_wait(worker, PAL_DEADLINE_MS(DIES_WITHIN_MS), NULL, NULL) == -ETIMEDOUT)
		(void)pal_child_detach(worker, NULL); /* else a zombie remains, of this process only */
	else
		pal_child_free(worker);
}

/* Not without reaping: who inherits them may never do so. */
static void __attribute__((noreturn)) end(struct isolate__snapshot *snapshot, int set)
{
	for (unsigned i = 0; i < snapshot->pool->at_once; i++)
		end_worker(&snapshot->seats[i], set);
	_exit(EXIT_SUCCESS);
}

static int fork_worker(
	struct isolate__seat *seat, pal_deadline deadline, struct pal_error *error)
{
	struct isolate_pool *pool = seat->snapshot->pool;
	int r;

	/* Only the worker's own area is copied, and only to it. */
	if (madvise(seat->area, seat->mapped, MADV_DOFORK) < 0 ||
		dup3(seat->line, pool->worker_line, O_CLOEXEC) < 0)
		return pal_error_set(error, ISOLATE_STAGE_START, -errno, "what a worker needs");
	pal_builder_start_deadline(pool->builder, deadline);
	pal_builder_fork_memory(pool->builder, seat->area->shared.fork_memory);
	r = pal_fork(pool->builder, isolate__work, seat, &seat->worker, error);
	madvise(seat->area, seat->mapped, MADV_DONTFORK);
	return r;
}

static int start_worker(
	struct isolate__seat *seat, int set, pal_deadline deadline, struct pal_error *error)
{
	struct isolate__snapshot *snapshot = seat->snapshot;
	uint32_t index = (uint32_t)(seat - snapshot->seats);
	int r = fork_worker(seat, deadline, error);

	if (r < 0)
		return r;
	if (watch(set, pal_child_peek_pidfd(seat->worker), 2 * index + 1) < 0) {
		r = pal_error_set(error, ISOLATE_STAGE_START, -errno, "watch a worker");
		pal_child_free(PAL_TAKE_POINTER(seat->worker));
	}
	return r;
}

static void tell(
	const struct isolate__seat *seat, const struct isolate__notice *notice, const int *line)
{
	if (pal_socket_send(seat->socket, notice, sizeof *notice, line, line ? 1 : 0) < 0)
		_exit(EXIT_FAILURE); /* nobody reads them, or a caller would wait for ever */
}

/* As isolate_call has it from its own child. */
static void find_start_error(const struct isolate__seat *seat, struct isolate__notice *notice)
{
	if (seat->area->shared.marks.progress != ISOLATE__PREPARED)
		return;
	notice->start_code =
		pal_builder_fork_error(seat->snapshot->pool->builder, &notice->start_error);
	if (notice->start_code < 0)
		notice->wait_code = -ECHILD;
}

/*
 * For each job that was taken once: what dies while it waits, or on its way there, is made again
 * only for a call, or it might be made for ever.
 */
static bool may_restock(const struct isolate__seat *seat)
{
	uint32_t taken = ISOLATE__JOB_TAKEN | seat->generation;

	return seat->snapshot->pool->spare && isolate__next_unasked(seat->generation) &&
	       isolate__area_is_clean(seat->area) &&
	       atomic_compare_exchange_strong(
		       &seat->area->job.state, &taken, ISOLATE__JOB_NONE);
}

/*
 * What the last worker left behind may have its line. The host's end, or a negative errno; both
 * ends are above the standard streams, where those are closed.
 */
static int renew_line(struct isolate__seat *seat)
{
	int ends[2], r = pal_socket_pair(SOCK_SEQPACKET, ends);

	if (r < 0)
		return r;
	ends[0] = isolate__lift(ends[0]);
	ends[1] = isolate__lift(ends[1]);
	if (ends[0] < 0 || ends[1] < 0) {
		pal_close(ends[0]);
		pal_close(ends[1]);
		return -EMFILE;
	}
	(void)fcntl(ends[1], F_SETFL, 0); /* to be waited at; cannot fail */
	pal_private_close(&seat->line);
	seat->line = ends[1];
	return ends[0];
}

static void worker_ended(struct isolate__seat *seat, int set)
{
	struct isolate__notice notice = {.generation = seat->generation};
	struct pal_error unused;
	int r, line;

	if (!seat->worker)
		return;
	r = pal_child_try_wait(seat->worker, &notice.status, NULL);
	if (r == 0) { /* a tracer has it: its end shows all the time */
		(void)poll(NULL, 0, ISOLATE__HELD_NAP_MS);
		return;
	}
	notice.wait_code = r < 0 ? -ECHILD : 0;
	end_worker(seat, set);
	pal_builder_fork_memory(seat->snapshot->pool->builder, seat->area->shared.fork_memory);
	find_start_error(seat, &notice);
	line = may_restock(seat) ? renew_line(seat) : -1;
	if (line >= 0) {
		/* Told first: the caller goes on while the next one is made, and does not know yet of it. */
		notice.next = isolate__next_unasked(seat->generation);
		tell(seat, &notice, &line);
		pal_close(line);
		seat->generation = notice.next;
		r = start_worker(seat, set, PAL_DEADLINE_NONE, &unused);
		if (r < 0)
			tell(seat, &(struct isolate__notice){.generation = seat->generation,
					   .start_code = r,
					   .wait_code = -ECHILD,
					   .start_error = unused},
				NULL);
		return;
	}
	tell(seat, &notice, NULL);
}

/* ---- orders ---- */

/* Takes both descriptors. */
static int take_area(struct isolate__seat *seat, const int fds[2])
{
	PAL_CLEANUP_CLOSE int area_fd = fds[0];
	void *area;

	if (seat->area)
		munmap(seat->area, seat->mapped);
	seat->area = NULL;
	pal_private_close(&seat->line);
	seat->line = fds[1];
	area = mmap(NULL, ISOLATE__AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, area_fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	seat->area = area;
	seat->mapped = ISOLATE__AREA_SIZE;
	return madvise(area, seat->mapped, MADV_DONTFORK) < 0 ? -errno : 0;
}

/* All of the input: a worker under a filter may not be able to map it itself. */
static int map_input(struct isolate__seat *seat, uint64_t in_size)
{
	size_t size = ISOLATE__INPUT_AT + (size_t)in_size;
	void *area;

	if (!seat->area)
		return -ENOMEM;
	if (size <= seat->mapped)
		return 0;
	area = mremap(seat->area, seat->mapped, size, MREMAP_MAYMOVE);
	if (area == MAP_FAILED)
		return -errno;
	seat->area = area;
	seat->mapped = size;
	return 0;
}

static void make_worker(struct isolate__seat *seat, int set, const struct isolate__order *order,
	const int *fds, size_t fd_count, bool fds_lost)
{
	struct isolate__notice notice = {.generation = order->generation, .wait_code = -ECHILD};
	int r = fds_lost ? -EMFILE : 0;

	replace_worker(seat, set);
	seat->generation = order->generation;
	if (fd_count == 2)
		r = take_area(seat, fds);
	if (r == 0)
		r = map_input(seat, order->in_size);
	/* Its caller has gone. Many such may be read at once, after this process stood still. */
	if (pal_deadline_left_ms(order->deadline) == 0)
		return;
	if (r < 0)
		pal_error_set(&notice.start_error, ISOLATE_STAGE_START, r, "map the area of a worker");
	else
		r = start_worker(seat, set, order->deadline, &notice.start_error);
	notice.start_code = r;
	if (r < 0)
		tell(seat, &notice, NULL);
}

static void signal_worker(struct isolate__seat *seat, const struct isolate__order *order)
{
	if (seat->worker && seat->generation == order->generation)
		(void)pal_child_signal(seat->worker, (int)order->signal);
	/* The caller waits for an end: where that does not come it is not because of the snapshot. */
	if (order->signal == SIGKILL)
		tell(seat, &(struct isolate__notice){.next = order->generation}, NULL);
}

static void take_order(struct isolate__seat *seat, int set)
{
	struct isolate__order order;
	int fds[PAL_SOCKET_MAX_FDS];
	size_t fd_count;
	bool fds_lost; /* no number was free for them */
	ssize_t size = pal_socket_receive_partial(
		seat->socket, &order, sizeof order, fds, &fd_count, &fds_lost);

	if (size == -EAGAIN)
		return;
	if (size <= 0 && size != -EMSGSIZE)
		end(seat->snapshot, set); /* it has been shut down */
	if (size != sizeof order)
		return; /* no host says that */
	if (order.signal)
		signal_worker(seat, &order);
	else
		make_worker(seat, set, &order, fds, fd_count, fds_lost);
}

/* ---- the loop ---- */

/*
 * What the snapshot has is not for functions: to tell it anything, to be told what is for others, to
 * change what it waits for. Nobody else is here who could fork meanwhile: no pal_private_begin.
 */
#define SEAT_PLACE(fd) PAL_PRIVATE_PLACE(struct isolate__seat, private, fd)
static const ptrdiff_t seat_places[] = {SEAT_PLACE(socket), SEAT_PLACE(line)};
static const struct pal_private_layout seat_layout = {
	.count = PAL_ARRAY_LENGTH(seat_places), .places = seat_places};

static struct own {
	struct pal_private private;
	int set;
	int host; /* its pidfd */
} own = {.set = -1, .host = -1};
#define OWN_PLACE(fd) PAL_PRIVATE_PLACE(struct own, private, fd)
static const ptrdiff_t own_places[] = {OWN_PLACE(set), OWN_PLACE(host)};
static const struct pal_private_layout own_layout = {
	.count = PAL_ARRAY_LENGTH(own_places), .places = own_places};

static void keep_from_workers(struct isolate__snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->pool->at_once; i++)
		pal_private_add(&snapshot->seats[i].private, &seat_layout);
	pal_private_add(&own.private, &own_layout);
}

static int open_set(const struct isolate__snapshot *snapshot)
{
	own.set = isolate__lift(epoll_create1(EPOLL_CLOEXEC));
	own.host = isolate__lift((int)syscall(SYS_pidfd_open, snapshot->host, 0));
	if (own.set < 0 || own.host < 0 || getppid() != snapshot->host ||
		watch(own.set, own.host, HOST_ENDED) < 0)
		return -1;
	for (uint32_t i = 0; i < snapshot->pool->at_once; i++)
		if (watch(own.set, snapshot->seats[i].socket, 2 * i) < 0)
			return -1;
	return own.set;
}

static void handle(struct isolate__snapshot *snapshot, int set, uint32_t what)
{
	if (what == HOST_ENDED)
		end(snapshot, set);
	if (what & 1)
		worker_ended(&snapshot->seats[what / 2], set);
	else
		take_order(&snapshot->seats[what / 2], set);
}

/*
 * For each place a snapshot has a socket and a line, and for its copy a pidfd and a lifeline of two:
 * more than the process has that made it. Copies begin with the limit as it was.
 */
static void raise_limit(struct pal_builder *workers)
{
	struct rlimit limit, other;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	if (!pal_builder_get_rlimit(workers, RLIMIT_NOFILE, &other))
		pal_builder_rlimit(workers, RLIMIT_NOFILE, limit.rlim_cur, limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int isolate__serve(void *userdata)
{
	struct isolate__snapshot *snapshot = userdata;
	struct epoll_event events[EVENTS_AT_ONCE];
	sigset_t all;
	int set;

	/* Signals for the whole group of processes are for the host to decide about. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	keep_from_workers(snapshot);
	raise_limit(snapshot->pool->builder);
	set = open_set(snapshot);
	while (set >= 0) {
		int count = epoll_wait(set, events, EVENTS_AT_ONCE, -1);

		if (count < 0 && errno != EINTR)
			break;
		for (int i = 0; i < count; i++)
			handle(snapshot, set, events[i].data.u32);
	}
	return EXIT_FAILURE;
}
