/* SPDX-License-Identifier: MIT */

/*
 * The child's half. It runs in a copy of a process that may have had several
 * threads: apart from the function itself, nothing here takes a lock that
 * fork(2) does not take care of.
 */
#include <isolate/isolate-priv.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The parent looks at the marks even when the child was killed between any two instructions. */
static void reach(struct isolate__shared *shared, enum isolate__progress progress)
{
	__atomic_store_n(&shared->marks.progress, progress, __ATOMIC_RELEASE);
}

int isolate__child_arm(struct isolate_writer *writer)
{
	int r;

	isolate__forks_arm();
	r = isolate__guard_arm(writer);
	if (r == 0 && writer->call->options.crash_report)
		r = isolate__crash_arm(&writer->shared->crash);
	return r;
}

void isolate__child_call(struct isolate_writer *writer)
{
	const struct isolate__call *call = writer->call;
	struct isolate__shared *shared = writer->shared;
	int value;

	reach(shared, ISOLATE__ENTERED);
	value = isolate__guarded(call->fn, call->arg, writer);
	if (!isolate__writer_is_here(writer))
		_exit(EXIT_FAILURE); /* the function forked; this is not the one waited for */

	shared->marks.value = value;
	reach(shared, ISOLATE__RETURNED);

	isolate__writer_finish(writer);
	shared->marks.size = writer->spilled + writer->buffered;
	shared->marks.write_error = writer->error;
	shared->marks.write_limit = writer->error_limit;
	reach(shared, ISOLATE__COMPLETE);
}

int isolate__child(void *userdata)
{
	struct isolate__call *call = userdata;
	struct isolate_writer writer = {
		.call = call,
		.shared = call->shared,
		.owner = getpid(),
	};

	/* What is kept is open across exec. This is for the function, and not for what it may execute. */
	if (call->options.keep_fds && call->memfd >= 0)
		(void)fcntl(call->memfd, F_SETFD, FD_CLOEXEC);
	/* A filter might take it for a crime. */
	if (!call->options.sandbox && isolate__cache_seclude(call->shared))
		call->shared->marks.secluded = ISOLATE__SECLUDED;
	if (isolate__child_arm(&writer) < 0)
		return EXIT_FAILURE;
	isolate__child_call(&writer);
	return EXIT_SUCCESS;
}
