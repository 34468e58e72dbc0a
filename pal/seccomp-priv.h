/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SECCOMP_PRIV_H
#define PROCMESH_PAL_SECCOMP_PRIV_H

#include <linux/filter.h>
#include <pal/seccomp.h>
#include <stdbool.h>

#define PAL__EXEC_KEY_ARGUMENT 3  /* execve has 0 to 2: the kernel ignores this one, the filter sees it */
#define PAL__START_KEY_ARGUMENT 5 /* no call between filter and exec has that many */

struct pal__seccomp_rule {
	unsigned number;
	uint32_t verdict; /* SECCOMP_RET_... with its data */
	size_t count;     /* of the conditions */
	struct pal_seccomp_compare conditions[PAL_SECCOMP_COMPARE_MAX]; /* masks are never 0 here */
};

struct pal_seccomp {
	uint32_t otherwise, foreign;
	bool newer_set;
	uint32_t newer;
	struct pal__seccomp_rule *rules; /* the later one counts */
	size_t count, room;
	unsigned long exec_key; /* 0: no pal_seccomp_allow_first_exec */
};

/*
 * The filter as the kernel takes it, and the keys that its child has to know
 * (0: none); ret->filter is for pal__seccomp_program_free.
 */
struct pal__seccomp_program {
	struct sock_fprog code;
	unsigned long exec_key;
	unsigned long start_key;
	bool notify; /* wants a listener */
};

int pal__seccomp_compile(const struct pal_seccomp *filter, struct pal__seccomp_program *ret, struct pal_error *error)
	PAL_MUST_CHECK;
/* The same for instructions that come from elsewhere. */
int pal__seccomp_copy(const struct sock_filter *code, size_t count, struct pal__seccomp_program *ret,
	struct pal_error *error) PAL_MUST_CHECK;
/* Leaves nothing of it in memory: it may contain a key. */
void pal__seccomp_program_free(struct sock_fprog *program);

/* The highest number of a call in @known. */
unsigned pal__seccomp_newest_known(void);
/* libseccomp's: negative for a call that this architecture does not have. -EINVAL: no call. */
int pal__seccomp_number(const char *name, int *ret);
/* The call by which another one can be made, too, on some architectures. */
struct pal__seccomp_multiplexer {
	const char *name;
	uint64_t mask; /* of its first argument ... */
	uint64_t which; /* ... that is then this */
};
/* NULL: there is none. */
const struct pal__seccomp_multiplexer *pal__seccomp_multiplexer(const char *name);
/* What `rule` means for it, whose number is `number`; false: nothing. */
bool pal__seccomp_multiplexed_rule(const struct pal__seccomp_rule *rule, bool allows,
	const struct pal__seccomp_multiplexer *by, unsigned number, struct pal__seccomp_rule *ret);
/* A number other than 0 that nobody can guess. 0 or a negative errno. */
int pal__seccomp_key(unsigned long *ret);

#endif
