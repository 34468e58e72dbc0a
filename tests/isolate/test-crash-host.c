/* SPDX-License-Identifier: MIT */

/* What a crash report leaves as it is: the caller, what the function does with signals, its end. */
#include <isolate/pool.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pal/profile.h>
#include <pal/seccomp.h>
#include <sys/prctl.h>
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

static int forks_and_is_killed(struct isolate_writer *out, void *arg)
{
	forks_one_that_crashes(out, arg);
	return raise(SIGKILL);
}

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

/* Also with a sandbox, where forks have the shared page. */
START_TEST(a_crash_of_a_fork_is_its_own_affair)
{
	struct pal_profile profile = {
		.size = sizeof profile, .name = "lenient", .apply = refuse_one};
	struct isolate_options options = {WITH_REPORT, .sandbox = _i ? &profile : NULL};
	struct isolate_result result;

	refused_call = "acct";
	isolate_call(forks_one_that_crashes, NULL, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, SIGSEGV);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
	/* that it dies is its own affair, too: a report of it would fit this end */
	isolate_call(forks_and_is_killed, NULL, &options, &result);
	ck_assert_answer(&result, ISOLATE_UNKNOWN);
	ck_assert_int_eq(result.status.code, SIGKILL);
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

/* ---- pools ---- */

PAL_EXPORT int crashes_in_a_pool(struct isolate_writer *out, const void *in, size_t in_size);
UNCHECKED int crashes_in_a_pool(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	return in_size ? *(volatile int *)*(void *const *)in : 7;
}

/* One copy for each call, or for several: what crashes ends it, and only that call has a report. */
START_TEST(a_crash_in_a_pool_is_reported)
{
	struct isolate_options worker = {WITH_REPORT};
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .worker = &worker, .reuse = _i ? 3 : 1};
	struct isolate_pool *pool;
	struct isolate_result result;
	struct pal_error error;
	const struct isolate_crash *crash;

	ck_assert_ok(isolate_pool_new(&options, &pool, &error), &error);
	for (uintptr_t i = 0; i < 6; i++) {
		void *address = (void *)(64 + 8 * i);

		isolate_pool_call(pool, crashes_in_a_pool, &address, sizeof address, NULL, &result);
		crash = check_signal(&result, SIGSEGV);
		ck_assert_uint_eq(crash->address, 64 + 8 * i);
		ck_assert_frame(crash, 0, "crashes_in_a_pool");
		isolate_result_clear(&result);
		isolate_pool_call(pool, crashes_in_a_pool, NULL, 0, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 7);
		ck_assert_ptr_null(result.crash);
		isolate_result_clear(&result);
	}
	isolate_pool_free(pool);
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
	unsigned action;
	int signal; /* 0: a read of NULL */
	int dies_of;
} dying[] = {
	{SYS_rt_tgsigqueueinfo, SECCOMP_RET_ERRNO | EPERM, SIGBUS, SIGBUS},
	{SYS_rt_tgsigqueueinfo, SECCOMP_RET_KILL_PROCESS, SIGABRT, SIGABRT},
	{SYS_rt_tgsigqueueinfo, SECCOMP_RET_KILL_PROCESS, 0, SIGSEGV},
	{SYS_tgkill, SECCOMP_RET_KILL_PROCESS, 0, SIGSEGV},
	{SYS_rt_sigprocmask, SECCOMP_RET_ERRNO | EPERM, 0, SIGSEGV},
	{SYS_rt_sigaction, SECCOMP_RET_ERRNO | EPERM, 0, SIGILL},
};

/* In the function, where the handlers are there already. */
static int refuse_here(long call, unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0;
}

static int refuses_and_crashes(struct isolate_writer *out, void *arg)
{
	int which = *(int *)arg;

	if (refuse_here(dying[which].number, dying[which].action))
		return -1;
	if (dying[which].signal == SIGABRT)
		abort();
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
	tcase_add_loop_test(processes, a_crash_of_a_fork_is_its_own_affair, 0, 2);
	tcase_add_test(processes, a_crash_after_that_of_a_fork_is_reported);
	tcase_add_test(processes, a_program_that_takes_its_place_is_not_reported);
	tcase_add_test(processes, calls_in_calls_have_reports_of_their_own);
	tcase_add_loop_test(processes, a_crash_in_a_pool_is_reported, 0, 2);
	tcase_add_loop_test(sandbox, a_ready_made_sandbox_allows_what_a_report_needs, 0,
		sizeof sandboxed / sizeof *sandboxed);
	tcase_add_loop_test(sandbox, a_filter_that_refuses_the_handlers_is_not_executed, 0,
		sizeof arming / sizeof *arming);
	tcase_add_loop_test(sandbox, a_filter_that_comes_later_takes_no_more_than_it_must, 0,
		sizeof dying / sizeof *dying);
	return suite;
}
SUPPORT_MAIN(make_suite)
