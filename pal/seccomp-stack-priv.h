/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SECCOMP_STACK_PRIV_H
#define PROCMESH_PAL_SECCOMP_STACK_PRIV_H

#include <linux/filter.h>
#include <pal/seccomp-priv.h>

/*
 * One filter that allows what both allow: `second` decides what `first` would let pass. ret->filter is for
 * pal__seccomp_program_free. -E2BIG: too long for the kernel; -EOPNOTSUPP: `first` leaves
 * calls to somebody else (notification, tracer), or computes its answers, or it logs and `second` does.
 */
int pal__seccomp_stack(
	const struct sock_fprog *first, const struct sock_fprog *second, struct sock_fprog *ret);

#endif
