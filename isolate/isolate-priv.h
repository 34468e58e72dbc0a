/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_ISOLATE_PRIV_H
#define PROCMESH_ISOLATE_ISOLATE_PRIV_H

#include <isolate/crash-priv.h>
#include <isolate/forks-priv.h>
#include <isolate/isolate.h>
#include <pal/builder.h>
#include <pal/child.h>
#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/private.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * One call, in time:
 *
 *	parent                          child
 *	prepare: page, memfd (one that is kept, or new)
 *	start: pal_fork ------------->  progress = ENTERED
 *	wait for the end of the child   the function; isolate_write fills the page, then the memfd
 *	                                progress = RETURNED, rest of the bytes, progress = COMPLETE
 *	read the page, judge, fetch  <--  _exit
 *
 * Nothing of the result is read while the child runs, so nothing can make the parent wait for
 * more than the end of the child, and no amount of bytes can block the child. Captured
 * streams are pipes, and are read all the time.
 */

/*
 * A result of up to this many bytes lies in the shared page; a longer one is
 * whole in the memfd, and the buffer has only gathered small writes.
 */
#define ISOLATE__BUFFER_SIZE ((size_t)64 << 10)

/*
 * How far the child got. No value is likely to come from a function that writes
 * over the page by accident, zero least of all: what is none of these is
 * noticed and makes the answer ISOLATE_UNKNOWN.
 */
enum isolate__progress {
	ISOLATE__PREPARED = 0x69736f30, /* the function was not entered */
	ISOLATE__ENTERED,
	ISOLATE__RETURNED, /* `value` is valid */
	ISOLATE__COMPLETE  /* `size`, `write_error` and `write_limit` as well */
};

enum isolate__left {
	ISOLATE__NOT_LEFT,
	ISOLATE__LEFT_BY_EXIT = 0x69736f40, /* exit(left_status) */
	ISOLATE__LEFT_BY_UNWINDING          /* longjmp, pthread_exit, an exception */
};

/* What the child tells. The parent judges a copy, which cannot change any more. */
struct isolate__marks {
	uint32_t progress;    /* enum isolate__progress; stored after what it makes valid */
	uint32_t left;        /* enum isolate__left */
	int left_status;
	int value;
	int write_error;      /* negative errno of the first write that failed; 0: none */
	uint64_t write_limit; /* the bound that -EFBIG is about */
	uint64_t size;        /* of the result */
	uint32_t secluded;    /* ISOLATE__SECLUDED: no fork of the child has this page */
};
#define ISOLATE__SECLUDED 0x69736f50u

/*
 * That this call's child has written a long result, and how many bytes: a memfd may hold what
 * earlier calls have left there. Not in the memfd itself, where RLIMIT_FSIZE would count it.
 */
struct isolate__record {
	uint64_t ticket;
	uint64_t size;
};

struct isolate__shared {
	unsigned char fork_memory[PAL_FORK_MEMORY]; /* pal_fork's; has the alignment of the mapping */
	struct isolate__marks marks;
	struct isolate__record record;
	struct isolate__crash_area crash; /* only with options.crash_report */
	unsigned char buffer[ISOLATE__BUFFER_SIZE];
};

/* Everything of one call in the parent; the child reads its copy. */
struct isolate__call {
	isolate_fn fn;
	void *arg;
	struct isolate_options options; /* what they point to is the caller's, and gone after the start */
	size_t max_result;
	pal_deadline deadline;
	struct isolate__shared *shared;
	struct pal_builder *builder; /* until the end: it has the names for what failed before the function */
	int memfd; /* to be written to; -1 where max_result fits the page, or until it is needed */
	dev_t memfd_device;
	ino_t memfd_inode;
	uint64_t memfd_size;        /* when it was prepared */
	struct isolate__warm *warm; /* what the memfd is of; NULL: it serves this call only */
	uint64_t ticket;            /* of the record */
	struct pal_child *child;
	bool fork_is_guarded; /* isolate__guarded_fork is what forks it */
	/* NULL: the parent has the memfd. Else hands it over, in the child: 0 or a negative errno. */
	int (*deliver)(struct isolate__call *call);
};

/* What is known once the child is gone; judged without any system call. */
struct isolate__facts {
	struct isolate__marks marks;
	int start_code; /* of pal_fork */
	struct pal_error start_error;
	int wait_code; /* of the wait that ended the call; -ECHILD: there is no status */
	struct pal_error wait_error;
	bool timed_out; /* its end was asked for at the deadline; not with `cancelled` */
	bool cancelled;
	bool killed; /* because of either */
	bool withdrawn; /* at the deadline: no child had it yet, and none was ended for it */
	struct pal_status status;
};

/* One captured stream. */
struct isolate__capture {
	int fd; /* -1: none, or it has come to its end */
	bool wanted;
	char *data;
	size_t size;
	size_t room; /* at `data`, without that of the NUL */
	size_t limit;
	bool truncated;
};

/* What the parent waits for. */
enum isolate__phase {
	ISOLATE__RUNS,
	ISOLATE__TOLD,   /* SIGTERM */
	ISOLATE__KILLED, /* SIGKILL */
	ISOLATE__DRAINS, /* it has ended, and somebody still holds a captured stream */
	ISOLATE__DONE
};

/* How long to wait before looking again at a child that is `held`. */
#define ISOLATE__HELD_NAP_MS 5

struct isolate_run {
	struct pal_private private; /* children of other runs are not to have what this one has open */
	struct isolate__call call;
	struct isolate__facts facts;
	struct isolate__capture captures[2]; /* stdout, stderr */
	enum isolate__phase phase;
	pal_deadline next; /* when to give the phase up; ISOLATE__DONE: NOW */
	bool secluded; /* the page, as far as it is this process's affair */
	bool held; /* its end shows, and cannot be had before a tracer lets go */
	bool cut_off;
	uint64_t owner; /* pal_process_mark */
	unsigned epoch; /* of its fork */
	struct isolate__watch { /* isolate_run_fd; -1: not asked for */
		int epoll;
		int timer;
		bool child; /* its pidfd is in the set */
	} watch;
};

/* options.c. 0 or a negative errno; *ret is complete, with what older callers do not know. */
int isolate__options_read(
	const struct isolate_options *given, struct isolate_options *ret, struct pal_error *error);
/*
 * Makes call->builder, for pal_fork, what the options ask for; NULL: no memory. The one that
 * is there may do.
 */
void isolate__options_builder(struct isolate__call *call);
/* The builder alone, without what differs from call to call. call->memfd is kept for the child. */
struct pal_builder *isolate__options_make_builder(const struct isolate__call *call);
/*
 * Whether a builder takes nothing from the options that it keeps: then it does for other such
 * calls.
 */
bool isolate__options_plain(const struct isolate_options *options);

/* start.c. 0, or a negative errno with nothing left behind: it was not executed. */
int isolate__run_start(struct isolate_run *run, isolate_fn fn, void *arg,
	const struct isolate_options *options, bool outlives_thread, struct pal_error *error);

/* 0; -EBUSY: there are other threads, or the errno of looking for them. */
int isolate__check_only_thread(struct pal_error *error);

/* progress.c: never waits. Whether the outcome is known. */
bool isolate__run_advance(struct isolate_run *run);
/* Waits until it is. */
void isolate__run_await(struct isolate_run *run);
void isolate__run_kill(struct isolate_run *run);

/* run.c: waits, sets *result, and leaves nothing of the run but its memory. */
void isolate__run_finish(struct isolate_run *run, struct isolate_result *result);
/* What is known, as a result: the one place where what a child left is collected. */
void isolate__conclude(struct isolate__call *call, const struct isolate__facts *facts,
	struct isolate_result *result);

/* watch.c: the set of isolate_run_fd, if there is one. */
void isolate__watch_forget(struct isolate_run *run, int fd);
void isolate__watch_forget_child(struct isolate_run *run);
void isolate__watch_update(struct isolate_run *run);
void isolate__watch_close(struct isolate_run *run);

/* capture.c. Between pal_private_begin and _end. */
void isolate__capture_begin(struct isolate__capture *capture, int fd, size_t limit);
/* Takes what is there, up to a bound. false: that was its end, or it cannot be read. */
bool isolate__capture_read(struct isolate__capture *capture);
/* The bytes with a NUL behind them, for free(3). NULL: none were wanted, or no memory. */
char *isolate__capture_take(struct isolate__capture *capture, size_t *ret_size);

/*
 * Above the standard streams, so that a function finds closed ones closed. Takes `fd`; keeps
 * -1 and errno.
 */
int isolate__lift(int fd);

/* What one call leaves to the next. */
struct isolate__kept {
	struct isolate__shared *shared; /* NULL: nothing is kept */
	struct pal_builder *builder;    /* of a call with options that builders have no part in; or NULL */
};

/*
 * cache.c: a shared page as if freshly mapped, copied to forks, and perhaps a builder. 0 or a
 * negative errno.
 */
int isolate__cache_take(struct isolate__kept *ret);
/* From now on forks of this process do not get it. Whether that could be done. */
bool isolate__cache_seclude(struct isolate__shared *shared);
/*
 * For the next call, or where other processes may have the page, given back. Nothing is left
 * in *kept. Keeps errno.
 */
void isolate__cache_put(struct isolate__kept *kept, bool secluded);

/* The same for memory of long results. NULL: none is kept. */
struct isolate__warm *isolate__cache_take_warm(void);
struct isolate__warm *isolate__cache_take_buffer(void);
/* `needed` bytes of it were. What is too large, or too much, is freed. Keeps errno. */
void isolate__cache_put_warm(struct isolate__warm *memory, size_t needed);
/* There was a long result: more are to be expected, for some calls. */
void isolate__cache_had_long(void);
/* Asked once for every call that nothing is kept for. */
bool isolate__cache_expects_long(void);

/* result.c: the memory that the child writes to, and reading it */
int isolate__result_prepare(struct isolate__call *call, struct pal_error *error);
/* Lifted, for sealing. -1 and errno. */
int isolate__memfd(const char *name);
/* For the record of a call: no other one of this process has it. */
uint64_t isolate__result_ticket(void);
/* In the child, for a call that has a ticket and no memfd: one for this call only. 0 or a negative errno. */
int isolate__result_open(struct isolate__call *call);
/* `secluded`: no other process has the page. */
void isolate__result_release(struct isolate__call *call, bool secluded);
/*
 * Brings the complete result of `size` bytes, to result's data and memory; -EBADMSG where it is
 * not what the child said. The child must be gone.
 */
int isolate__result_fetch(struct isolate__call *call, uint64_t size, struct isolate_result *result,
	struct pal_error *error);

/* writer.c: the child's end of it */
struct isolate_writer {
	struct isolate__call *call;
	struct isolate__shared *shared;
	pid_t owner; /* a process that the function forks must not write */
	size_t buffered; /* bytes in shared->buffer */
	size_t spilled;  /* bytes in the memfd; they come before the buffered ones */
	int error;       /* the first one; sticky */
	uint64_t error_limit;
};
/*
 * Whether this is the child itself. Where the function may not ask for its pid any more, a fork
 * that libc knows of is still told; another one is taken for the child.
 */
static inline bool isolate__writer_is_here(const struct isolate_writer *writer)
{
	pid_t pid;

	if (isolate__forks_is_copy())
		return false;
	pid = getpid();
	return pid == writer->owner || pid <= 0;
}
/* Moves the rest to where the parent looks for it; then size and error are final. */
void isolate__writer_finish(struct isolate_writer *writer);

/* child.c: the function of pal_fork. `call` is a struct isolate__call. */
int isolate__child(void *call);
/*
 * The same in parts, for children that run several functions: once, for the writer that all of
 * them use; then for each.
 */
int isolate__child_arm(struct isolate_writer *writer);
void isolate__child_call(struct isolate_writer *writer);

/* guard.c: in the parent, in the thread that will fork. 0 or -ENOMEM. */
int isolate__guard_register(void);
/*
 * pal_fork, to isolate__child. What it leaves in the thread the child has already: armed there, it
 * would be code that nothing else in the child comes to, and another page fault.
 */
int isolate__guarded_fork(struct isolate__call *call, struct pal_error *error);
/* In the child, before the function. 0 or a negative errno. */
int isolate__guard_arm(struct isolate_writer *writer);
/* Calls fn, and ends the process if it is left in any other way than by returning. */
int isolate__guarded(isolate_fn fn, void *arg, struct isolate_writer *writer);
/* Whether that is the code of a frame below the function's: those beyond are not its own. */
bool isolate__is_guard(uintptr_t function);

/* outcome.c: the answer, `value` and `error`. ISOLATE_RETURNED: if the bytes can be fetched. */
void isolate__judge(const struct isolate__call *call, const struct isolate__facts *facts,
	struct isolate_result *result);
/* The result cannot be had although the function returned. */
void isolate__judge_lost(struct isolate_result *result, const struct pal_error *error);

#endif
