/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t fds_before;

size_t support_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and the folder itself */
}

static void before(void)
{
	fds_before = support_open_fds();
}

static void after(void)
{
	ck_assert_msg(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 && errno == ECHILD,
		"a child is left behind");
	ck_assert_uint_eq(support_open_fds(), fds_before);
}

TCase *support_tcase(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, before, after);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int support_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void support_skip_(const char *test, const char *format, ...)
{
	va_list args;

	printf("SKIP %s: ", test);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	after();
	_exit(0);
}

const char *support_helper(const char *name)
{
	static char path[PATH_MAX];
	const char *dir = getenv("PROCMESH_HELPERS");

	snprintf(path, sizeof path, "%s/%s", dir ? dir : HELPERS_DIR, name);
	return path;
}
