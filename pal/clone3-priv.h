/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CLONE3_PRIV_H
#define PROCMESH_PAL_CLONE3_PRIV_H

#include <errno.h>
#include <linux/sched.h>
#include <sys/syscall.h>

/*
 * clone3(2), which libc has no function for: `fn` runs in the child, on the
 * stack that `args` names, and what it returns is the child's exit status.
 * Returns the pid or a negative errno; -ENOSYS, too, where this library cannot
 * call it. Async-signal-safe.
 */
#if defined(__x86_64__) && !defined(__ILP32__)
static inline long pal__clone3(struct clone_args *args, int (*fn)(void *arg), void *arg)
{
	/* Registers that neither the kernel nor anything below changes before they are read. */
	register int (*call)(void *arg) __asm__("r12") = fn;
	register void *call_arg __asm__("r13") = arg;
	long result;

	/*
	 * The child comes back with all registers but the stack's and the result's as they
	 * were, and never leaves this block: it has no frame to return to. The kernel has
	 * made its stack pointer the end of the stack, which is aligned as a call wants it.
	 */
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %[arg], %%rdi\n\t"
			 "call *%[fn]\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "a"((long)SYS_clone3), "D"(args), "S"(sizeof *args), [fn] "r"(call),
			 [arg] "r"(call_arg), [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory", "cc");
	return result;
}
#else
static inline long pal__clone3(struct clone_args *args, int (*fn)(void *arg), void *arg)
{
	(void)args;
	(void)fn;
	(void)arg;
	return -ENOSYS;
}
#endif

#endif
