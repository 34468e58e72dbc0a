/* SPDX-License-Identifier: MIT */

/* The state of a job, as the caller's side changes and reads it: posted, taken back, done. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <linux/futex.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int isolate__job_post(struct isolate__slot *slot, bool *ret_waits)
{
	struct isolate__job *job = &slot->area->job;
	uint32_t before = atomic_exchange(&job->state, ISOLATE__JOB_POSTED) & ISOLATE__JOB_KIND;
	long r = 0;

	*ret_waits = before == ISOLATE__JOB_LISTENED || before == ISOLATE__JOB_AWAITED;
	if (before == ISOLATE__JOB_LISTENED)
		r = syscall(SYS_sendto, slot->line, "", 1, MSG_NOSIGNAL, NULL, 0);
	else if (before == ISOLATE__JOB_AWAITED)
		r = syscall(SYS_futex, &job->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	/* What fills the line wakes it, too; and one whose end is closed has ended or will. */
	return r < 0 && errno != EAGAIN && errno != EPIPE && errno != ECONNRESET ? -errno : 0;
}

bool isolate__job_take_back(struct isolate__slot *slot)
{
	uint32_t expected = ISOLATE__JOB_POSTED;

	return atomic_compare_exchange_strong(
		&slot->area->job.state, &expected, ISOLATE__JOB_REVOKED);
}

bool isolate__job_is_untouched(const struct isolate__slot *slot)
{
	return slot->area->shared.marks.progress == ISOLATE__PREPARED &&
	       slot->area->job.state == ISOLATE__JOB_POSTED;
}

bool isolate__job_is_done(const struct isolate__slot *slot)
{
	uint32_t state = slot->area->job.state, kind = state & ISOLATE__JOB_KIND;

	return (kind == ISOLATE__JOB_AWAITED || kind == ISOLATE__JOB_LISTENED) &&
	       (state & ~ISOLATE__JOB_KIND) == slot->generation &&
	       slot->area->shared.marks.progress == ISOLATE__COMPLETE;
}
