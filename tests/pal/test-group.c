/* SPDX-License-Identifier: MIT */
#include <pal/child.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/process.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

/* Each way to lead a group. */
enum {
	GROUP,
	SESSION,
	LEADERS
};

/* A child and one more in its group, which both have the pipe of stdout; it is ready. */
static struct pal_child *start_group(int leader, const char *how)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);
	struct pal_child *child;
	char text[6];

	pal_builder_arg(builder, "group");
	pal_builder_arg(builder, how);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	if (leader == SESSION)
		pal_builder_setsid(builder, true);
	else
		pal_builder_process_group(builder, 0);
	child = spawn_take(builder);
	ck_assert_int_eq(read(pal_child_stdout(child), text, sizeof text), 6);
	return child;
}

/* That the last of them has gone. */
static void await_all_gone(struct pal_child *child)
{
	char byte;

	ck_assert_int_eq(read(pal_child_stdout(child), &byte, 1), 0);
}

START_TEST(a_signal_reaches_the_whole_group)
{
	struct pal_child *child = start_group(_i, "");
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_int_eq(pal_child_signal_group(child, 0), 0);
	ck_assert_int_eq(pal_child_signal_group(child, -1), -EINVAL);
	ck_assert_int_eq(pal_child_signal_group(child, 65), -EINVAL);
	ck_assert_int_eq(pal_child_signal_group(child, SIGUSR1), 0);
	await_all_gone(child);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGUSR1);
	pal_child_free(child);
}
END_TEST

/* Without taking it. */
static void await_change(struct pal_child *child, int which)
{
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, which | WNOWAIT), 0);
}

static bool kernel_signals_groups(struct pal_child *child)
{
	/* Old kernels know no flags, and this flag is nobody's. */
	return syscall(SYS_pidfd_send_signal, pal_child_peek_pidfd(child), 0, NULL, 4u) == 0 ||
	       errno == ESRCH;
}

START_TEST(a_group_outlives_its_reaped_leader)
{
	struct pal_child *child = start_group(_i, "alone");
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, 7);
	if (!kernel_signals_groups(child)) {
		ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), -ESRCH);
		ck_assert_int_eq(kill(-pal_child_pid(child), SIGKILL), 0);
	} else
		ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), 0);
	await_all_gone(child);
	/* Its parent, who may be slow, has to reap it before the group is empty. */
	SUPPORT_LOOK_UNTIL(kill(-pal_child_pid(child), 0) < 0);
	ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), -ESRCH);
	pal_child_free(child);
}
END_TEST

/* As a kernel before 6.9 answers: no flags. */
static void refuse_flags(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = PAL_ARRAY_LENGTH(code), .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* The kernel reaps it, because SIGCHLD is ignored, and frees its number. */
static void await_unseen_end(struct pal_child *child)
{
	siginfo_t info;

	while (waitid(P_PIDFD, (id_t)pal_child_peek_pidfd(child), &info, WEXITED | WNOWAIT) == 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}

/* S63, for groups: somebody else's new group has the number of ours; reaped by us, or by nobody. */
START_TEST(a_group_with_a_recycled_number_is_not_signalled)
{
	pid_t newcomer = -1;

	if (_i > 0)
		refuse_flags();
	for (int i = 0; i < 20 && newcomer < 0; i++) {
		struct pal_builder *builder = builder_for("end-with", MODE_VFORK);
		struct pal_child *child;

		pal_builder_process_group(builder, 0);
		signal(SIGCHLD, _i == 2 ? SIG_IGN : SIG_DFL);
		child = spawn_take(builder);
		if (_i == 2)
			await_unseen_end(child);
		else
			ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
		signal(SIGCHLD, SIG_DFL);
		newcomer = fork_with_number(pal_child_pid(child));
		if (newcomer > 0)
			ck_assert_int_eq(setpgid(newcomer, newcomer), 0);
		ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), -ESRCH);
		pal_child_free(child);
	}
	if (newcomer < 0)
		support_skip("no number of an ended child could be had again");
	ck_assert_int_eq(waitpid(newcomer, NULL, WNOHANG), 0);
	kill_and_reap(newcomer);
}
END_TEST

START_TEST(a_child_that_leads_no_group_has_none_to_signal)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child;

	pal_builder_arg(builder, "nothing");
	child = spawn_take(builder);
	ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), -EINVAL);
	ck_assert_int_eq(pal_child_stop_group(child, 0, &status, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_SIGNAL);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	pal_child_free(child);
}
END_TEST

/* S68: who leaves, who has to be killed, and who had gone before. */
static const struct {
	const char *how;
	int64_t grace_ms;
	bool signaled;
	int code;
} stops[] = {
	{"", 600000, true, SIGTERM},
	{"stubborn", 600000, true, SIGTERM},
	{"leave", 600000, false, 8},
	{"alone", 600000, false, 7},
	{"", 0, true, 0}, /* 0: SIGTERM or SIGKILL, whichever it sees first */
	{"stubborn", 0, true, 0},
	{"alone", 0, false, 7},
};

START_TEST(stop_leaves_nobody_of_the_group)
{
	struct pal_child *child = start_group(GROUP, stops[_i].how);
	struct pal_error error = {0};
	struct pal_status status;

	if (stops[_i].code == 7)
		await_change(child, WEXITED);
	ck_assert_ok(pal_child_stop_group(child, stops[_i].grace_ms, &status, &error), &error);
	ck_assert_int_eq(status.signaled, stops[_i].signaled);
	if (stops[_i].code)
		ck_assert_int_eq(status.code, stops[_i].code);
	await_all_gone(child);
	/* again, of what has gone already */
	ck_assert_ok(pal_child_stop_group(child, 0, NULL, &error), &error);
	pal_child_free(child);
}
END_TEST

START_TEST(a_leader_that_does_not_leave_is_killed_with_its_group)
{
	struct pal_child *child = start_group(SESSION, "stubborn");
	struct pal_error error = {0};
	struct pal_status status;

	/* No SIGTERM gets through to it while it is stopped. */
	ck_assert_int_eq(pal_child_signal(child, SIGSTOP), 0);
	await_change(child, WSTOPPED);
	ck_assert_ok(pal_child_stop_group(child, 1, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGKILL);
	await_all_gone(child);
	pal_child_free(child);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/group");
	TCase *signals = support_tcase(suite, "signals");
	TCase *stop = support_tcase(suite, "stop");

	tcase_add_loop_test(signals, a_signal_reaches_the_whole_group, 0, LEADERS);
	tcase_add_loop_test(signals, a_group_outlives_its_reaped_leader, 0, LEADERS);
	tcase_add_loop_test(signals, a_group_with_a_recycled_number_is_not_signalled, 0, 3);
	tcase_add_test(signals, a_child_that_leads_no_group_has_none_to_signal);
	tcase_add_loop_test(
		stop, stop_leaves_nobody_of_the_group, 0, (int)(sizeof stops / sizeof stops[0]));
	tcase_add_test(stop, a_leader_that_does_not_leave_is_killed_with_its_group);
	return suite;
}
SUPPORT_MAIN(make_suite)
