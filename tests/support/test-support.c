/* SPDX-License-Identifier: MIT */

/*
 * Tests of the test support (S184, S185): a runner that overlooks a leak or a
 * crash would make every other test worthless. Each case below is run by a copy
 * of this program, with the ordinary main of a test program, and its exit
 * status and output are looked at from outside.
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SANITIZED (BUILT_WITH_ASAN || BUILT_WITH_TSAN)

/* ---- what the copies run ---- */

START_TEST(inner_leaks_a_descriptor)
{
	ck_assert_int_ge(open("/dev/zero", O_RDONLY | O_CLOEXEC), 0);
}
END_TEST

START_TEST(inner_closes_a_descriptor_that_is_not_its_own)
{
	close(0);
}
END_TEST

START_TEST(inner_replaces_a_descriptor)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(dup2(fd, 0), 0);
	close(fd);
}
END_TEST

START_TEST(inner_leaves_a_zombie)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}
END_TEST

START_TEST(inner_leaves_a_running_child)
{
	if (fork() == 0) {
		for (;;)
			pause();
	}
}
END_TEST

START_TEST(inner_leaks_private_memory)
{
	void *memory = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
}
END_TEST

START_TEST(inner_unmaps_only_the_middle)
{
	char *memory = mmap(NULL, 12288, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(munmap(memory + 4096, 4096), 0);
}
END_TEST

START_TEST(inner_leaks_shared_memory)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
}
END_TEST

START_TEST(inner_leaks_a_mapped_memfd)
{
	int fd = memfd_create("forgotten", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_ptr_ne(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
	close(fd);
}
END_TEST

START_TEST(inner_runs_for_ever)
{
	for (;;)
		pause();
}
END_TEST

START_TEST(inner_aborts)
{
	abort();
}
END_TEST

START_TEST(inner_exits_with_a_wrong_status)
{
	_exit(3);
}
END_TEST

START_TEST(inner_fails_an_assertion)
{
	ck_assert_int_eq(1, 2);
}
END_TEST

START_TEST(inner_skips_and_leaks)
{
	ck_assert_int_ge(open("/dev/zero", O_RDONLY | O_CLOEXEC), 0);
	support_skip("no reason");
}
END_TEST

START_TEST(inner_skips)
{
	support_skip("kernel %d is too old", 2);
}
END_TEST

static void *use_malloc(void *arg)
{
	char *volatile block = malloc(100000);

	memset(block, 1, 100000);
	free(block);
	pthread_exit(arg); /* loads libgcc_s */
}

/* What glibc keeps for itself: heap, arenas, stacks of ended threads, unwinder. */
START_TEST(inner_is_tidy)
{
	pthread_t threads[4];
	char *blocks[64];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char *memory = mmap(NULL, 40960, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 64; i++)
		blocks[i] = malloc((size_t)i * 10000);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use_malloc, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
	memory = mremap(memory, 40960, 8192, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(munmap(memory, 8192), 0);
	close(fd);
}
END_TEST

#define INNER(test, status, words) {&test, #test, status, words, false}
#define INNER_UNSANITIZED(test, status, words) {&test, #test, status, words, true}
static const struct inner {
	const TTest *const *test;
	const char *name;
	int status;        /* the exit status that the test program must have */
	const char *words; /* what it must say */
	bool unsanitized;  /* nobody can tell under a sanitizer */
} inners[] = {
	INNER(inner_leaks_a_descriptor, EXIT_FAILURE, "is left open: /dev/zero"),
	INNER(inner_closes_a_descriptor_that_is_not_its_own, EXIT_FAILURE, "descriptor 0 was closed: "),
	INNER(inner_replaces_a_descriptor, EXIT_FAILURE, "descriptor 0 was /dev/null and is now /dev/zero"),
	INNER(inner_leaves_a_zombie, EXIT_FAILURE, "as a zombie"),
	INNER(inner_leaves_a_running_child, EXIT_FAILURE, " is left running"),
	INNER_UNSANITIZED(inner_leaks_private_memory, EXIT_FAILURE, "12288 bytes at 0x"),
	INNER_UNSANITIZED(inner_unmaps_only_the_middle, EXIT_FAILURE, "4096 bytes at 0x"),
	INNER(inner_leaks_shared_memory, EXIT_FAILURE, "4096 bytes are left mapped: shared /dev/zero"),
	INNER(inner_leaks_a_mapped_memfd, EXIT_FAILURE, "4096 bytes are left mapped: /memfd:forgotten"),
	INNER(inner_runs_for_ever, EXIT_FAILURE, "Test timeout expired"),
	INNER(inner_aborts, EXIT_FAILURE, "(Aborted)"),
	INNER(inner_exits_with_a_wrong_status, EXIT_FAILURE, "Early exit with return value 3"),
	INNER(inner_fails_an_assertion, EXIT_FAILURE, "Assertion '1 == 2' failed"),
	INNER(inner_skips_and_leaks, EXIT_FAILURE, "is left open: /dev/zero"),
	INNER(inner_skips, EXIT_SUCCESS, "SKIP inner_skips: kernel 2 is too old"),
	INNER(inner_is_tidy, EXIT_SUCCESS, "Checks: 1, Failures: 0, Errors: 0"),
};
#define INNER_COUNT ((int)(sizeof inners / sizeof inners[0]))

static int run_inner(const struct inner *inner)
{
	Suite *suite = suite_create("inner");
	TCase *tcase = support_tcase(suite, "inner");

	tcase_add_test(tcase, *inner->test);
	tcase_set_timeout(tcase, inner->test == &inner_runs_for_ever ? 1 : 60);
	return support_run(suite);
}

/* ---- looking at them ---- */

START_TEST(the_runner_reports)
{
	const struct inner *inner = &inners[_i];
	char command[64], output[8192] = "";
	size_t length;
	FILE *copy;
	int status;

#if SANITIZED
	if (inner->unsanitized)
		support_skip("%s: the sanitizer owns mmap", inner->name);
#endif
	snprintf(command, sizeof command, "exec /proc/%d/exe %d 2>&1 </dev/null", (int)getpid(), _i);
	copy = popen(command, "r");
	ck_assert_ptr_nonnull(copy);
	length = fread(output, 1, sizeof output - 1, copy);
	output[length] = 0;
	status = pclose(copy);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == inner->status, "%s: status %#x\n%s", inner->name,
		(unsigned)status, output);
	ck_assert_msg(strstr(output, inner->words), "%s does not say '%s' but\n%s", inner->name, inner->words, output);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tcase;

	if (argc > 1)
		return run_inner(&inners[atoi(argv[1]) % INNER_COUNT]);
	suite = suite_create("support");
	tcase = support_tcase(suite, "runner");
	tcase_add_loop_test(tcase, the_runner_reports, 0, INNER_COUNT);
	return support_run(suite);
}
