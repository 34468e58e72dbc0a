/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <errno.h>
#include <sched.h>
#include <string.h>

/*
 * posix_spawnattr_*: they keep what they are given. An object of zeros is one
 * that was initialised. Only flags and policy are looked at here; whether the
 * rest makes sense, the kernel says in the child.
 */

#define KNOWN_FLAGS \
	(POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | \
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER | \
		POSIX_SPAWN_USEVFORK | POSIX_SPAWN_SETSID)

SPAWN_PRELOAD_EXPORT int posix_spawnattr_init(posix_spawnattr_t *attributes)
{
	memset(attributes, 0, sizeof *attributes);
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_destroy(posix_spawnattr_t *attributes)
{
	(void)attributes; /* holds nothing, and stays usable, as in glibc */
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_getflags(
	const posix_spawnattr_t *restrict attributes, short *restrict flags)
{
	*flags = attributes->__flags;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags)
{
	if (flags & ~KNOWN_FLAGS)
		return EINVAL;
	attributes->__flags = flags;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_getpgroup(
	const posix_spawnattr_t *restrict attributes, pid_t *restrict group)
{
	*group = attributes->__pgrp;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_setpgroup(posix_spawnattr_t *attributes, pid_t group)
{
	attributes->__pgrp = group;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_getsigdefault(
	const posix_spawnattr_t *restrict attributes, sigset_t *restrict signals)
{
	*signals = attributes->__sd;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_setsigdefault(
	posix_spawnattr_t *restrict attributes, const sigset_t *restrict signals)
{
	attributes->__sd = *signals;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_getsigmask(
	const posix_spawnattr_t *restrict attributes, sigset_t *restrict signals)
{
	*signals = attributes->__ss;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_setsigmask(
	posix_spawnattr_t *restrict attributes, const sigset_t *restrict signals)
{
	attributes->__ss = *signals;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_getschedpolicy(
	const posix_spawnattr_t *restrict attributes, int *restrict policy)
{
	*policy = attributes->__policy;
	return 0;
}

/* Those of POSIX only, also not with SCHED_RESET_ON_FORK, as glibc. */
SPAWN_PRELOAD_EXPORT int posix_spawnattr_setschedpolicy(posix_spawnattr_t *attributes, int policy)
{
	if (policy != SCHED_OTHER && policy != SCHED_FIFO && policy != SCHED_RR)
		return EINVAL;
	attributes->__policy = policy;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_getschedparam(
	const posix_spawnattr_t *restrict attributes, struct sched_param *restrict parameters)
{
	*parameters = attributes->__sp;
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawnattr_setschedparam(
	posix_spawnattr_t *restrict attributes, const struct sched_param *restrict parameters)
{
	attributes->__sp = *parameters;
	return 0;
}
