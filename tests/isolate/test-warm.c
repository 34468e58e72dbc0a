/* SPDX-License-Identifier: MIT */

/* Memory of long results serves again, and nobody sees that: neither callers, nor forks, nor functions. */
#include <errno.h>
#include <fcntl.h>
#include <isolate/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "warm-support.h"

START_TEST(long_results_lie_where_the_last_one_lay)
{
	void *address = warm_up(LONG);
	size_t fds = support_open_fds();

	for (int i = 0; i < 10; i++) {
		ck_assert_ptr_eq(address_of_call(LONG - (size_t)i * 20000, i), address);
		ck_assert_uint_eq(support_open_fds(), fds);
	}
	isolate_trim();
	ck_assert_uint_eq(support_open_fds(), fds - 1);
}
END_TEST

START_TEST(results_grow_and_shrink)
{
	static const size_t sizes[] = {100000, 65537, 5000000, 65536, 70000, 8, 5000001, 4096 * 50};

	warm_up(LONG);
	for (int i = 0; i < 40; i++)
		address_of_call(sizes[i % 8], i);
}
END_TEST

START_TEST(results_that_are_held_at_once_do_not_share)
{
	struct isolate_result results[12];

	warm_up(LONG);
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < 12; i++)
			call_fill(LONG, i + 20 * turn, &results[i]);
		for (int i = 0; i < 12; i++) {
			ck_assert(is_filled(results[i].data, LONG, i + 20 * turn));
			isolate_result_clear(&results[i]);
		}
	}
}
END_TEST

static const size_t places[] = {0, 4095, 4096, 100000, LONG - 1};

START_TEST(what_the_caller_writes_is_not_in_the_next_result)
{
	struct isolate_result result;

	warm_up(LONG);
	call_fill(LONG, 7, &result);
	((unsigned char *)result.data)[places[_i]] = 99;
	isolate_result_clear(&result);
	address_of_call(LONG, 8);
	address_of_call(LONG, 9);
}
END_TEST

START_TEST(what_the_caller_protects_or_leaves_out_is_as_new_next_time)
{
	struct isolate_result result;
	void *address = warm_up(LONG);

	call_fill(LONG, 7, &result);
	ck_assert_int_eq(mprotect(result.data, 4096, PROT_READ), 0);
	ck_assert_int_eq(madvise(result.data, 4096, MADV_DONTFORK), 0);
	isolate_result_clear(&result);
	call_fill(LONG, 8, &result);
	ck_assert_ptr_eq(result.data, address);
	((unsigned char *)result.data)[0] = 1;
	isolate_result_clear(&result);
}
END_TEST

static int expect_eights(struct isolate_writer *out, void *arg)
{
	const struct isolate_result *result = arg;
	bool right = is_filled(result->data, result->size, 8);

	return isolate_write_value(out, &right);
}

START_TEST(what_the_caller_wipes_is_whole_in_functions_next_time)
{
	struct isolate_result result, seen;
	bool right = false;
	void *address;

	call_fill(50000, 7, &result);
	address = result.data;
	ck_assert_int_eq(isolate_wipe(address, 8192), 0);
	isolate_result_clear(&result);
	call_fill(50000, 8, &result);
	ck_assert_ptr_eq(result.data, address);
	isolate_call(expect_eights, &result, NULL, &seen);
	ck_assert_int_eq(isolate_result_value(&seen, &right), 0);
	ck_assert(right);
	isolate_result_clear(&result);
	isolate_result_clear(&seen);
}
END_TEST

START_TEST(what_the_caller_divides_can_still_grow)
{
	struct isolate_result result;

	warm_up(LONG);
	for (int i = 1; i < 4; i++) {
		call_fill(LONG * (size_t)i, 7, &result);
		ck_assert_int_eq(madvise((char *)result.data + 8192, 4096, MADV_DONTDUMP), 0);
		isolate_result_clear(&result);
	}
}
END_TEST

/* ---- forks ---- */

static int expect_and_spoil(struct isolate_writer *out, void *arg)
{
	struct isolate_result *result = arg;
	bool right = is_filled(result->data, result->size, 7);

	memset(result->data, 66, result->size);
	return isolate_write_value(out, &right);
}

START_TEST(a_function_may_use_and_spoil_what_another_has_returned)
{
	struct isolate_result first, second;
	size_t size = _i ? 50000 : LONG;
	bool right = false;

	warm_up(LONG);
	for (int i = 0; i < 3; i++) {
		call_fill(size, 7, &first);
		isolate_call(expect_and_spoil, &first, NULL, &second);
		ck_assert_int_eq(isolate_result_value(&second, &right), 0);
		ck_assert(right);
		ck_assert(is_filled(first.data, size, 7));
		isolate_result_clear(&first);
		isolate_result_clear(&second);
	}
}
END_TEST

struct later {
	struct gate gate;
	const void *bytes;
};

static int look_later(struct isolate_writer *out, void *arg)
{
	struct later *later = arg;
	int r = pass(out, &later->gate);
	bool right = is_filled(later->bytes, LONG, 7);

	isolate_write(out, &right, 1);
	return r;
}

/* Which may be long after its caller has no use for them any more. */
START_TEST(a_function_that_runs_has_the_results_of_its_start)
{
	struct isolate_result result;
	struct isolate_run *run;
	struct later later;

	warm_up(LONG);
	gate_open(&later.gate, 0);
	call_fill(LONG, 7, &result);
	later.bytes = result.data;
	run = start(look_later, &later, NULL);
	await_entry(&later.gate);
	isolate_result_clear(&result);
	for (int i = 0; i < 5; i++)
		address_of_call(LONG, 8 + i);
	let_go(&later.gate);
	isolate_finish(run, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(*(bool *)result.data, true);
	isolate_result_clear(&result);
	check_that_all_are_gone(&later.gate);
}
END_TEST

/* Then it has rested, and is used again. */
START_TEST(memory_that_a_function_had_serves_when_that_has_ended)
{
	struct isolate_result result;
	void *address = warm_up(LONG);
	struct isolate_run *run;
	struct gate gate;

	gate_open(&gate, 0);
	call_fill(LONG, 7, &result);
	run = start(pass, &gate, NULL);
	await_entry(&gate);
	isolate_result_clear(&result);
	isolate_limit_kept(2 * LONG);
	ck_assert_ptr_ne(address_of_call(LONG, 8), address);
	let_go(&gate);
	isolate_finish(run, NULL);
	call_fill(LONG, 9, &result);
	isolate_result_clear(&result);
	isolate_limit_kept(ISOLATE_DEFAULT_KEPT);
	check_that_all_are_gone(&gate);
}
END_TEST

START_TEST(a_fork_of_the_host_keeps_its_copy)
{
	struct isolate_result result;
	int go[2], status;
	char byte;
	pid_t pid;

	warm_up(LONG);
	call_fill(LONG, 7, &result);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		(void)!read(go[0], &byte, 1);
		if (!is_filled(result.data, LONG, 7))
			_exit(1);
		isolate_result_clear(&result);
		call_fill(LONG, 3, &result); /* and it has memory of its own */
		_exit(0);
	}
	isolate_result_clear(&result);
	for (int i = 0; i < 3; i++)
		address_of_call(LONG, 8 + i);
	close(go[1]);
	close(go[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- processes that are left behind ---- */

struct survivor {
	int go[2];
	int done[2];
	int pwrite_errno;
	size_t size; /* of the result */
};

static int leave_a_survivor(struct isolate_writer *out, void *arg)
{
	struct survivor *survivor = arg;
	struct fill order = {survivor->size, 7};
	char byte;
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : fill(out, &order);
	close(survivor->go[1]);
	close(survivor->done[0]);
	(void)!read(survivor->go[0], &byte, 1);
	survivor->pwrite_errno = pwrite(out->call->memfd, "garbage", 7, 0) < 0 ? errno : 0;
	_exit(0);
}

/* S112: neither this result, nor the next one, also where the memory has served before */
START_TEST(a_grandchild_that_keeps_the_descriptor_changes_no_result)
{
	struct survivor *survivor = shared_memory(sizeof *survivor);
	struct isolate_result result, next;
	bool clear_first = _i & 1, is_short = _i & 2;
	char byte;

	warm_up(LONG);
	survivor->pwrite_errno = -1;
	survivor->size = is_short ? 100 : LONG;
	ck_assert_int_eq(pipe2(survivor->go, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(survivor->done, O_CLOEXEC), 0);
	isolate_call(leave_a_survivor, survivor, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert(is_filled(result.data, survivor->size, 7));
	if (clear_first)
		isolate_result_clear(&result);
	call_fill(LONG, 8, &next);
	close(survivor->go[1]);
	close(survivor->done[1]);
	ck_assert_int_eq(read(survivor->done[0], &byte, 1), 0);
	ck_assert_int_eq(
		survivor->pwrite_errno, is_short ? 0 : EPERM); /* what nobody reads is not sealed */
	ck_assert(is_filled(next.data, LONG, 8));
	if (!clear_first)
		ck_assert(is_filled(result.data, survivor->size, 7));
	close(survivor->go[0]);
	close(survivor->done[0]);
	isolate_result_clear(&result);
	isolate_result_clear(&next);
	munmap(survivor, sizeof *survivor);
}
END_TEST

static int tell_whether_mapped(struct isolate_writer *out, void *arg)
{
	bool mapped = msync(arg, 1, MS_ASYNC) == 0;

	return isolate_write_value(out, &mapped);
}

START_TEST(what_is_kept_is_not_in_forks)
{
	void *address = _i ? address_of_call(50000, 1) : warm_up(LONG);
	struct isolate_result result;
	bool mapped = true;

	isolate_call(tell_whether_mapped, address, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &mapped), 0);
	ck_assert(!mapped);
	isolate_result_clear(&result);
}
END_TEST

/* ---- how much is kept ---- */

START_TEST(no_more_is_kept_than_the_limit)
{
	size_t fds = support_open_fds();

	isolate_limit_kept(2 * LONG);
	warm_up(LONG);
	ck_assert_uint_eq(support_open_fds(), fds + 1);
	warm_up(3 * LONG); /* that is too large */
	ck_assert_uint_eq(support_open_fds(), fds);
	warm_up(LONG);
	isolate_limit_kept(LONG / 2);
	ck_assert_uint_eq(support_open_fds(), fds);
	warm_up(LONG);
	ck_assert_uint_eq(support_open_fds(), fds);
	isolate_limit_kept(0);
	warm_up(LONG);
	ck_assert_uint_eq(support_open_fds(), fds);
	isolate_limit_kept(ISOLATE_DEFAULT_KEPT);
	warm_up(LONG);
	ck_assert_uint_eq(support_open_fds(), fds + 1);
}
END_TEST

/* How many calls it takes until what a longer result needed is given back. */
static int calls_until_trimmed(size_t size, size_t fds)
{
	int calls = 0;

	while (support_open_fds() > fds && calls++ < 200)
		address_of_call(size, 1);
	return calls;
}

START_TEST(memory_that_is_not_needed_is_given_back)
{
	size_t fds = support_open_fds();

	warm_up(LONG);
	ck_assert_uint_eq(support_open_fds(), fds + 1);
	ck_assert_int_eq(calls_until_trimmed(_i ? 70000 : 8, fds), 65);
}
END_TEST

START_TEST(memory_of_calls_at_once_is_given_back)
{
	struct isolate_result results[5];
	size_t fds = support_open_fds();

	warm_up(LONG);
	for (int i = 0; i < 5; i++)
		call_fill(LONG, i, &results[i]);
	for (int i = 0; i < 5; i++)
		isolate_result_clear(&results[i]);
	ck_assert_uint_eq(support_open_fds(), fds + 5);
	for (int i = 0; i < 70; i++)
		address_of_call(LONG, i);
	ck_assert_uint_eq(support_open_fds(), fds + 1);
}
END_TEST

/* ---- what it costs ---- */

/* Of /proc/self/status, in KiB. */
static long status_of_this(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long value = -1;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name));
	fclose(file);
	ck_assert_int_ge(value, 0);
	return value;
}

#define LARGE ((size_t)64 << 20)

/* All resident memory counts, also what is shared with the kernel's file. */
START_TEST(a_large_result_is_in_the_memory_of_its_caller_once)
{
	long before = status_of_this("VmRSS:"), peak;

	if (THREADS_OF_THE_SANITIZER)
		support_skip("ThreadSanitizer has four bytes of its own for each");
	for (int i = 0; i < 3; i++)
		address_of_call(LARGE, i);
	peak = status_of_this("VmHWM:") - before;
	ck_assert_int_le(peak, (long)(LARGE >> 10) * 11 / 10);
	ck_assert_int_ge(peak, (long)(LARGE >> 10)); /* it has been looked at */
	isolate_trim();
	ck_assert_int_le(status_of_this("VmRSS:") - before, 2 << 10);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/warm");
	TCase *results = isolate_tcase(suite, "results");
	TCase *forks = isolate_tcase(suite, "forks");
	TCase *kept = isolate_tcase(suite, "kept");

	tcase_add_test(results, long_results_lie_where_the_last_one_lay);
	tcase_add_test(results, results_grow_and_shrink);
	tcase_add_test(results, results_that_are_held_at_once_do_not_share);
	tcase_add_loop_test(results, what_the_caller_writes_is_not_in_the_next_result, 0,
		sizeof places / sizeof *places);
	tcase_add_test(results, what_the_caller_protects_or_leaves_out_is_as_new_next_time);
	tcase_add_test(results, what_the_caller_wipes_is_whole_in_functions_next_time);
	tcase_add_test(results, what_the_caller_divides_can_still_grow);
	tcase_add_loop_test(forks, a_function_may_use_and_spoil_what_another_has_returned, 0, 2);
	tcase_add_test(forks, a_function_that_runs_has_the_results_of_its_start);
	tcase_add_test(forks, memory_that_a_function_had_serves_when_that_has_ended);
	tcase_add_test(forks, a_fork_of_the_host_keeps_its_copy);
	tcase_add_loop_test(forks, a_grandchild_that_keeps_the_descriptor_changes_no_result, 0, 4);
	tcase_add_loop_test(forks, what_is_kept_is_not_in_forks, 0, 2);
	tcase_add_test(kept, a_large_result_is_in_the_memory_of_its_caller_once);
	tcase_add_test(kept, no_more_is_kept_than_the_limit);
	tcase_add_loop_test(kept, memory_that_is_not_needed_is_given_back, 0, 2);
	tcase_add_test(kept, memory_of_calls_at_once_is_given_back);
	return suite;
}
SUPPORT_MAIN(make_suite)
