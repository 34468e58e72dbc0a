/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_POOL_PRIV_H
#define PROCMESH_ISOLATE_POOL_PRIV_H

#include <isolate/isolate-priv.h>
#include <isolate/pool.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * Three kinds of processes:
 *
 *	this one               the snapshot             a worker
 *	order, area ---------> pal_fork ------------->  waits for a job in its area
 *	job in the area ----------------------------->  the function; isolate_write
 *	                                     <--------  a long result: its memfd, through the line
 *	(reuse) answer       <------------------------  the line
 *	notice, status <------ sees its end  <--------  _exit
 *
 * A place for one call at a time has a slot here and a seat in the snapshot, joined by a pair
 * of sockets that no worker has (pal/private.h: nobody has what is not for him). The slot's area (a memfd, so that it can be handed over at any
 * time) and its line (a pair of sockets) are also the worker's. The area that a process which a
 * function left behind may have is replaced before the next call; a line is of one worker only.
 *
 * Marks and job are in the area; the job's state is changed by compare and exchange, so that a
 * job is either taken by a worker or taken back, and it says by which worker:
 *
 *	host: POSTED     worker g: TAKEN|g     worker g, which lives on: AWAITED|g or LISTENED|g
 *	                                       snapshot, which saw g end with it: NONE
 *	host: REVOKED, if nobody took it
 *
 * What ends a call is the notice of the end of the worker that took its job, or that this worker
 * waits again. The notice of one that ended before it took anything ends none: nobody else could
 * take the job, and another worker is ordered. The snapshot makes the next worker unasked only
 * after one that ended with a job taken; that job's call is under way until it has read that
 * notice, so it knows of every worker before it posts the next job. A caller who
 * cannot wait for the end of a worker leaves it the area, and the next call has another.
 */

/* The state's upper four bits; the others are the worker's generation, or zero. */
enum isolate__job_state {
	ISOLATE__JOB_NONE = 0x10000000,
	ISOLATE__JOB_AWAITED = 0x20000000,  /* the worker sleeps on this word: wake it */
	ISOLATE__JOB_LISTENED = 0x30000000, /* it reads from its line: write there */
	ISOLATE__JOB_POSTED = 0x40000000,
	ISOLATE__JOB_TAKEN = 0x50000000,
	ISOLATE__JOB_REVOKED = 0x60000000 /* the caller does not want it any more */
};
#define ISOLATE__JOB_KIND 0xf0000000u

/*
 * Generations of workers of one place, 28 bits; zero is none. The lower ones count what the
 * snapshot has made unasked since the last order, the upper ones orders: both sides
 * number on their own, and never two workers alike.
 */
#define ISOLATE__UNASKED 0xfffu

static inline uint32_t isolate__next_ordered(uint32_t last)
{
	uint32_t next = ((last | ISOLATE__UNASKED) + 1) & ~ISOLATE__JOB_KIND;

	return next ? next : ISOLATE__UNASKED + 1;
}

/* Zero: it takes an order. */
static inline uint32_t isolate__next_unasked(uint32_t last)
{
	return (last + 1) & ISOLATE__UNASKED ? last + 1 : 0;
}

struct isolate__job {
	_Atomic uint32_t state; /* enum isolate__job_state, and who; a futex */
	int error;              /* of the worker, before the function: a negative errno */
	isolate_pool_fn fn;
	uint64_t in_size;
	uint64_t max_result;
	uint64_t ticket; /* struct isolate__record */
	dev_t memfd_device; /* of the memfd that a long result is in */
	ino_t memfd_inode;
};

/* Input begins at a multiple of every page size; the file is as long as it needs to be. */
struct isolate__area {
	struct isolate__shared shared;
	struct isolate__job job;
};
#define ISOLATE__INPUT_AT ((size_t)128 << 10)
#define ISOLATE__INPUT_ROOM ((size_t)64 << 10) /* always there, and mapped in this process */
#define ISOLATE__AREA_SIZE (ISOLATE__INPUT_AT + ISOLATE__INPUT_ROOM)
_Static_assert(sizeof(struct isolate__area) <= ISOLATE__INPUT_AT, "input begins behind it");

/* To the snapshot. With descriptors: a new area, and the worker's end of a new line. */
struct isolate__order {
	uint32_t signal;     /* for that worker; 0: make it */
	uint32_t generation; /* of the worker; another one that is there ends */
	pal_deadline deadline;
	uint64_t in_size;
};

/*
 * From the snapshot: that worker has ended, or there will be none. With `next` its line comes.
 * Generation 0: it has come to an order to kill.
 */
struct isolate__notice {
	uint32_t generation;
	uint32_t next; /* the generation of the one that is made now; 0: none is */
	int start_code;
	int wait_code; /* -ECHILD: no status */
	struct pal_status status;
	struct pal_error start_error;
};

/* A place, in this process. The caller who has it is alone with it. */
struct isolate__slot {
	struct pal_private private;
	struct isolate__snapshot *snapshot;
	int socket;
	int seat_socket; /* until the snapshot has it; else -1 */
	int line; /* -1: none, or of no use any more */
	int area_fd;
	struct isolate__area *area; /* NULL: none */
	int worker_line;    /* to be handed over with the area; else -1 */
	uint32_t generation; /* of the last worker */
	bool stocked;        /* it waits for a job, or will */
	struct isolate__slot *next;
};

/* The same place in the snapshot, of which a worker has nothing but what is copied for it. */
struct isolate__seat {
	struct pal_private private; /* there; in this process none of it is open */
	struct isolate__snapshot *snapshot;
	int socket; /* the slot's seat_socket */
	int line;
	struct isolate__area *area;
	size_t mapped;
	struct pal_child *worker;
	uint32_t generation;
};

struct isolate__code; /* what can be called in a snapshot */

struct isolate__snapshot {
	struct isolate_pool *pool;
	struct pal_child *process;
	pid_t host;
	struct isolate__code *code;
	struct isolate__slot *slots;
	struct isolate__seat *seats;
	/* under pool->lock */
	struct isolate__slot *idle; /* the one that was used last comes first */
	unsigned busy;
	bool lost; /* the process has ended */
};

/* A descriptor of the caller's, and which file it was when the pool was made. */
struct isolate__kept_fd {
	int fd;
	dev_t device;
	ino_t inode;
};

struct isolate_pool {
	struct pal_private private;
	uint64_t owner; /* pal_process_mark */
	struct isolate_options options; /* what they point to is the caller's, and gone */
	struct isolate__kept_fd *kept; /* what the snapshot keeps, where it does not keep all */
	size_t kept_count;
	size_t max_result;
	unsigned at_once;
	unsigned queue;
	unsigned reuse; /* at least 1 */
	bool spare;
	struct pal_builder *builder; /* of workers */
	int worker_line; /* the number that a worker has its line at */
	int reserved;    /* keeps it from others */

	pthread_mutex_t refreshing;
	pthread_mutex_t lock;
	struct isolate__snapshot *current;
	struct isolate__waiter *first, **last;
	unsigned waiting;
};

/* pool-options.c: 0 or a negative errno; half made on failure. */
int isolate__pool_configure(struct isolate_pool *pool, const struct isolate_pool_options *given,
	struct pal_error *error);
/* 0, or -EBADF: one of those that the caller has to keep open is closed, or is another file now. */
int isolate__pool_check_kept(const struct isolate_pool *pool, struct pal_error *error);
/* What a call asks for, with the pool's where it does not. */
int isolate__pool_call_options(const struct isolate_pool *pool, const struct isolate_options *given,
	struct isolate_options *ret, struct pal_error *error);

/* pool-snapshot.c */
int isolate__snapshot_new(
	struct isolate_pool *pool, struct isolate__snapshot **ret, struct pal_error *error);
/* Ends it; nobody may have a slot. In a fork of this process only the copy. Takes NULL. */
void isolate__snapshot_free(struct isolate__snapshot *snapshot);

/* pool-queue.c: 0 and a slot, or a negative errno: not executed. */
int isolate__pool_acquire(struct isolate_pool *pool, pal_deadline deadline,
	struct isolate__slot **ret, struct pal_error *error);
/* `lost`: its snapshot has ended. */
void isolate__pool_release(struct isolate_pool *pool, struct isolate__slot *slot, bool lost);
/* Makes it the pool's. Takes it. */
void isolate__pool_replace(struct isolate_pool *pool, struct isolate__snapshot *fresh);
int isolate__pool_lost_error(struct pal_error *error);

/* pool-slot.c */
/* Makes area and line where there are none, and room for the input. */
int isolate__slot_prepare(struct isolate__slot *slot, size_t in_size);
int isolate__slot_fill(struct isolate__slot *slot, const void *in, size_t in_size);
/* For a worker that is to be ordered: what an earlier one left behind may have that one's. */
int isolate__slot_renew_line(struct isolate__slot *slot);
/* After a call. */
void isolate__slot_shrink(struct isolate__slot *slot, size_t in_size);
/* Others may have them: the next call gets new ones. */
void isolate__slot_drop(struct isolate__slot *slot);
int isolate__slot_order(struct isolate__slot *slot, const struct isolate__order *order);
/* Whether nobody but the snapshot has the area of a worker that has ended: both processes ask. */
bool isolate__area_is_clean(const struct isolate__area *area);

/* pool-line.c */
/* More than a line holds: who goes on writing to it is not waited for. */
#define ISOLATE__LINE_MESSAGES 1024
/*
 * The next message's size or a negative errno, and its descriptor or -1. The message stays, so that nothing
 * is lost with -EMFILE: there was no number. Between pal_private_begin and _end.
 */
ssize_t isolate__line_peek(int line, int *ret_fd);
void isolate__line_drop(int line);
/*
 * Closes what a function has sent: with some files that takes as long as it wants, and forks by
 * other threads would wait for pal_private_end. The number is known all the while.
 */
void isolate__slot_close_slowly(const struct isolate__slot *slot, int *fd);
/* The same for the line, and what was sent and has not been read. */
void isolate__slot_close_line(struct isolate__slot *slot);

/* pool-job.c: all of a slot that has an area */
/* 0, or a negative errno: the worker may sleep on. `ret_waits`, always written: it did, for this. */
int isolate__job_post(struct isolate__slot *slot, bool *ret_waits);
/* Whether no worker has taken it: then none will. */
bool isolate__job_take_back(struct isolate__slot *slot);
/* Whether nobody has taken it, or done anything with it. */
bool isolate__job_is_untouched(const struct isolate__slot *slot);
/* Whether the last worker has done it, and waits for another one. */
bool isolate__job_is_done(const struct isolate__slot *slot);

/* pool-code.c */
int isolate__code_new(struct isolate__code **ret, struct pal_error *error);
void isolate__code_free(struct isolate__code *code);
/*
 * 0: what can be called there now could be called there then, and is the same. -ENOEXEC, or why that
 * is not known. Any thread.
 */
int isolate__code_check(
	struct isolate__code *code, const void *address, struct pal_error *error);

/* pool-serve.c: the function of pal_fork; `snapshot` is a struct isolate__snapshot. */
int isolate__serve(void *snapshot);

/* pool-worker.c: the same; `seat` is a struct isolate__seat. */
int isolate__work(void *seat);
/* Whether this process is a worker of that pool, or a fork of one. */
bool isolate__works_for(const struct isolate_pool *pool);

#endif
