/* SPDX-License-Identifier: MIT */
#include <pal/process.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* Dispositions and masks that are asked for. What a child gets unasked is in test-signals.c. S46 */

static void handler(int signal)
{
	(void)signal;
}

/* A set of up to three signals; 0: none. */
static const sigset_t *set_of(int first, int second, int third)
{
	static sigset_t set;
	const int signals[] = {first, second, third};

	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		if (signals[i])
			sigaddset(&set, signals[i]);
	return &set;
}

/* A line of /proc/PID/status as a number whose lowest bit is signal 1. */
static unsigned long long bits_of(const char *text, const char *name)
{
	return strtoull(process_line(text, name), NULL, 16);
}

#define BIT(signal) (1ULL << ((signal)-1))

/* Without libc's two: its posix_spawn(3) - make(1)'s, for one - gives them to us ignored. */
static unsigned long long ignored_of(const char *text)
{
	return bits_of(text, "SigIgn") & ~(BIT(32) | BIT(33));
}

/* Of the parent: USR1 and a real-time signal ignored, USR2 handled, TERM and RTMAX blocked. */
static void prepare(void)
{
	signal(SIGUSR1, SIG_IGN);
	signal(SIGRTMIN + 2, SIG_IGN);
	signal(SIGUSR2, handler);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, set_of(SIGTERM, SIGRTMAX, 0), NULL), 0);
}

/* ---- dispositions ---- */

START_TEST(signals_can_be_ignored_in_the_child)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_ignore_signals(builder, set_of(SIGHUP, SIGRTMIN, 0));
	pal_builder_ignore_signals(builder, set_of(SIGPIPE, SIGUSR2, 0)); /* adds */
	text = process_text(builder, _i);
	ck_assert_uint_eq(
		ignored_of(text), BIT(SIGHUP) | BIT(SIGPIPE) | BIT(SIGUSR2) | BIT(SIGRTMIN));
	ck_assert_uint_eq(bits_of(text, "SigBlk"), 0);
}
END_TEST

START_TEST(what_cannot_be_ignored_is_an_error)
{
	static const int wrong[] = {SIGKILL, SIGSTOP};
	struct pal_builder *builder;

	for (int i = 0; i < 2; i++) {
		builder = process_builder(_i);
		pal_builder_ignore_signals(builder, set_of(SIGHUP, wrong[i], 0));
		assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	}
	builder = process_builder(_i);
	pal_builder_ignore_signals(builder, NULL);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

START_TEST(ignored_signals_can_stay_ignored)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_keep_ignored_signals(builder, NULL);
	text = process_text(builder, _i);
	ck_assert_uint_eq(ignored_of(text), BIT(SIGUSR1) | BIT(SIGRTMIN + 2));
	ck_assert_uint_eq(bits_of(text, "SigCgt") & BIT(SIGUSR2), 0);
}
END_TEST

START_TEST(of_ignored_signals_some_can_be_reset)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_keep_ignored_signals(builder, set_of(SIGUSR1, SIGKILL, SIGUSR2));
	pal_builder_ignore_signals(builder, set_of(SIGUSR2, 0, 0)); /* counts more */
	ck_assert_uint_eq(ignored_of(process_text(builder, _i)), BIT(SIGUSR2) | BIT(SIGRTMIN + 2));
}
END_TEST

/* ---- masks ---- */

START_TEST(a_mask_can_be_set)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_signal_mask(builder, set_of(SIGHUP, SIGRTMIN, SIGKILL));
	ck_assert_uint_eq(
		bits_of(process_text(builder, _i), "SigBlk"), BIT(SIGHUP) | BIT(SIGRTMIN));
}
END_TEST

START_TEST(the_two_signals_of_libc_are_never_blocked)
{
	struct pal_builder *builder = process_builder(_i);
	sigset_t all;

	memset(&all, 0xff, sizeof all);
	pal_builder_signal_mask(builder, &all);
	ck_assert_uint_eq(bits_of(process_text(builder, _i), "SigBlk"),
		~(BIT(SIGKILL) | BIT(SIGSTOP) | BIT(32) | BIT(33)));
}
END_TEST

START_TEST(no_mask_is_the_default_again)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_signal_mask(builder, set_of(SIGHUP, 0, 0));
	pal_builder_keep_signal_mask(builder);
	pal_builder_signal_mask(builder, NULL);
	ck_assert_uint_eq(bits_of(process_text(builder, _i), "SigBlk"), 0);
}
END_TEST

/* Not one that the library itself sets on the way, nor that of the thread which clones. */
START_TEST(the_mask_of_the_calling_thread_can_be_kept)
{
	struct pal_builder *builder = process_builder(_i % KINDS);

	pal_builder_parent_death(builder, _i / KINDS ? SIGKILL : 0);
	pal_builder_keep_signal_mask(builder);
	ck_assert_uint_eq(
		bits_of(process_text(builder, _i % KINDS), "SigBlk"), BIT(SIGTERM) | BIT(SIGRTMAX));
}
END_TEST

START_TEST(the_kept_mask_is_that_of_each_spawn)
{
	struct pal_builder *builder = pal_builder_new("/bin/grep");
	struct pal_child *child;

	pal_builder_args(builder, (const char *const[]){"SigBlk", "/proc/self/status", NULL});
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_keep_signal_mask(builder);
	for (int i = 0; i < 2; i++) {
		struct pal_error error = {0};

		ck_assert_int_eq(
			pthread_sigmask(SIG_SETMASK, set_of(i ? SIGHUP : SIGTERM, 0, 0), NULL), 0);
		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_str_eq(read_to_end(pal_child_stdout(child)),
			i ? "SigBlk:\t0000000000000001\n" : "SigBlk:\t0000000000004000\n");
		ck_assert_int_eq(wait_take(child).code, 0);
	}
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/signal-wishes");
	TCase *wishes = support_tcase(suite, "wishes");

	tcase_add_checked_fixture(wishes, prepare, NULL);
	tcase_add_loop_test(wishes, signals_can_be_ignored_in_the_child, 0, KINDS);
	tcase_add_loop_test(wishes, what_cannot_be_ignored_is_an_error, 0, KINDS);
	tcase_add_loop_test(wishes, ignored_signals_can_stay_ignored, 0, KINDS);
	tcase_add_loop_test(wishes, of_ignored_signals_some_can_be_reset, 0, KINDS);
	tcase_add_loop_test(wishes, a_mask_can_be_set, 0, KINDS);
	tcase_add_loop_test(wishes, the_two_signals_of_libc_are_never_blocked, 0, KINDS);
	tcase_add_loop_test(wishes, no_mask_is_the_default_again, 0, KINDS);
	tcase_add_loop_test(wishes, the_mask_of_the_calling_thread_can_be_kept, 0, 2 * KINDS);
	tcase_add_test(wishes, the_kept_mask_is_that_of_each_spawn);
	return suite;
}
SUPPORT_MAIN(make_suite)
