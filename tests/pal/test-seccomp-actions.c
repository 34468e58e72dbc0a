/* SPDX-License-Identifier: MIT */
#include <pal/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* What each action does in a living process, and programs of one's own. */

static struct pal_builder *builder_with(int action, const char *name)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);

	filter_rule(filter, action, name);
	return builder_under(filter, "/bin/true");
}

/* ---- actions ---- */

static void *make_socket(void *unused)
{
	attempt_socket(NULL);
	return unused;
}

/* A thread that is killed is not there to be joined: the kernel wakes who waits for its end. */
static int survive_a_thread(void *unused)
{
	pthread_t thread;

	(void)unused;
	need(pthread_create(&thread, NULL, make_socket, NULL) == 0);
	need(pthread_join(thread, NULL) == 0);
	return 7;
}

START_TEST(a_thread_may_be_killed_alone) /* S96 */
{
	struct pal_builder *builder = builder_with(PAL_SECCOMP_KILL_THREAD, "socket");

	needs_killed_thread_of_fork();
	become(_i);
	ck_assert_int_eq(outcome(NULL, survive_a_thread, NULL), 7);
	ck_assert_int_eq(outcome(builder, survive_a_thread, NULL), 7);
	ck_assert_int_eq(outcome(builder, attempt_socket, NULL), DIED + SIGSYS);
	pal_builder_free(builder);
}
END_TEST

static volatile sig_atomic_t trapped;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	(void)context;
	trapped = signal == SIGSYS ? info->si_syscall : -1;
}

static int handle_the_trap(void *unused)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	(void)unused;
	need(sigaction(SIGSYS, &action, NULL) == 0);
	syscall(SYS_socket, 0, 0, 0);
	return trapped == SYS_socket ? 0 : 1;
}

START_TEST(a_trap_is_a_signal_that_says_which_call)
{
	struct pal_builder *builder = builder_with(PAL_SECCOMP_TRAP, "socket");

	become(_i);
	ck_assert_int_eq(outcome(NULL, handle_the_trap, NULL), 1);
	ck_assert_int_eq(outcome(builder, handle_the_trap, NULL), 0);
	ck_assert_int_eq(outcome(builder, attempt_socket, NULL), DIED + SIGSYS);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_logged_call_is_allowed_and_a_traced_one_needs_a_tracer)
{
	struct pal_builder *logged = builder_with(PAL_SECCOMP_LOG, "socket");
	struct pal_builder *traced = builder_with(PAL_SECCOMP_TRACE(5), "socket");

	become(_i);
	ck_assert_int_eq(outcome(logged, attempt_socket, NULL), 0);
	ck_assert_int_eq(outcome(traced, attempt_socket, NULL), ENOSYS);
	pal_builder_free(logged);
	pal_builder_free(traced);
}
END_TEST

/* ---- a terminal's input (S81) ---- */

/* Both put characters into what others read from the terminal. */
static int attempt_injection(void *request)
{
	PAL_CLEANUP_CLOSE int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char byte = 'x';

	need(terminal >= 0);
	/* with the upper half of the register set as well: the kernel does not look at it */
	return syscall(SYS_ioctl, terminal, *(unsigned long *)request, &byte) < 0 ? errno : 0;
}

START_TEST(no_characters_are_put_into_a_terminal)
{
	const unsigned long requests[] = {TIOCSTI, TIOCLINUX};
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct pal_error error = {0};
	struct pal_builder *builder;

	become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(requests); i++)
		ck_assert_ok(pal_seccomp_rule_masked(filter, PAL_SECCOMP_ERRNO(EXFULL), "ioctl", 1,
				     UINT32_MAX, requests[i], &error),
			&error);
	builder = builder_under(filter, "/bin/true");
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(requests); i++)
		for (unsigned bit = 31; bit < 64; bit += 11) {
			unsigned long request = requests[i] | (bit > 31 ? 1ul << bit : 0);

			ck_assert_int_ne(outcome(NULL, attempt_injection, &request), EXFULL);
			ck_assert_int_eq(outcome(builder, attempt_injection, &request), EXFULL);
		}
	pal_builder_free(builder);
}
END_TEST

/* ---- foreign calls (S92) ---- */

#ifdef __x86_64__
static int getppid_by_i386(void *unused)
{
	long result;

	(void)unused;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(64L)
			 : "memory", "r8", "r9", "r10", "r11");
	return result < 0 ? (int)-result : 0;
}

static int getppid_by_x32(void *unused)
{
	(void)unused;
	return syscall(0x40000000 | SYS_getppid) < 0 ? errno : 0;
}

START_TEST(foreign_calls_may_fail_instead_of_killing)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct pal_error error = {0};
	struct pal_builder *builder;
	int plain = outcome(NULL, getppid_by_i386, NULL);

	become(_i);
	ck_assert_ok(pal_seccomp_foreign(filter, PAL_SECCOMP_ERRNO(EXFULL), &error), &error);
	builder = builder_under(filter, "/bin/true");
	if (plain == 0)
		ck_assert_int_eq(outcome(builder, getppid_by_i386, NULL), EXFULL);
	else
		printf("note: this kernel has no i386 calls\n");
	ck_assert_int_ne(outcome(NULL, getppid_by_x32, NULL), EXFULL);
	ck_assert_int_eq(outcome(builder, getppid_by_x32, NULL), EXFULL);
	pal_builder_free(builder);
}
END_TEST
#endif

/* ---- programs of one's own (S91) ---- */

#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct pal_builder *builder_with_code(
	const struct sock_filter *code, size_t count, bool vfork)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");

	pal_builder_args(builder, (const char *const[]){"-c", "umask 0123 && exec true", NULL});
	pal_builder_vfork(builder, vfork);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp_bpf(builder, code, count);
	return builder;
}

START_TEST(a_program_of_ones_own_decides)
{
	const struct sock_filter allow[] = {ALLOW};
	const struct sock_filter deny[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_umask, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		ALLOW,
	};

	become(_i);
	for (int vfork = 0; vfork < 2; vfork++) {
		struct pal_builder *builder = builder_with_code(allow, 1, vfork);

		ck_assert_int_eq(outcome_of_program(builder), 0);
		pal_builder_free(builder);
		builder = builder_with_code(deny, PAL_ARRAY_LENGTH(deny), vfork);
		ck_assert_int_eq(outcome_of_program(builder), DIED + SIGSYS);
		pal_builder_free(builder);
	}
}
END_TEST

START_TEST(a_program_that_the_kernel_refuses_fails_the_spawn)
{
	static const struct {
		struct sock_filter code[2];
		size_t count;
	} bad[] = {
		{{{0xffff, 0, 0, 0}, ALLOW}, 2},                      /* no instruction */
		{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4)}, 1},         /* no return */
		{{BPF_STMT(BPF_JMP | BPF_JA, 5), ALLOW}, 2},          /* beyond the end */
		{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), ALLOW}, 2}, /* beyond the data */
		{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), ALLOW}, 2},  /* not aligned */
		{{BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW}, 2}, /* by zero */
	};

	become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(bad); i++)
		for (int vfork = 0; vfork < 2; vfork++) {
			struct pal_builder *builder =
				builder_with_code(bad[i].code, bad[i].count, vfork);

			ck_assert_int_eq(refusal(builder, PAL_STAGE_SECCOMP), -EINVAL);
			pal_builder_free(builder);
		}
}
END_TEST

START_TEST(a_program_that_cannot_be_fails_the_spawn)
{
	static const struct sock_filter code[BPF_MAXINSNS + 1];
	const struct {
		const struct sock_filter *code;
		size_t count;
		int stage, result;
	} bad[] = {
		{code, 0, PAL_STAGE_ARGUMENT, -EINVAL},
		{NULL, 1, PAL_STAGE_ARGUMENT, -EINVAL},
		{code, BPF_MAXINSNS + 1, PAL_STAGE_SECCOMP, -E2BIG},
	};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(bad); i++) {
		struct pal_builder *builder = builder_with_code(bad[i].code, bad[i].count, true);

		ck_assert_int_eq(refusal(builder, bad[i].stage), bad[i].result);
		pal_builder_free(builder);
	}
	pal_builder_seccomp_bpf(NULL, code, 1);
}
END_TEST

START_TEST(the_later_of_both_kinds_counts)
{
	const struct sock_filter kill[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
	struct pal_builder *builder = builder_with_code(kill, 1, true);
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ECHILD);
	ck_assert_int_eq(error.stage, PAL_STAGE_DIED);
	pal_builder_seccomp(builder, filter);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_seccomp_bpf(builder, kill, 1);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ECHILD);
	pal_seccomp_free(filter);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/seccomp-actions");
	TCase *actions = support_tcase(suite, "actions");
	TCase *programs = support_tcase(suite, "programs");

	tcase_add_loop_test(actions, a_thread_may_be_killed_alone, 0, USERS);
	tcase_add_loop_test(actions, a_trap_is_a_signal_that_says_which_call, 0, USERS);
	tcase_add_loop_test(
		actions, a_logged_call_is_allowed_and_a_traced_one_needs_a_tracer, 0, USERS);
	tcase_add_loop_test(actions, no_characters_are_put_into_a_terminal, 0, USERS);
#ifdef __x86_64__
	tcase_add_loop_test(actions, foreign_calls_may_fail_instead_of_killing, 0, USERS);
#endif
	tcase_add_loop_test(programs, a_program_of_ones_own_decides, 0, USERS);
	tcase_add_loop_test(programs, a_program_that_the_kernel_refuses_fails_the_spawn, 0, USERS);
	tcase_add_test(programs, a_program_that_cannot_be_fails_the_spawn);
	tcase_add_test(programs, the_later_of_both_kinds_counts);
	return suite;
}
SUPPORT_MAIN(make_suite)
