/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SECCOMP_PRIV_H
#define PROCMESH_PAL_SECCOMP_PRIV_H

#include <linux/filter.h>
#include <pal/sandbox.h>

struct pal_seccomp {
	void *context; /* libseccomp's */
	int otherwise;
	unsigned long exec_key; /* 0: no pal_seccomp_allow_first_exec */
};

/* The filter as the kernel takes it; ret->filter is the caller's, to free() or for the next. */
int pal__seccomp_compile(const struct pal_seccomp *filter, struct sock_fprog *ret, struct pal_error *error)
	PAL_MUST_CHECK;
/* Leaves nothing of the filter in memory: it may contain the key. */
void pal__seccomp_program_free(struct sock_fprog *program);

#endif
