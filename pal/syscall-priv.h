/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SYSCALL_PRIV_H
#define PROCMESH_PAL_SYSCALL_PRIV_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * syscall(2) in place, for what every forked child runs: libc's is code that nothing else there
 * comes to, and a fork has no page table entries for code. That costs it a page fault, of 2 us.
 */
#if defined(__x86_64__) && !defined(__ILP32__)
static inline long pal__syscall6(
	long number, long arg1, long arg2, long arg3, long arg4, long arg5, long arg6)
{
	register long fourth __asm__("r10") = arg4;
	register long fifth __asm__("r8") = arg5;
	register long sixth __asm__("r9") = arg6;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(arg1), "S"(arg2), "d"(arg3), "r"(fourth), "r"(fifth),
			 "r"(sixth)
			 : "rcx", "r11", "memory");
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}
#else
static inline long pal__syscall6(
	long number, long arg1, long arg2, long arg3, long arg4, long arg5, long arg6)
{
	return syscall(number, arg1, arg2, arg3, arg4, arg5, arg6);
}
#endif

/* As syscall(2), with up to six arguments; what is left out is 0. */
#define pal__syscall(...) PAL__SYSCALL_PAD(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define PAL__SYSCALL_PAD(number, a, b, c, d, e, f, ...) \
	pal__syscall6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
