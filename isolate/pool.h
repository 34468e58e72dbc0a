/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_POOL_H
#define PROCMESH_ISOLATE_POOL_H

#include <isolate/isolate.h>

PAL_BEGIN_DECLS

/*
 * isolate_call from a snapshot: a process that is forked once, and from which the copies are
 * forked that functions run in. A call costs what forking the snapshot costs, however large
 * this process has become since; and it sees memory as it was at the snapshot. What it is to
 * know besides is its input, which is copied to it. See doc/isolate-pool.md.
 *
 * The snapshot is a copy of this process with one thread, which does nothing but start copies
 * and see them end. It ends with this process, however that ends, and everything that it has
 * started with it; but where this process executes another program while a plain fork of it lives
 * on, only with that fork.
 *
 * It has every descriptor that was open when it was made (so a pipe or a socket that this process
 * closes is not closed for whoever is at its other end), but those that the library has open for
 * other calls, runs and pools (pal/private.h); except where worker.keep_fds says
 * which: then those, the standard streams, and what a sandbox needs. A function has the same, and
 * one more: what long results of its copy are told through. Nothing of other places, of the snapshot's own,
 * or of earlier copies.
 */
struct isolate_pool;

struct isolate_pool_options {
	size_t size; /* sizeof(struct isolate_pool_options) */
	/*
	 * What every copy is like; NULL: the defaults. A sandbox's apply is called once, by
	 * isolate_pool_new; nice and core are relative to what this process has then. only_thread
	 * is about the moments when a snapshot is made. deadline_ms, grace_ms and max_result are
	 * what calls get that say nothing. Standard streams: PAL_STDIO_INHERIT (the
	 * snapshot's), NULL, FD, and STDOUT. Descriptors that are named, kept ones too, have to stay
	 * open for isolate_pool_refresh, the same files under the same numbers: -EBADF where one
	 * is closed, or its number is another file's by now (but one without an inode of its own,
	 * such as an eventfd, is not told from another such). keep_fds that is not NULL, with
	 * keep_fd_count 0, keeps none but the standard streams.
	 * -EINVAL for the others, and for max_capture and drain_ms: nothing is captured.
	 */
	const struct isolate_options *worker;
	/*
	 * Calls at the same time on one snapshot; 0: ISOLATE_POOL_AT_ONCE; up to
	 * ISOLATE_POOL_AT_ONCE_MAX. Those that are under way at an isolate_pool_refresh do not count
	 * against the new snapshot.
	 */
	unsigned at_once;
	/* Callers that may wait while at_once others are served; 0: ISOLATE_POOL_QUEUE; negative: none. */
	int queue;
	/*
	 * How many calls one copy serves before it ends; 0 and 1: one. With more, a call need not
	 * wait for a fork, and what a function leaves - in memory, open descriptors, threads,
	 * signal handlers, changed limits - is there for the next ones in that copy. Their status is
	 * not known, but that of calls with which a copy has ended. A function is not told whether
	 * its copy has served before.
	 */
	unsigned reuse;
	/*
	 * A copy is forked as soon as the last one of its place has ended, for the next call not
	 * to wait for it. true: only for a call. For snapshots whose copies are expensive to have.
	 * Always so with a sandbox: a copy that waits has to be allowed recvfrom(2) or futex(2), as it is
	 * with reuse; where its filter does not, it serves one call.
	 */
	bool no_spare;
};
#define ISOLATE_POOL_OPTIONS_INIT .size = sizeof(struct isolate_pool_options)
#define ISOLATE_POOL_AT_ONCE 4
#define ISOLATE_POOL_AT_ONCE_MAX 256
#define ISOLATE_POOL_QUEUE 64

/*
 * A function for a pool. `in` are the bytes that the call was given, aligned for any type, in
 * memory of this call only; not NULL, also where there are none. A process that the function forks
 * does not have that memory (SIGSEGV): what it needs of it is to be copied before.
 */
typedef int (*isolate_pool_fn)(struct isolate_writer *out, const void *in, size_t in_size);

/*
 * Makes a pool and its first snapshot: the memory as it is now, and the calling thread. 0, or
 * a negative errno with its stage: invalid options (-EINVAL, -E2BIG, -EBADF), what keeps
 * isolate_call from executing, no list of what is mapped in /proc (its errno).
 *
 * The snapshot forks as fork(3) does, handlers of pthread_atfork(3) included, and allocates a
 * little: an allocator has to survive the fork of a process with several threads, as libc's does.
 * Variables that are set after this are as they were, to functions: `pool` itself, as a rule.
 *
 * In this process a pool takes up to five descriptors for each call that is under way, three for
 * each place of at_once that has been used, one for each other place, and five for itself. To make a
 * snapshot, here and in isolate_pool_refresh, takes two for each of at_once and six more for a moment.
 * An old snapshot that still has a call under way after isolate_pool_refresh has its own, for all its
 * places. -EMFILE where RLIMIT_NOFILE is less than three for each of at_once. Where there are
 * fewer than these, this may succeed all the same, and calls fail (see isolate_pool_call).
 */
PAL_EXPORT int isolate_pool_new(const struct isolate_pool_options *options, struct isolate_pool **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * Calls fn(writer, in, in_size) in a copy of the snapshot, and waits for its answer, as
 * isolate_call does: the answers and their codes mean the same, and the copy is gone and reaped
 * when this returns, but for one that will be used again, and one that was ordered and did not
 * come before the deadline: it ends as soon as it comes. `in` may be NULL where in_size is 0.
 *
 * Of `options` (NULL: none) deadline_ms, grace_ms and max_result count, 0 being the pool's;
 * max_result beyond the pool's, and anything else that is set, is -EINVAL: it would have to
 * be part of the snapshot.
 *
 * Not executed, besides isolate_call's cases:
 *	-EAGAIN, ISOLATE_STAGE_QUEUE       too many callers are waiting
 *	-ETIMEDOUT, ISOLATE_STAGE_DEADLINE also while waiting: the deadline counts from the call on
 *	-EMFILE, ISOLATE_STAGE_PREPARE     no descriptor is left for a result of more than 64 KiB
 *	-EFBIG, ISOLATE_STAGE_PREPARE      RLIMIT_FSIZE is less than 192 KiB, or than the input
 *	                                   and 128 KiB
 *	-ENOEXEC, ISOLATE_STAGE_SNAPSHOT   the snapshot has no such function: it was loaded since, or
 *	                                   unloaded, or is in memory that was not executable then (but
 *	                                   what was written since to memory that was is not noticed)
 *	-EOWNERDEAD, ISOLATE_STAGE_SNAPSHOT the snapshot process has ended, as everything that is
 *	                                   killed does; isolate_pool_refresh makes another
 *	-EPERM, ISOLATE_STAGE_SNAPSHOT     in a fork of the process whose pool it is
 * Calls that are under way when the snapshot process ends get, with -EOWNERDEAD, the answer that is
 * known; their copies are killed. The same where it does nothing for two seconds when it is to kill a
 * copy, because it stands still: then all of the pool is lost. Where it does, and that copy has not
 * ended by then, since a tracer holds it or it has no CPU to give its memory back with, the call
 * returns all the same, status unknown, and the copy is left behind. A snapshot that stands still before it has made a copy is waited for until
 * the deadline, without one for ever: -ETIMEDOUT each time, and isolate_pool_refresh is for the caller.
 *
 * A number for the descriptor of a result of more than 64 KiB is kept free from the start. Where other
 * threads take all that come free in the moment of its arrival, and go on to for a second, that
 * result is lost: ISOLATE_EXECUTED, -EMFILE at ISOLATE_STAGE_RESULT.
 *
 * A process that a function leaves behind has the descriptors of the copy that it is a fork of, and of no other, also
 * the one that long results are told through. With `reuse` it can keep later calls of that copy from
 * having theirs: ISOLATE_EXECUTED, with an error at ISOLATE_STAGE_RESULT, and never a wrong one.
 *
 * Any thread.
 */
PAL_EXPORT enum isolate_answer isolate_pool_call(struct isolate_pool *pool, isolate_pool_fn fn,
	const void *in, size_t in_size, const struct isolate_options *options,
	struct isolate_result *result);

/*
 * A new snapshot: calls that begin after this see the memory as it is now. Those under way
 * end on the old one, which then ends: whoever ends its last call waits for that, as this function
 * does where there is none; up to two seconds where a tracer holds the snapshot. On failure nothing is
 * changed. Any thread; one
 * after the other, and each makes a snapshot. Where several threads may see -EOWNERDEAD, see
 * doc/isolate-pool.md for how only one of them does.
 */
PAL_EXPORT int isolate_pool_refresh(struct isolate_pool *pool, struct pal_error *error) PAL_MUST_CHECK;

/*
 * The snapshot's process, for messages and monitoring: it may have ended. In a fork as in the
 * process itself.
 */
PAL_EXPORT pid_t isolate_pool_pid(struct isolate_pool *pool);

/*
 * Ends the snapshot and all its copies. No call may be under way, or begin; there is no way to
 * cancel one: calls end by their deadlines, or all of them by a SIGKILL to
 * isolate_pool_pid (see doc/isolate-pool.md). In a fork of the process whose pool it is:
 * frees the copy's memory, closes nothing, and does nothing else. Takes NULL; keeps errno.
 */
PAL_EXPORT void isolate_pool_free(struct isolate_pool *pool);

PAL_END_DECLS

#endif
