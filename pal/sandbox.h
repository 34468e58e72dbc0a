/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SANDBOX_H
#define PROCMESH_PAL_SANDBOX_H

#include <pal/capabilities.h>
#include <pal/error.h>
#include <pal/export.h>
#include <pal/landlock.h>
#include <pal/seccomp.h>
#include <stdbool.h>
#include <stddef.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * The parts that sandboxes are made of. Each can be set on a builder, for a
 * child, or enforced on this process itself (pal_self_*), for a program that
 * tightens itself after its initialisation. A part that cannot be applied fails
 * the spawn or the call: nothing here is silently weaker than asked.
 *
 * In a child the order is: rlimits, the ids (process.h) with capabilities kept,
 * bounding set, the three sets, ambient set, securebits, no_new_privs, Landlock,
 * seccomp last.
 */

/* ---- no_new_privs: prctl(2) PR_SET_NO_NEW_PRIVS, Linux 3.5 ---- */

PAL_EXPORT void pal_builder_no_new_privs(struct pal_builder *builder, bool on);

/* ---- on this process ---- */

/* What pal_self_restrict enforces; members that are NULL or false are left out. */
struct pal_self_restrictions {
	size_t size; /* sizeof(struct pal_self_restrictions); too small is -EINVAL, more than is known here -E2BIG */
	bool no_new_privs;
	const struct pal_capabilities *capabilities; /* no set may gain anything */
	const struct pal_landlock *landlock;
	const struct pal_seccomp *seccomp; /* without PAL_SECCOMP_NOTIFY: -EINVAL */
};

/*
 * Enforces all of it on *every thread* of this process, in the order above, or
 * fails. seccomp reaches the threads by SECCOMP_FILTER_FLAG_TSYNC; no_new_privs,
 * capabilities and Landlock are per thread (Landlock has no all-threads flag
 * before ABI 8), so each thread is interrupted with the real-time signal
 * pal_threads_signal() and does it to itself. That needs /proc, the signal at
 * its default disposition and not blocked in any thread but those of helper.h and
 * this library's own, which block all signals and are called for it: they come
 * when they have done what they are at, in a mesh the callback. -EBUSY
 * (PAL_STAGE_THREADS) names the thread that cannot be reached. With this stage
 * nothing has been applied, because all threads are stopped before the first
 * one changes. In the other threads calls such as poll and epoll_wait may return
 * EINTR. A failure with another stage may leave a process that is partly
 * restricted: it should end. Must not be called from two threads at once.
 */
PAL_EXPORT int pal_self_restrict(const struct pal_self_restrictions *restrictions, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * The signal that pal_self_restrict uses: a thread with other signals blocked must leave this one open, or be one
 * of helper.h. So must one that such a thread has started, whose mask it inherits. Any thread.
 */
PAL_EXPORT int pal_threads_signal(void);

PAL_END_DECLS

#endif
