/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_CRASH_MACHINE_PRIV_H
#define PROCMESH_ISOLATE_CRASH_MACHINE_PRIV_H

/*
 * What a ucontext_t says, by machine. One without a section of its own gets reports without
 * registers, whose frames begin in the handler.
 */
#include <isolate/crash.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#if defined __x86_64__

/* In the order of gregs. */
#define ISOLATE__REGISTERS                                                                         \
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx",   \
		"rax", "rcx", "rsp", "rip", "eflags"
#define ISOLATE__PC(context) ((context)->uc_mcontext.gregs[REG_RIP])
#define ISOLATE__SP(context) ((context)->uc_mcontext.gregs[REG_RSP])
#define ISOLATE__REGISTER(context, i) ((context)->uc_mcontext.gregs[i])
#define ISOLATE__STEP_INTO 1        /* back from a return address, into the call */
#define ISOLATE__SYSTEM_CALL_SIZE 2 /* syscall: the pc is behind it, rax as it was before */

#elif defined __aarch64__

#define ISOLATE__REGISTERS                                                                         \
	"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",    \
		"x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",       \
		"x25", "x26", "x27", "x28", "x29", "x30", "sp", "pc", "pstate"
#define ISOLATE__PC(context) ((context)->uc_mcontext.pc)
#define ISOLATE__SP(context) ((context)->uc_mcontext.sp)
#define ISOLATE__REGISTER(context, i)                                                              \
	((i) < 31           ? (context)->uc_mcontext.regs[i]                                       \
		: (i) == 31 ? (context)->uc_mcontext.sp                                            \
		: (i) == 32 ? (context)->uc_mcontext.pc                                            \
			    : (context)->uc_mcontext.pstate)
#define ISOLATE__LINK(context) ((context)->uc_mcontext.regs[30])
#define ISOLATE__STEP_INTO 4

#elif defined __riscv && __riscv_xlen == 64

#define ISOLATE__REGISTERS                                                                         \
	"pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",  \
		"a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11",    \
		"t3", "t4", "t5", "t6"
#define ISOLATE__PC(context) ((context)->uc_mcontext.__gregs[REG_PC])
#define ISOLATE__SP(context) ((context)->uc_mcontext.__gregs[REG_SP])
#define ISOLATE__REGISTER(context, i) ((context)->uc_mcontext.__gregs[i])
#define ISOLATE__LINK(context) ((context)->uc_mcontext.__gregs[REG_RA])
#define ISOLATE__STEP_INTO 2

#endif

#ifdef ISOLATE__REGISTERS
static const char *const isolate__register_names[] = {ISOLATE__REGISTERS};
#define ISOLATE__REGISTER_COUNT (sizeof isolate__register_names / sizeof isolate__register_names[0])
_Static_assert(ISOLATE__REGISTER_COUNT <= ISOLATE_CRASH_REGISTERS, "they fit");
#else
#define ISOLATE__REGISTER_COUNT 0
#endif

/* ---- reading ---- */

static inline void isolate__machine_read(const ucontext_t *context, struct isolate_crash *report)
{
#ifdef ISOLATE__REGISTERS
	report->pc = (uintptr_t)ISOLATE__PC(context);
	report->sp = (uintptr_t)ISOLATE__SP(context);
	for (size_t i = 0; i < ISOLATE__REGISTER_COUNT; i++)
		report->registers[i] = (uintptr_t)ISOLATE__REGISTER(context, i);
	report->register_count = ISOLATE__REGISTER_COUNT;
#else
	(void)context;
	(void)report;
#endif
}

/* Of a page fault. */
static inline enum isolate_crash_access isolate__machine_access(const ucontext_t *context)
{
#ifdef __x86_64__
	long long error = context->uc_mcontext.gregs[REG_ERR];

	if (context->uc_mcontext.gregs[REG_TRAPNO] != 14)
		return ISOLATE_ACCESS_UNKNOWN;
	if (error & 16)
		return ISOLATE_ACCESS_EXECUTE;
	return error & 2 ? ISOLATE_ACCESS_WRITE : ISOLATE_ACCESS_READ;
#else
	(void)context;
	return ISOLATE_ACCESS_UNKNOWN;
#endif
}

/* ---- changing ---- */

/*
 * As if the function at the pc, which cannot be run, had been returned from: the pc is then in
 * the call, and what is returned is behind it. 0: not known. This may read the stack, which may
 * not be there.
 */
__attribute__((no_sanitize_address)) static inline uintptr_t isolate__machine_return(
	ucontext_t *context)
{
	uintptr_t to = 0;

#if defined __x86_64__
	uintptr_t sp = (uintptr_t)ISOLATE__SP(context);

	if (sp % sizeof to == 0) {
		to = *(const uintptr_t *)sp;
		ISOLATE__SP(context) += (greg_t)sizeof to;
	}
#elif defined ISOLATE__LINK
	to = (uintptr_t)ISOLATE__LINK(context);
#endif
#ifdef ISOLATE__REGISTERS
	if (to)
		ISOLATE__PC(context) = to - ISOLATE__STEP_INTO;
#else
	(void)context;
#endif
	return to;
}

static inline void isolate__machine_go(ucontext_t *context, const struct isolate_crash *report)
{
#ifdef ISOLATE__REGISTERS
	ISOLATE__PC(context) = report->pc;
	ISOLATE__SP(context) = report->sp;
#else
	(void)context;
	(void)report;
#endif
}

/*
 * What a handler returns to. Floating point only on x86-64, where it is behind a pointer;
 * elsewhere records of the frame that `from` is in.
 */
static inline void isolate__machine_copy(ucontext_t *to, const ucontext_t *from)
{
#if defined __x86_64__
	to->uc_mcontext = from->uc_mcontext;
#elif defined __aarch64__
	memcpy(to->uc_mcontext.regs, from->uc_mcontext.regs, sizeof to->uc_mcontext.regs);
	to->uc_mcontext.sp = from->uc_mcontext.sp;
	to->uc_mcontext.pc = from->uc_mcontext.pc;
	to->uc_mcontext.pstate = from->uc_mcontext.pstate;
#elif defined ISOLATE__REGISTERS
	memcpy(to->uc_mcontext.__gregs, from->uc_mcontext.__gregs, sizeof to->uc_mcontext.__gregs);
#endif
	/* The kernel's, which is shorter than libc's. */
	memcpy(&to->uc_sigmask, &from->uc_sigmask, 64 / 8);
}

/* Back to where misaligned addresses are no crime, if the function has left that. */
static inline void isolate__machine_allow_misaligned(void)
{
#ifdef __x86_64__
	const unsigned long long alignment_check = 1 << 18;

	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~alignment_check);
#endif
}

/*
 * Whether it was the instruction at the pc that brought about a SIGSEGV of code SI_KERNEL. The
 * kernel sends that as well where it cannot write the frame of another signal's handler to the
 * stack, and for traps that the pc is behind.
 */
static inline bool isolate__machine_repeats_fault(const ucontext_t *context)
{
#ifdef __x86_64__
	return context->uc_mcontext.gregs[REG_TRAPNO] == 13; /* general protection */
#else
	(void)context;
	return false;
#endif
}

/* The system call that a filter has answered by SIGSYS will be made again. Whether that is so. */
static inline bool isolate__machine_repeat_system_call(ucontext_t *context)
{
#ifdef ISOLATE__SYSTEM_CALL_SIZE
	ISOLATE__PC(context) -= ISOLATE__SYSTEM_CALL_SIZE;
	return true;
#else
	(void)context;
	return false;
#endif
}

/* A breakpoint will be come to again. Whether that is so. */
__attribute__((no_sanitize_address)) static inline bool isolate__machine_repeat_trap(
	ucontext_t *context, int code)
{
#if defined __x86_64__
	const unsigned char *behind = (const unsigned char *)ISOLATE__PC(context);

	if (code != SI_KERNEL || behind[-1] != 0xcc) /* int3 */
		return false;
	ISOLATE__PC(context)--;
	return true;
#else
	(void)context;
	return code == TRAP_BRKPT;
#endif
}

#endif
