/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SIGNALS_PRIV_H
#define PROCMESH_PAL_SIGNALS_PRIV_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The kernel's signal mask, without libc in between: that leaves out two
 * real-time signals of its own, one of which makes setuid(2) reach every
 * thread - and must not reach a child that shares our memory.
 */
#define PAL__KERNEL_SIGSET_SIZE (_NSIG / 8)
#define PAL__KERNEL_SIGRTMIN 32 /* libc's own SIGRTMIN is above those that it keeps for itself */

struct pal__sigset {
	unsigned long bits[PAL__KERNEL_SIGSET_SIZE / sizeof(unsigned long)];
};

#define PAL__SIGSET_WORD(signal) (((unsigned)(signal)-1) / (CHAR_BIT * sizeof(unsigned long)))
#define PAL__SIGSET_BIT(signal) (1UL << (((unsigned)(signal)-1) % (CHAR_BIT * sizeof(unsigned long))))

static inline bool pal__sigset_has(const struct pal__sigset *set, int signal)
{
	return set->bits[PAL__SIGSET_WORD(signal)] & PAL__SIGSET_BIT(signal);
}

static inline void pal__sigset_add(struct pal__sigset *set, int signal)
{
	set->bits[PAL__SIGSET_WORD(signal)] |= PAL__SIGSET_BIT(signal);
}

/* The mask of the calling thread. Cannot fail: the arguments are valid. */
static inline struct pal__sigset pal__signals_mask(void)
{
	struct pal__sigset mask = {{0}};

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
	return mask;
}

/* Cannot fail either. */
static inline struct pal__sigset pal__signals_block_all(void)
{
	struct pal__sigset all, before = {{0}};

	for (size_t i = 0; i < sizeof all.bits / sizeof all.bits[0]; i++)
		all.bits[i] = ~0UL;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
	return before;
}

static inline void pal__signals_restore(const struct pal__sigset *before)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, sizeof *before);
}

#endif
