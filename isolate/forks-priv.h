/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_FORKS_PRIV_H
#define PROCMESH_ISOLATE_FORKS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What each call writes in the parent, side by side: a page that is first written after a fork is
 * copied, by a page fault. (.bss holds stacks for crash reports, of many pages.)
 */
#define ISOLATE__WRITTEN_BY_CALLS __attribute__((section(".data")))

/* A moment, as far as it matters which forks are older. */
struct isolate__forks {
	uint64_t by_others;
	uint64_t left;
	unsigned epoch;
	bool known; /* no fork by others was under way */
};

struct isolate__forks isolate__forks_now(void);
/*
 * Whether nobody but this library has forked since then, as far as fork(2) of libc does it. What
 * is to be asked about must have been kept from forks (MADV_DONTFORK) before.
 */
bool isolate__forks_none_by_others(const struct isolate__forks *then);
/* Whether all children of this library have ended that were forked before then; not theirs. */
bool isolate__forks_have_ended(const struct isolate__forks *then);

/* In a child of this library: what it was forked from does not count from now on. */
void isolate__forks_arm(void);
/* Whether this thread is what a fork(3) by the function has made of one. Not seen: _Fork(3), clone(2). */
bool isolate__forks_is_copy(void);

/* Around a fork of this library, whichever way it ends. The epoch is for when the child is gone. */
unsigned isolate__forks_begin(void);
void isolate__forks_end(void);
/* The child has ended, or there is none; or it may live on, and nobody will tell. */
void isolate__forks_child_ended(unsigned epoch);
void isolate__forks_child_left(unsigned epoch);

#endif
