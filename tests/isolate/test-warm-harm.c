/* SPDX-License-Identifier: MIT */

/* Memory of long results, and functions, hosts and others that do to it what they should not. */
#include <errno.h>
#include <fcntl.h>
#include <pal/profile.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gate.h"
#include "warm-support.h"

/* ---- functions that lie, or spoil ---- */

static int announce(struct isolate_writer *out, void *arg)
{
	out->shared->marks.value = 0;
	out->shared->marks.size = *(size_t *)arg;
	out->shared->marks.write_error = 0;
	out->shared->marks.progress = ISOLATE__COMPLETE;
	_exit(0);
}

static const size_t lies[] = {LONG, LONG - 5000, LONG + 5000, 65537};

START_TEST(bytes_of_an_earlier_call_are_no_result)
{
	struct isolate_result result;
	size_t size = lies[_i];

	warm_up(LONG);
	isolate_call(announce, &size, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADMSG);
	address_of_call(LONG, 3);
}
END_TEST

static int cut_the_file(struct isolate_writer *out, void *arg)
{
	struct fill order = {LONG, 7};
	int r = fill(out, &order);

	(void)!ftruncate(out->call->memfd, *(int *)arg);
	return r;
}

/* And no SIGBUS in the caller. */
START_TEST(a_memfd_that_the_function_cut_or_stretched_is_noticed)
{
	int sizes[] = {0, 4096, 150000, 10000000};
	struct isolate_result result;

	warm_up(LONG);
	isolate_call(cut_the_file, &sizes[_i], NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT,
		sizes[_i] < (int)LONG ? -EBADF : -EBADMSG);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG, i);
}
END_TEST

static int write_much_and_die(struct isolate_writer *out, void *arg)
{
	struct fill order = {LONG * 3, 7};

	(void)arg;
	fill(out, &order);
	_exit(0);
}

START_TEST(what_a_function_wrote_before_it_died_is_gone)
{
	struct isolate_result result;

	warm_up(LONG);
	isolate_call(write_much_and_die, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_UNKNOWN);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG + (size_t)i * 100000, i);
}
END_TEST

/* As a daemon does: the number is another file's now. */
START_TEST(a_host_that_closes_all_descriptors_loses_nothing)
{
	struct isolate_result result;
	int kept, victim;

	warm_up(LONG);
	call_fill(LONG, 4, &result);
	kept = result.memory->fd;
	if (_i)
		isolate_result_clear(&result);
	close(kept);
	victim = memfd_create("victim", MFD_CLOEXEC);
	dup2(victim, kept);
	if (victim != kept)
		close(victim);
	if (!_i)
		isolate_result_clear(&result);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG, i);
	isolate_trim();
	ck_assert_int_eq(lseek(kept, 0, SEEK_END), 0); /* open, and nothing written */
	close(kept);
}
END_TEST

static int seal_the_file(struct isolate_writer *out, void *arg)
{
	struct fill order = {LONG, 7};
	int r = fill(out, &order);

	return fcntl(out->call->memfd, F_ADD_SEALS, *(int *)arg) < 0 ? -errno : r;
}

/* Nobody could write the next result there. */
START_TEST(a_memfd_that_the_function_sealed_serves_no_more)
{
	int seals[] = {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_WRITE | F_SEAL_SEAL};
	struct isolate_result result;

	if (_i & 4)
		warm_up(LONG);
	isolate_call(seal_the_file, &seals[_i & 3], NULL, &result);
	ck_assert_int_eq(result.value, 0); /* its own last bytes may have come too late */
	ck_assert(result.answer == ISOLATE_EXECUTED ||
		  (result.answer == ISOLATE_RETURNED && is_filled(result.data, LONG, 7)));
	isolate_result_clear(&result);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG + (size_t)i * 100000, i);
}
END_TEST

/* It could have the descriptor opened anew, later, by somebody whom it has left behind. */
START_TEST(what_has_a_sandbox_gets_no_memory_that_others_use)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .sandbox = pal_profile_pure_compute()};
	struct fill order = {LONG, 7};
	struct isolate_result result;
	size_t fds;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself, which the profile lowers");
	warm_up(LONG);
	fds = support_open_fds();
	for (int i = 0; i < 3; i++) {
		isolate_call(fill, &order, &options, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert(is_filled(result.data, LONG, 7));
		ck_assert_ptr_null(result.memory);
		isolate_result_clear(&result);
		ck_assert_uint_eq(support_open_fds(), fds);
	}
}
END_TEST

static int leave_a_mapping(struct isolate_writer *out, void *arg)
{
	struct gate *gate = arg;
	struct fill order = {LONG, 7};
	unsigned char *mapped;
	char byte;
	int r = fill(out, &order);
	pid_t pid;

	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, out->call->memfd, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	pid = fork();
	if (pid)
		return pid < 0 ? -errno : r;
	close(gate->go[1]);
	close(gate->held[0]);
	(void)!read(gate->go[0], &byte, 1);
	mapped[0] = 66;
	_exit(0);
}

/* S112: which the kernel does not take away from it */
START_TEST(a_grandchild_that_has_the_result_mapped_changes_it_no_more)
{
	struct isolate_result result;
	struct gate gate;

	if (_i)
		warm_up(LONG);
	gate_open(&gate, 0);
	isolate_call(leave_a_mapping, &gate, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	let_go(&gate);
	check_that_all_are_gone(&gate);
	ck_assert_uint_eq(result.size, LONG);
	ck_assert(is_filled(result.data, LONG, 7));
	isolate_result_clear(&result);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG, i);
}
END_TEST

/* ---- leases ---- */

/* As whoever can see /proc/PID/fd can. */
static int open_anew(int fd, int how)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, how | O_CLOEXEC);
}

static int descriptor_of_the_kept(void)
{
	struct isolate_result result;
	int kept;

	warm_up(LONG);
	call_fill(LONG, 4, &result);
	kept = result.memory->fd;
	isolate_result_clear(&result);
	return kept;
}

/* It has 45 seconds to give that up, and may do nothing at all. */
START_TEST(nobody_waits_for_somebody_elses_lease)
{
	pal_deadline hang = PAL_DEADLINE_MS(A_HANG_MS);
	int kept = descriptor_of_the_kept();
	int leased = _i ? open_anew(kept, O_RDONLY) : fcntl(kept, F_DUPFD_CLOEXEC, 0);

	signal(SIGIO, SIG_IGN);
	ck_assert_int_eq(fcntl(leased, F_SETLEASE, F_RDLCK), 0);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG, i);
	ck_assert_int_gt(pal_deadline_left_ms(hang), 0);
	close(leased);
}
END_TEST

/* The host's file, with its lease, under `number`. */
static void put_leased_file(int number)
{
	int memfd = memfd_create("victim", MFD_CLOEXEC), victim = open_anew(memfd, O_RDONLY);

	close(memfd);
	ck_assert_int_eq(dup3(victim, number, O_CLOEXEC), number);
	close(victim);
	ck_assert_int_eq(fcntl(number, F_SETLEASE, F_RDLCK), 0);
}

/* Neither where it is opened, nor where it is asked whether anybody writes to it. */
START_TEST(leases_of_the_host_under_a_number_of_the_library_stay)
{
	int number = descriptor_of_the_kept();
	struct isolate_result result;
	struct isolate_run *run = NULL;
	struct gate gate;

	if (_i) {
		gate_open(&gate, 0);
		run = start(pass, &gate, NULL);
		await_entry(&gate);
		ck_assert_int_eq(run->call.warm->fd, number);
	}
	put_leased_file(number);
	if (_i) {
		let_go(&gate);
		isolate_finish(run, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		isolate_result_clear(&result);
		check_that_all_are_gone(&gate);
	}
	for (int i = 0; i < 3; i++)
		address_of_call(LONG, i);
	ck_assert_int_eq(fcntl(number, F_GETLEASE), F_RDLCK);
	close(number);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/warm-harm");
	TCase *lies_and_harm = isolate_tcase(suite, "lies and harm");
	TCase *leases = isolate_tcase(suite, "leases");

	tcase_add_loop_test(lies_and_harm, bytes_of_an_earlier_call_are_no_result, 0,
		sizeof lies / sizeof *lies);
	tcase_add_loop_test(
		lies_and_harm, a_memfd_that_the_function_cut_or_stretched_is_noticed, 0, 4);
	tcase_add_test(lies_and_harm, what_a_function_wrote_before_it_died_is_gone);
	tcase_add_loop_test(lies_and_harm, a_host_that_closes_all_descriptors_loses_nothing, 0, 2);
	tcase_add_loop_test(lies_and_harm, a_memfd_that_the_function_sealed_serves_no_more, 0, 8);
	tcase_add_test(lies_and_harm, what_has_a_sandbox_gets_no_memory_that_others_use);
	tcase_add_loop_test(
		lies_and_harm, a_grandchild_that_has_the_result_mapped_changes_it_no_more, 0, 2);
	tcase_add_loop_test(leases, nobody_waits_for_somebody_elses_lease, 0, 2);
	tcase_add_loop_test(leases, leases_of_the_host_under_a_number_of_the_library_stay, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
