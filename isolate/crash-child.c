/* SPDX-License-Identifier: MIT */

/*
 * The dying child's half of a crash report: async-signal-safe, without heap and locks, in a
 * process whose memory may be in any state.
 *
 * A handler on a stack of its own notes what it was told, then looks for the frames, which
 * reads a stack that may be destroyed. Should that fault, too, the handler is entered once
 * more, on top of itself; it gives up the frames and returns for both. The report is in
 * shared memory step by step: whatever ends the process, what was written before stays.
 *
 * Then the process dies as it would have died: with the default action, in the
 * interrupted state, by the same cause happening again or the same signal sent again.
 * So status, core file and siginfo are those of the crash.
 */
#include <isolate/crash-machine-priv.h>
#include <isolate/crash-priv.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

const int isolate__crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, 0};

/*
 * For the frames of the kernel (up to 11 KiB on x86-64), twice, the unwinder's, and those of a
 * sanitizer, above a guard page that may have any size. Zeroes of this library, so that there
 * is nothing to allocate; what is not used costs nothing.
 */
#define STACK_SIZE ((size_t)96 << 10)
#define PAGE_SIZE_MAX ((size_t)64 << 10)
static unsigned char alternate[STACK_SIZE + 2 * PAGE_SIZE_MAX];

/* Of the child that has armed itself; zero in every other process. */
static struct {
	struct isolate__crash_area *area;
	pid_t process; /* not a fork of it */
	pid_t thread;
	sigset_t signals;       /* isolate__crash_signals */
	_Atomic pid_t reporter; /* the thread that was first; 0: none */
	/* While the reporter looks for frames: what it reports. */
	ucontext_t *interrupted;
	siginfo_t *info;
} self;

void isolate__crash_reach(struct isolate__crash_area *area, enum isolate__crash_stage stage)
{
	__atomic_store_n(&area->stage, (uint32_t)stage, __ATOMIC_RELEASE);
}

/* ---- who reports ---- */

enum claim {
	CLAIM_MINE,    /* from now on */
	CLAIM_AGAIN,   /* since an earlier call */
	CLAIM_OTHERS,  /* another thread is faster */
	CLAIM_OUTSIDE, /* this is a fork, or a vfork, of the process */
};

static enum claim claim(void)
{
	pid_t reporter = 0;

	if (!self.area || getpid() != self.process)
		return CLAIM_OUTSIDE;
	if (atomic_compare_exchange_strong(&self.reporter, &reporter, gettid()))
		return CLAIM_MINE;
	return reporter == gettid() ? CLAIM_AGAIN : CLAIM_OTHERS;
}

struct isolate__crash_area *isolate__crash_claim(void)
{
	if (claim() != CLAIM_MINE)
		return NULL;
	self.area->report.thread = gettid();
	self.area->report.own_thread = gettid() == self.thread;
	return self.area;
}

/* ---- the report ---- */

/* Sent by a process, not caused by an instruction. */
static bool was_sent(int code)
{
	return code == SI_USER || code == SI_TKILL || code == SI_QUEUE || code == SI_MESGQ;
}

/* Where x86 checks alignment it tells no address; 0 is aligned. */
static bool is_misaligned_somewhere(int signal, const siginfo_t *info)
{
	return signal == SIGBUS && info->si_code == BUS_ADRALN && !info->si_addr;
}

static void note_cause(
	struct isolate_crash *report, int signal, const siginfo_t *info, const ucontext_t *context)
{
	bool caused = info->si_code > 0;

	report->kind = ISOLATE_CRASH_BY_SIGNAL;
	report->signal = signal;
	report->code = info->si_code;
	report->system_call = -1;
	if (was_sent(info->si_code)) {
		report->sender = info->si_pid;
		report->sender_user = info->si_uid;
	}
	if (caused && signal == SIGSYS)
		report->system_call = info->si_syscall;
	/* SI_KERNEL: x86 knows no address of a general protection fault, nor of a breakpoint. */
	report->address_known = caused && info->si_code != SI_KERNEL && signal != SIGSYS &&
				signal != SIGABRT && !is_misaligned_somewhere(signal, info);
	if (report->address_known)
		report->address = (uintptr_t)info->si_addr;
	if (report->address_known && (signal == SIGSEGV || signal == SIGBUS))
		report->access = isolate__machine_access(context);
}

/* Nothing can be run at the pc: who called it is where the frames go on. */
static bool is_a_wild_jump(const struct isolate_crash *report)
{
	return report->signal == SIGSEGV && report->address_known && report->address == report->pc;
}

static void note_frames(struct isolate__crash_area *area, ucontext_t *context, siginfo_t *info)
{
	struct isolate_crash *report = &area->report;
	uintptr_t caller = 0, from = report->pc;

	self.info = info;
	self.interrupted = context;
	atomic_signal_fence(memory_order_seq_cst);
	pthread_sigmask(SIG_UNBLOCK, &self.signals, NULL);
	if (is_a_wild_jump(report)) {
		caller = isolate__machine_return(context);
		from = caller ? caller - ISOLATE__STEP_INTO : from;
	}
	isolate__crash_unwind(area, from, caller);
	pthread_sigmask(SIG_BLOCK, &self.signals, NULL);
	isolate__machine_go(context, report);
	atomic_signal_fence(memory_order_seq_cst);
	self.interrupted = NULL;
}

static void report(int signal, siginfo_t *info, ucontext_t *context)
{
	struct isolate__crash_area *area = self.area;

	note_cause(&area->report, signal, info, context);
	isolate__machine_read(context, &area->report);
	area->report.thread = gettid();
	area->report.own_thread = area->report.thread == self.thread;
	area->report.frames[0] = area->report.pc;
	area->report.frame_count = area->report.pc != 0 || area->report.address_known;
	isolate__crash_reach(area, ISOLATE__CRASH_FACTS);
	note_frames(area, context, info);
	isolate__crash_reach(area, ISOLATE__CRASH_WHOLE);
}

/* ---- the end ---- */

/* What is needed for a proper end is refused, and SIGILL is blocked: that ends a process for certain. */
static void __attribute__((noreturn)) end_anyhow(void)
{
	for (;;)
		__builtin_trap();
}

/*
 * Whether the same happens once more after the return. It is preferred because it needs no
 * system call, which a filter might refuse, and is exactly what happened.
 */
static bool happens_again(int signal, int code, ucontext_t *context)
{
	if (code <= 0)
		return false;
	switch (signal) {
	case SIGSEGV:
		return code != SI_KERNEL || isolate__machine_repeats_fault(context);
	case SIGILL:
	case SIGFPE:
		return true;
	case SIGBUS:
		return code != BUS_MCEERR_AO;
	case SIGTRAP:
		return isolate__machine_repeat_trap(context, code);
	case SIGSYS:
		return isolate__machine_repeat_system_call(context);
	default:
		return false;
	}
}

/* It is blocked until the handler returns to the interrupted state. */
static bool send_again(int signal, siginfo_t *info)
{
	pid_t process = getpid(), thread = gettid();
	bool by_oneself = info->si_code == SI_TKILL && info->si_pid == process;

	if (!by_oneself && syscall(SYS_rt_tgsigqueueinfo, process, thread, signal, info) == 0)
		return true;
	return syscall(SYS_tgkill, process, thread, signal) == 0;
}

static void die_of(int signal, siginfo_t *info, ucontext_t *context)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};

	if (sigaction(signal, &by_default, NULL) < 0)
		end_anyhow();
	if (!happens_again(signal, info->si_code, context) && !send_again(signal, info))
		end_anyhow();
}

static void __attribute__((noreturn)) wait_for_the_end(void)
{
	for (;;)
		pause();
}

/* In the nested handler, which will not return to the other one. */
static void fall(int *signal, siginfo_t **info, ucontext_t *context)
{
	ucontext_t *interrupted = self.interrupted;

	if (!interrupted)
		return; /* the report is whole, or of a sanitizer: this is what the process dies of now */
	self.interrupted = NULL;
	self.area->report.frames_end = ISOLATE_FRAMES_LOST;
	isolate__crash_reach(self.area, ISOLATE__CRASH_WHOLE);
	isolate__machine_go(interrupted, &self.area->report);
	isolate__machine_copy(context, interrupted);
	*info = self.info;
	*signal = self.info->si_signo;
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
	int saved = errno;

	isolate__machine_allow_misaligned();
	switch (claim()) {
	case CLAIM_MINE:
		report(signal, info, context);
		break;
	case CLAIM_AGAIN:
		fall(&signal, &info, context);
		break;
	case CLAIM_OTHERS:
		wait_for_the_end();
	case CLAIM_OUTSIDE:
		break;
	}
	die_of(signal, info, context);
	errno = saved;
}

/* ---- arming ---- */

static int fail(struct isolate__crash_area *area, enum isolate__crash_step step)
{
	area->arm_error = -errno;
	area->arm_step = step;
	return area->arm_error;
}

static int arm_stack(struct isolate__crash_area *area)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *guard = alternate + (page - (uintptr_t)alternate % page);
	stack_t stack = {.ss_sp = guard + page};

	stack.ss_size = (size_t)(alternate + sizeof alternate - (guard + page));
	if (mprotect(guard, page, PROT_NONE) < 0)
		return fail(area, ISOLATE__CRASH_GUARD);
	if (sigaltstack(&stack, NULL) < 0)
		return fail(area, ISOLATE__CRASH_STACK);
	return 0;
}

int isolate__crash_arm(struct isolate__crash_area *area)
{
	struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int r = arm_stack(area);

	if (r < 0)
		return r;
	self.area = area;
	self.process = getpid();
	self.thread = gettid();
	self.interrupted = NULL;
	atomic_store(&self.reporter, 0);
	/* No handler of the function runs in the middle of this one, and on its stack. */
	sigfillset(&action.sa_mask);
	sigemptyset(&self.signals);
	for (const int *signal = isolate__crash_signals; *signal; signal++) {
		sigaddset(&self.signals, *signal);
		if (sigaction(*signal, &action, NULL) < 0)
			return fail(area, ISOLATE__CRASH_HANDLER);
	}
	isolate__crash_arm_sanitizer();
	return 0;
}
