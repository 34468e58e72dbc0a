/* SPDX-License-Identifier: MIT */

/*
 * Calling a function in a copy of an earlier, smaller self, and getting 8 bytes back: from a
 * process that has become large, forked for each call; and by a process that lives on.
 */
#include <isolate/pool.h>

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define LARGE ((size_t)8 << 30)

static const uint64_t answer = 42;

/* ---- the floors: raw processes at the other end of a pair of sockets ---- */

/*
 * Who wakes another process that then waits for it is followed on the same CPU, or not, as it happened to be the first
 * time: that would be measured, and not what is done. So the processes that live on are bound, to the caller's
 * CPU or to another one.
 */
enum place { SAME_CPU, OTHER_CPU, PLACES };
static const char *const alive_names[] = {"isolate.pool.reuse", "isolate.pool.reuse.twocpu"};

static int forking = -1, living[PLACES] = {-1, -1};
static enum place place;

static uint64_t exchange(int socket)
{
	uint64_t got = 0;

	if (write(socket, &answer, sizeof answer) != sizeof answer ||
		read(socket, &got, sizeof got) != sizeof got)
		bench_die("the answer");
	return got;
}

/* The child writes the answer itself; that it is gone is told by one byte more. */
static void fork_for_each(int socket)
{
	uint64_t request;

	while (read(socket, &request, sizeof request) == sizeof request) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(write(socket, &answer, sizeof answer) != sizeof answer);
		if (waitpid(pid, &status, 0) != pid || status || write(socket, "", 1) != 1)
			_exit(1);
	}
}

static void answer_each(int socket)
{
	uint64_t request;

	while (read(socket, &request, sizeof request) == sizeof request)
		if (write(socket, &answer, sizeof answer) != sizeof answer)
			_exit(1);
}

/* They end with this process: nobody else has the other end. */
static int start_raw(void (*serve)(int socket))
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0)
		bench_die("fork");
	if (pid == 0) {
		close(ends[0]);
		for (int i = 0; i < PLACES; i++)
			if (living[i] >= 0)
				close(living[i]);
		serve(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

static void run_forking(unsigned count)
{
	char gone;

	while (count--)
		if (exchange(forking) != answer || read(forking, &gone, 1) != 1)
			bench_die("the child's end");
}

static void run_living(unsigned count)
{
	while (count--)
		if (exchange(living[place]) != answer)
			bench_die("the answer");
}

/* ---- procmesh ---- */

static struct isolate_pool *each, *reused[PLACES];

static int give_answer(struct isolate_writer *out, const void *in, size_t in_size)
{
	return isolate_write(out, in, in_size);
}

static struct isolate_pool *start_pool(unsigned reuse)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .reuse = reuse};
	struct isolate_pool *pool;
	struct pal_error error;

	bench_check(isolate_pool_new(&options, &pool, &error), "isolate_pool_new");
	return pool;
}

static void call(struct isolate_pool *pool, unsigned count)
{
	while (count--) {
		struct isolate_result result;

		if (isolate_pool_call(pool, give_answer, &answer, sizeof answer, NULL, &result) !=
				ISOLATE_RETURNED ||
			result.size != sizeof answer)
			bench_die(pal_error_text(&result.error));
		isolate_result_clear(&result);
	}
}

static void run_pool(unsigned count)
{
	call(each, count);
}

static void run_reused(unsigned count)
{
	call(reused[place], count);
}

static const struct bench_candidate forked[] = {
	{.name = "floor", .run = run_forking},
	{.name = "procmesh", .run = run_pool},
	{.name = NULL},
};

static const struct bench_candidate alive[] = {
	{.name = "floor", .run = run_living},
	{.name = "procmesh", .run = run_reused},
	{.name = NULL},
};

/* Whether there are so many CPUs. */
static bool start_alive(enum place where)
{
	if (!bench_cpu(where))
		return false;
	living[where] = start_raw(answer_each);
	reused[where] = start_pool(UINT32_MAX);
	return true;
}

int main(void)
{
	bool two = start_alive(SAME_CPU) && start_alive(OTHER_CPU);

	bench_all_cpus();
	forking = start_raw(fork_for_each);
	each = start_pool(1);
	bench_grow_to(LARGE);
	bench_run(&(struct bench_measure){.name = "isolate.pool.8B.8GiB",
		.unit = "us",
		.batch = 50,
		.rounds = 51,
		.candidates = forked});
	bench_one_cpu();
	for (place = SAME_CPU; place < (two ? PLACES : OTHER_CPU); place++)
		bench_run(&(struct bench_measure){.name = alive_names[place],
			.unit = "us",
			.batch = 200,
			.rounds = 51,
			.candidates = alive});
	for (int i = 0; i < PLACES; i++)
		isolate_pool_free(reused[i]);
	isolate_pool_free(each);
	return 0;
}
