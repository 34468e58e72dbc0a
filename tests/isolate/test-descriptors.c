/* SPDX-License-Identifier: MIT */

/*
 * No wrapper: the table of descriptors is full but for 0, 1, 2 ... places, until every way to call
 * works. Each time the answer is a documented one, nothing is left, and the next call works. S106, S116
 */
#include <fcntl.h>
#include <pal/profile.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool-support.h"

#define TABLE 128 /* descriptors; those of the test are fewer */
#define SIZE 100000

static struct isolate_pool *pool; /* made before there are few */

/* What came of one try. */
struct outcome {
	bool works;
	int code; /* where it does not */
	bool not_executed;
	bool is_right; /* else it works, with other bytes */
};

static bool is_pattern(const struct isolate_result *result)
{
	const unsigned char *data = result->data;

	for (size_t i = 0; i < result->size; i++)
		if (data[i] != pattern(i))
			return false;
	return result->size == SIZE && result->value == 0;
}

static struct outcome take_outcome(struct isolate_result *result)
{
	struct outcome outcome = {.works = result->answer == ISOLATE_RETURNED,
		.code = result->error.code,
		.not_executed = result->answer == ISOLATE_NOT_EXECUTED,
		.is_right = result->answer == ISOLATE_RETURNED && is_pattern(result)};

	isolate_result_clear(result);
	return outcome;
}

static int write_all(struct isolate_writer *out, void *arg)
{
	static unsigned char bytes[SIZE];

	(void)arg;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	return isolate_write(out, bytes, sizeof bytes);
}

static int write_all_in_pool(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)in;
	(void)in_size;
	return write_all(out, NULL);
}

/* ---- ways to call ---- */

static struct outcome call_with(const struct isolate_options *options)
{
	struct isolate_result result;

	isolate_call(write_all, NULL, options, &result);
	return take_outcome(&result);
}

static struct outcome call_plainly(void)
{
	return call_with(NULL);
}

static struct outcome call_and_capture(void)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS};

	options.std_out = options.std_err = PAL_STDIO_PIPE;
	return call_with(&options);
}

static struct outcome call_in_sandbox(void)
{
	return call_with(&(struct isolate_options){
		ISOLATE_OPTIONS_INIT, .sandbox = pal_profile_pure_compute()});
}

static struct outcome call_with_chosen_descriptors(void)
{
	static const int keep[] = {1};

	return call_with(&(struct isolate_options){
		ISOLATE_OPTIONS_INIT, .keep_fds = keep, .keep_fd_count = 1});
}

static struct outcome call_with_null(void)
{
	return call_with(&(struct isolate_options){
		ISOLATE_OPTIONS_INIT, .std_in = PAL_STDIO_NULL, .std_out = PAL_STDIO_NULL});
}

/* What cannot have a descriptor to poll is waited for without. */
static struct outcome run_and_watch(void)
{
	struct isolate_result result;
	struct pal_error error = {0};
	struct isolate_run *run;
	struct pollfd event = {.events = POLLIN};
	int code = isolate_start(write_all, NULL, NULL, &run, &error);

	if (code < 0)
		return (struct outcome){.code = code, .not_executed = true};
	event.fd = isolate_run_fd(run);
	while (event.fd >= 0 && !isolate_progress(run))
		poll(&event, 1, -1);
	isolate_finish(run, &result);
	if (event.fd >= 0 || result.answer != ISOLATE_RETURNED)
		return take_outcome(&result);
	isolate_result_clear(&result);
	return (struct outcome){.code = event.fd, .not_executed = true}; /* the watch was not */
}

static struct outcome make_pool(void)
{
	struct isolate_result result;
	struct isolate_pool *made;
	struct pal_error error = {0};
	int code = isolate_pool_new(NULL, &made, &error);

	if (code < 0)
		return (struct outcome){.code = code, .not_executed = true};
	isolate_pool_call(made, write_all_in_pool, NULL, 0, NULL, &result);
	isolate_pool_free(made);
	return take_outcome(&result);
}

static struct outcome call_in_pool(void)
{
	struct isolate_result result;

	isolate_pool_call(pool, write_all_in_pool, NULL, 0, NULL, &result);
	return take_outcome(&result);
}

static struct outcome refresh_pool(void)
{
	struct pal_error error = {0};
	int code = isolate_pool_refresh(pool, &error);
	struct outcome outcome = call_in_pool();

	if (code < 0) /* nothing is changed then */
		return (struct outcome){.code = code, .not_executed = true};
	return outcome;
}

static const struct way {
	const char *name;
	struct outcome (*call)(void);
	bool of_the_pool; /* which may work with what it has, and keeps more; it is freed in the end */
} ways[] = {
	{"a call", call_plainly, false},
	{"with capture", call_and_capture, false},
	{"in a sandbox", call_in_sandbox, false},
	{"with chosen descriptors", call_with_chosen_descriptors, false},
	{"with /dev/null", call_with_null, false},
	{"in halves, watched", run_and_watch, false},
	{"a new pool", make_pool, false},
	{"in a pool", call_in_pool, true},
	{"a new snapshot", refresh_pool, true},
};

/* ---- few descriptors ---- */

/* Without one of its own. */
static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < TABLE; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Fills the table; the first `count` of `ret` are what was opened for it. */
static int fill(int *ret)
{
	int count = 0, fd;

	while ((fd = fcntl(0, F_DUPFD_CLOEXEC, 3)) >= 0)
		ret[count++] = fd;
	ck_assert_int_eq(errno, EMFILE);
	return count;
}

static void check_outcome(const struct way *way, int left, const struct outcome *outcome)
{
	if (outcome->works) {
		ck_assert_msg(outcome->is_right, "%s, %d left: other bytes", way->name, left);
		return;
	}
	ck_assert_msg(
		outcome->code == -EMFILE, "%s, %d left: code %d", way->name, left, outcome->code);
	ck_assert_msg(outcome->not_executed, "%s, %d left: executed, and nothing to be had",
		way->name, left);
}

/* With so many left. Whether it worked. */
static bool try_with(const struct way *way, int left)
{
	int fillers[TABLE], count, before;
	struct outcome outcome, next;

	isolate_trim();
	count = fill(fillers);
	ck_assert_int_gt(count, left);
	for (int i = 0; i < left; i++)
		close(fillers[--count]);
	before = count_fds();
	outcome = way->call();
	isolate_trim(); /* of what is kept some has descriptors */
	ck_assert_msg(way->of_the_pool || count_fds() == before, "%s, %d left: %d open, not %d",
		way->name, left, count_fds(), before);
	while (count > 0)
		close(fillers[--count]);
	check_outcome(way, left, &outcome);
	next = call_plainly();
	ck_assert_msg(next.is_right, "%s, %d left: the next call", way->name, left);
	return outcome.works;
}

START_TEST(with_few_descriptors_left_the_answer_is_a_documented_one)
{
	const struct way *way = &ways[_i];
	struct rlimit limit;
	int left = 0;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself");
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = TABLE;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	pool = new_pool(NULL);
	ck_assert(way->of_the_pool || !try_with(way, left));
	for (left = 1; left < 30; left++)
		try_with(way, left);
	ck_assert_msg(try_with(way, left), "%s does not work with %d left", way->name, left);
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/descriptors");
	TCase *few = isolate_tcase(suite, "few");

	tcase_add_loop_test(few, with_few_descriptors_left_the_answer_is_a_documented_one, 0,
		sizeof ways / sizeof *ways);
	return suite;
}
SUPPORT_MAIN(make_suite)
