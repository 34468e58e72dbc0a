/* SPDX-License-Identifier: MIT */

/* What a crash report leaves as it is: the caller, what the function does with signals, its end. */
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pal/profile.h>
#include <pal/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash-support.h"

NAMED(reads_address)
{
	(void)out;
	return *(volatile int *)arg;
}

/* ---- the caller ---- */

START_TEST(without_the_option_there_is_no_report_and_no_handler)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT};
	struct isolate_result result;

	crash_in(reads_address, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
}
END_TEST

static const int reported[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
#define REPORTED (sizeof reported / sizeof *reported)

struct dispositions {
	void (*handlers[REPORTED])(int);
	stack_t stack;
};

static void look_at_dispositions(struct dispositions *ret)
{
	struct sigaction action;

	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; i < REPORTED; i++) {
		sigaction(reported[i], NULL, &action);
		ret->handlers[i] = action.sa_handler;
	}
	sigaltstack(NULL, &ret->stack);
}

static void ignore(int signal)
{
	(void)signal;
}

START_TEST(the_caller_s_handlers_and_stack_stay)
{
	static char memory[1 << 16];
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory}, old;
	struct dispositions before, after;
	struct isolate_result result;

	sigaltstack(&stack, &old);
	signal(SIGFPE, ignore);
	look_at_dispositions(&before);
	crash_in(reads_address, NULL, NULL, &result);
	check_signal(&result, SIGSEGV);
	look_at_dispositions(&after);
	sigaltstack(&old, NULL);
	ck_assert_mem_eq(&before, &after, sizeof before);
	isolate_result_clear(&result);
}
END_TEST

static int returns(struct isolate_writer *out, void *arg)
{
	(void)arg;
	return isolate_write(out, "result", 6);
}

START_TEST(a_report_is_of_its_own_call_only)
{
	struct isolate_options options = {WITH_REPORT};
	struct isolate_result result;

	crash_in(reads_address, NULL, NULL, &result);
	check_signal(&result, SIGSEGV);
	isolate_result_clear(&result);
	ck_assert_ptr_null(result.crash);
	/* in the page that is kept, if it is */
	for (int i = 0; i < 2; i++) {
		isolate_call(returns, NULL, &options, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_ptr_null(result.crash);
		isolate_result_clear(&result);
	}
}
END_TEST

/* ---- the function's own signals ---- */

static void leave(int signal)
{
	_exit(signal == SIGSEGV ? 42 : 43);
}

static int handles_by_itself(struct isolate_writer *out, void *arg)
{
	signal(SIGSEGV, leave);
	return reads_address(out, arg);
}

static int has_the_default_action(struct isolate_writer *out, void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	return reads_address(out, arg);
}

START_TEST(a_handler_of_the_function_is_kept)
{
	struct isolate_result result;

	crash_in(handles_by_itself, NULL, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert(!result.status.signaled);
	ck_assert_int_eq(result.status.code, 42);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
	crash_in(has_the_default_action, NULL, NULL, &result);
	ck_assert_int_eq(result.status.code, SIGSEGV);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
}
END_TEST

static struct sigaction ours;

static void pass_on(int signal, siginfo_t *info, void *context)
{
	ours.sa_sigaction(signal, info, context);
}

/* As a program does that notes a crash itself, and then asks who was there before. */
static int handles_and_passes_on(struct isolate_writer *out, void *arg)
{
	struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, &ours);
	return reads_address(out, arg);
}

START_TEST(a_handler_that_passes_on_is_reported)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(handles_and_passes_on, (void *)12, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->address, 12);
	ck_assert_frame(crash, 0, "reads_address");
	isolate_result_clear(&result);
}
END_TEST

/* ---- processes of the function ---- */

static int forks_one_that_crashes(struct isolate_writer *out, void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		return reads_address(out, arg);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

START_TEST(a_crash_of_a_fork_is_its_own_affair)
{
	struct isolate_options options = {WITH_REPORT};
	struct isolate_result result;

	isolate_call(forks_one_that_crashes, NULL, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, SIGSEGV);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
}
END_TEST

static int forks_and_crashes(struct isolate_writer *out, void *arg)
{
	if (forks_one_that_crashes(out, arg) == SIGSEGV)
		raise(SIGFPE);
	return 0;
}

START_TEST(a_crash_after_that_of_a_fork_is_reported)
{
	struct isolate_result result;

	crash_in(forks_and_crashes, NULL, NULL, &result);
	check_signal(&result, SIGFPE);
	isolate_result_clear(&result);
}
END_TEST

static int executes_one_that_crashes(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	execl("/bin/sh", "sh", "-c", "kill -SEGV $$", NULL);
	return 0;
}

START_TEST(a_program_that_takes_its_place_is_not_reported)
{
	struct isolate_result result;

	crash_in(executes_one_that_crashes, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_UNKNOWN);
	ck_assert(result.status.signaled);
	ck_assert_int_eq(result.status.code, SIGSEGV);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
}
END_TEST

/* A call in a call, each with its report. */
static int calls_one_that_crashes(struct isolate_writer *out, void *arg)
{
	struct isolate_result result;

	crash_in(reads_address, arg, NULL, &result);
	if (result.crash)
		isolate_write(out, &result.crash->address, sizeof result.crash->address);
	isolate_result_clear(&result);
	return reads_address(out, (char *)arg + 8);
}

static int returns_what_a_call_in_it_reports(struct isolate_writer *out, void *arg)
{
	struct isolate_result result;
	uintptr_t addresses[2] = {0};

	crash_in(calls_one_that_crashes, arg, NULL, &result);
	if (result.crash)
		addresses[0] = result.crash->address;
	isolate_result_clear(&result);
	crash_in(reads_address, arg, NULL, &result);
	if (result.crash)
		addresses[1] = result.crash->address;
	isolate_result_clear(&result);
	return isolate_write(out, addresses, sizeof addresses);
}

START_TEST(calls_in_calls_have_reports_of_their_own)
{
	struct isolate_options options = {WITH_REPORT};
	struct isolate_result result;
	uintptr_t addresses[2];

	isolate_call(returns_what_a_call_in_it_reports, (void *)40, &options, &result);
	ck_assert_int_eq(isolate_result_value(&result, &addresses), 0);
	ck_assert_uint_eq(addresses[0], 48);
	ck_assert_uint_eq(addresses[1], 40);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
}
END_TEST

/* ---- sandboxes ---- */

struct sandboxed {
	bool finalize;
	int signal; /* 0: a read of NULL */
};

#define FINALIZE_FAILED 2

static const struct sandboxed sandboxed[] = {
	{false, 0}, {true, 0}, {false, SIGABRT}, {true, SIGABRT}, {true, SIGFPE}};

static int crashes_sandboxed(struct isolate_writer *out, void *arg)
{
	const struct sandboxed *how = arg;

	if (how->finalize && pal_profile_finalize(pal_profile_pure_compute(), NULL) < 0)
		return FINALIZE_FAILED;
	return how->signal ? raise(how->signal) : reads_address(out, NULL);
}

START_TEST(a_ready_made_sandbox_allows_what_a_report_needs)
{
	struct isolate_options options = {WITH_REPORT, .sandbox = pal_profile_pure_compute()};
	struct sandboxed how = sandboxed[_i];
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(crashes_sandboxed, &how, &options, &result);
	if (how.finalize && result.answer == ISOLATE_RETURNED && result.value == FINALIZE_FAILED)
		support_skip(
			"finalize needs Landlock, and threads of a sanitizer do not take part in it");
	crash = check_signal(&result, how.signal ? how.signal : SIGSEGV);
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_END);
	ck_assert_uint_gt(crash->frame_count, 3);
	isolate_result_clear(&result);
}
END_TEST

static const char *refused_call;

static int refuse_one(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_seccomp *filter;

	(void)profile;
	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, error), error);
	ck_assert_ok(
		pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EPERM), refused_call, error), error);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return 0;
}

/* The call, and what is told of it. */
static const char *const arming[][2] = {
	{"mprotect", "mprotect"}, {"sigaltstack", "sigaltstack"}, {"rt_sigaction", "sigaction"}};

START_TEST(a_filter_that_refuses_the_handlers_is_not_executed)
{
	struct pal_profile profile = {
		.size = sizeof profile, .name = "strict", .apply = refuse_one};
	struct isolate_options options = {WITH_REPORT, .sandbox = &profile,
		.std_err = PAL_STDIO_NULL /* AddressSanitizer complains of such a filter */};
	struct isolate_result result;

	refused_call = arming[_i][0];
	isolate_call(returns, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EPERM);
	ck_assert_msg(strstr(result.error.text, arming[_i][1]) == result.error.text &&
			      strstr(result.error.text, "for the crash report"),
		"%s", result.error.text);
	isolate_result_clear(&result);
	options.crash_report = false;
	isolate_call(returns, NULL, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	isolate_result_clear(&result);
}
END_TEST

/* The calls of the handler, and what the function dies of without them. */
static const struct {
	long number;
	int signal; /* 0: a read of NULL */
	int dies_of;
} dying[] = {
	{SYS_rt_tgsigqueueinfo, SIGBUS, SIGBUS},
	{SYS_rt_sigprocmask, 0, SIGSEGV},
	{SYS_rt_sigaction, 0, SIGILL},
};

/* In the function, where the handlers are there already. */
static int refuse_here(long call)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0;
}

static int refuses_and_crashes(struct isolate_writer *out, void *arg)
{
	int which = *(int *)arg;

	if (refuse_here(dying[which].number))
		return -1;
	return dying[which].signal ? kill(getpid(), dying[which].signal) : reads_address(out, NULL);
}

START_TEST(a_filter_that_comes_later_takes_no_more_than_it_must)
{
	int which = _i;
	struct isolate_result result;

	crash_in(refuses_and_crashes, &which, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert(result.status.signaled);
	ck_assert_int_eq(result.status.code, dying[which].dies_of);
	ck_assert_ptr_nonnull(result.crash);
	ck_assert_int_eq(result.crash->signal, dying[which].signal ? dying[which].signal : SIGSEGV);
	ck_assert_int_eq(result.crash->frames_end, ISOLATE_FRAMES_END);
	isolate_result_clear(&result);
}
END_TEST

/* ---- cores ---- */

#ifdef __x86_64__
struct core {
	uintptr_t pc;
	uintptr_t sp;
	siginfo_t info;
};

static void take_note(const Elf64_Nhdr *note, const unsigned char *bytes, struct core *core)
{
	struct elf_prstatus status;
	struct user_regs_struct registers;

	if (note->n_type == NT_SIGINFO)
		memcpy(&core->info, bytes, sizeof core->info);
	if (note->n_type != NT_PRSTATUS || core->pc) /* the first one is of the thread that died */
		return;
	memcpy(&status, bytes, sizeof status);
	memcpy(&registers, status.pr_reg, sizeof registers);
	core->pc = registers.rip;
	core->sp = registers.rsp;
}

static void read_notes(const unsigned char *bytes, size_t size, struct core *core)
{
	Elf64_Nhdr note;

	for (size_t at = 0; at + sizeof note <= size;) {
		memcpy(&note, bytes + at, sizeof note);
		at += sizeof note + ((note.n_namesz + 3) & ~3u);
		take_note(&note, bytes + at, core);
		at += (note.n_descsz + 3) & ~3u;
	}
}

static void read_core(const char *folder, struct core *core)
{
	char path[PATH_MAX];
	glob_t found;
	Elf64_Ehdr head;
	Elf64_Phdr part;
	int fd;

	snprintf(path, sizeof path, "%s/*", folder);
	ck_assert_int_eq(glob(path, 0, NULL, &found), 0);
	fd = open(found.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	globfree(&found);
	ck_assert_int_eq(pread(fd, &head, sizeof head, 0), sizeof head);
	for (unsigned i = 0; i < head.e_phnum; i++) {
		ck_assert_int_eq(
			pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)),
			sizeof part);
		if (part.p_type == PT_NOTE)
			break;
	}
	unsigned char *notes = malloc(part.p_filesz);

	ck_assert_int_eq(pread(fd, notes, part.p_filesz, (off_t)part.p_offset), part.p_filesz);
	memset(core, 0, sizeof *core);
	read_notes(notes, part.p_filesz, core);
	free(notes);
	close(fd);
}

static bool is_core_a_file(void)
{
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	int first = file ? fgetc(file) : EOF;

	if (file)
		fclose(file);
	return first != '|' && first != '/';
}

static int raises_an_abort(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	return raise(SIGABRT);
}

UNCHECKED static int comes_to_a_breakpoint(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	__asm__ volatile("int3");
	return 0;
}

/* The handler is entered twice. */
UNCHECKED static int loses_the_stack(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	__asm__ volatile("mov $0x1000, %rsp; push %rax");
	return 0;
}

static const isolate_fn dumped[] = {
	reads_address, raises_an_abort, comes_to_a_breakpoint, loses_the_stack};

START_TEST(a_core_shows_the_crash_and_not_the_report)
{
	struct isolate_options options = {WITH_REPORT, .core = ISOLATE_CORE_ON};
	char folder[] = "/tmp/isolate-core-XXXXXX", command[64];
	struct isolate_result result;
	struct rlimit limit;
	struct core core;

	getrlimit(RLIMIT_CORE, &limit);
	if (limit.rlim_max < (64 << 20))
		support_skip("the hard limit allows no core");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	crash_in(dumped[_i], NULL, &options, &result);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert(result.status.core);
	ck_assert_ptr_nonnull(result.crash);
	if (is_core_a_file())
		read_core(folder, &core);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
	if (!is_core_a_file())
		support_skip("cores go to a program");
	ck_assert_uint_eq(core.pc, result.crash->pc);
	ck_assert_uint_eq(core.sp, result.crash->sp);
	ck_assert_int_eq(core.info.si_signo, result.crash->signal);
	ck_assert_int_eq(core.info.si_code, result.crash->code);
	if (result.crash->address_known)
		ck_assert_uint_eq((uintptr_t)core.info.si_addr, result.crash->address);
	isolate_result_clear(&result);
}
END_TEST
#endif

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/crash-host");
	TCase *caller = isolate_tcase(suite, "caller");
	TCase *signals = isolate_tcase(suite, "signals");
	TCase *processes = isolate_tcase(suite, "processes");
	TCase *sandbox = isolate_tcase(suite, "sandbox");

	tcase_add_test(caller, without_the_option_there_is_no_report_and_no_handler);
	tcase_add_test(caller, the_caller_s_handlers_and_stack_stay);
	tcase_add_test(caller, a_report_is_of_its_own_call_only);
	tcase_add_test(signals, a_handler_of_the_function_is_kept);
	tcase_add_test(signals, a_handler_that_passes_on_is_reported);
	tcase_add_test(processes, a_crash_of_a_fork_is_its_own_affair);
	tcase_add_test(processes, a_crash_after_that_of_a_fork_is_reported);
	tcase_add_test(processes, a_program_that_takes_its_place_is_not_reported);
	tcase_add_test(processes, calls_in_calls_have_reports_of_their_own);
	tcase_add_loop_test(sandbox, a_ready_made_sandbox_allows_what_a_report_needs, 0,
		sizeof sandboxed / sizeof *sandboxed);
	tcase_add_loop_test(sandbox, a_filter_that_refuses_the_handlers_is_not_executed, 0,
		sizeof arming / sizeof *arming);
	tcase_add_loop_test(sandbox, a_filter_that_comes_later_takes_no_more_than_it_must, 0,
		sizeof dying / sizeof *dying);
#ifdef __x86_64__
	tcase_add_loop_test(signals, a_core_shows_the_crash_and_not_the_report, 0,
		sizeof dumped / sizeof *dumped);
#endif
	return suite;
}
SUPPORT_MAIN(make_suite)
