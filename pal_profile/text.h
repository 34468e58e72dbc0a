/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_TEXT_H
#define PROCMESH_PAL_PROFILE_TEXT_H

#include <pal/error.h>
#include <pal/export.h>
#include <pal/profile.h>
#include <stddef.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * Sandbox profiles as text, with the keys of systemd.exec(5): libprocmesh-profile.
 *
 *	[Service]
 *	SystemCallFilter=@system-service
 *	SystemCallFilter=~@privileged @resources
 *	SystemCallErrorNumber=EPERM
 *	CapabilityBoundingSet=
 *	LimitNOFILE=256
 *	ReadOnlyPaths=/
 *	ReadWritePaths=/var/lib/decoder
 *
 *	[Finalize]
 *	SystemCallFilter=~@file-system:EACCES
 *
 * What is in [Service], or before any section, holds from exec on; the program enforces
 * what is in [Finalize] on itself, by pal_profile_finalize. doc/sandbox.md lists the keys. One that is unknown or
 * not supported, or has a bad value, is an error at PAL_STAGE_PROFILE that begins with "file:line:", and has
 * the line as its index: nothing is passed over.
 *
 * With X-Profile= what [Finalize] says comes before what the ready-made profile does then.
 *
 * Users, groups, calls, capabilities are looked up when a text is read; paths when it is applied,
 * with this process's rights: one that is missing, and may not be, is the same kind of error, of
 * pal_profile_describe or the spawn, before there is a child.
 */

#define PAL_PROFILE_TEXT_MAX (1u << 20) /* bytes; longer ones are -E2BIG */

/* For pal_profile_free. `name` is for errors. Any thread. */
PAL_EXPORT int pal_profile_parse(const char *text, size_t size, const char *name, struct pal_profile **ret,
	struct pal_error *error) PAL_MUST_CHECK;
PAL_EXPORT int pal_profile_load(const char *path, struct pal_profile **ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * For a program that is spawned and shall finalize: its builder's children inherit `profile`, as text, in a
 * sealed memfd whose number is in the environment variable PROCMESH_PROFILE_FD, which PassEnvironment=
 * leaves in place. -EOPNOTSUPP for a profile that has no text. Call it after the dup_fd() and
 * env_clear() calls of the builder: it takes the first number from 3 on that they leave. The profile
 * may be freed afterwards. Any number of children may take it at once.
 */
PAL_EXPORT int pal_profile_pass(const struct pal_profile *profile, struct pal_builder *builder,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * In the spawned program: the profile that was passed, for pal_profile_finalize; apply fails with -EOPNOTSUPP. *ret
 * is NULL where none was, and finalize does nothing then: a program that must not go on without one
 * looks at that. The variable is removed and the descriptor closed, also on
 * failure: -EBADMSG for what is no profile that pal_profile_pass has sealed. It changes
 * the environment, so call it while there is one thread.
 */
PAL_EXPORT int pal_profile_inherited(struct pal_profile **ret, struct pal_error *error) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
