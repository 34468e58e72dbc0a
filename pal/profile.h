/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_H
#define PROCMESH_PAL_PROFILE_H

#include <pal/error.h>
#include <pal/export.h>
#include <stddef.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * A sandbox in two stages. `apply` runs in the parent and sets what holds from
 * exec on; the program's loader and initialisation still have to work under it.
 * `finalize` is called by the child itself once it has initialised, and closes
 * what only the initialisation needed. Either may be NULL. Both return 0 or a
 * negative errno. The struct and what `data` points to stay the caller's and
 * must outlive their use.
 */
struct pal_profile {
	size_t size;      /* sizeof(struct pal_profile) */
	const char *name; /* for messages */
	int (*apply)(const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);
	int (*finalize)(const struct pal_profile *profile, struct pal_error *error);
	void *data;
};

/*
 * Calls profile->finalize on this process, for the child to call when its
 * initialisation is over. Restrictions reach every thread or it fails; see
 * pal_self_restrict. 0 where the profile has none or is NULL.
 */
PAL_EXPORT int pal_profile_finalize(const struct pal_profile *profile, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Pure computation on descriptors that it is given.
 * apply: no_new_privs; no capabilities; no core files, at most 64 descriptors
 * and no new processes (threads are allowed); a seccomp list that lets the
 * dynamic loader, libc's start-up and ordinary initialisation work, without
 * sockets, ptrace, mount, exec of other programs after the first.
 * finalize: Landlock with no path at all, and a tight list: memory, read and
 * write and sendmsg/recvmsg on descriptors that exist, time, futexes, threads,
 * exit. From then on no file can be opened and no socket made in any thread.
 */
PAL_EXPORT const struct pal_profile *pal_profile_pure_compute(void);

PAL_END_DECLS

#endif
