/* SPDX-License-Identifier: MIT */

/*
 * bubblewrap, as a program that is started to start the program. What differs: it knows
 * neither Landlock nor limits; these it is given by its parent, and what it
 * has of the files is what it has mounted. It always makes a root of its own, of two
 * mounts that it changes to one after the other, /proc is mounted where it is asked
 * for, and the filter is read from a file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bench-spawn-sandboxed.h"
#include "bench-spawn.h"
#include "config.h"
#include "harness.h"

#ifdef BWRAP

#define MAX_ARGUMENTS 64

static pid_t start(char *const *arguments, int filter)
{
	pid_t pid = vfork();

	if (pid != 0)
		return pid;
	for (size_t i = 0; i < sizeof sandboxed_limits / sizeof sandboxed_limits[0]; i++) {
		const struct sandboxed_limit *limit = &sandboxed_limits[i];

		setrlimit(limit->resource, &(struct rlimit){limit->value, limit->value});
	}
	fcntl(filter, F_SETFD, 0); /* of the child's own table */
	execve(BWRAP, arguments, environ);
	_exit(127);
}

static void spawn_bwrap(const char *const *binds, const char *how, unsigned count)
{
	int filter = libseccomp_file(false);
	char number[16];
	const char *arguments[MAX_ARGUMENTS] = {"bwrap", "--unshare-user", "--unshare-pid",
		"--as-pid-1", "--cap-drop", "ALL", "--seccomp", number};
	size_t used = 8;

	snprintf(number, sizeof number, "%d", filter);
	for (; *binds; binds++) {
		arguments[used++] = how;
		arguments[used++] = *binds;
		arguments[used++] = *binds;
	}
	arguments[used++] = "--";
	arguments[used++] = TINY;
	while (count--) {
		pid_t pid;

		lseek(filter, 0, SEEK_SET); /* it reads to the end, of the file that is ours, too */
		pid = start((char *const *)arguments, filter);
		if (pid < 0)
			bench_die("vfork");
		expect_exit_0(pid);
	}
	close(filter);
}

void run_bwrap_namespaces(unsigned count)
{
	static const char *const all[] = {"/", NULL};

	spawn_bwrap(all, "--dev-bind", count);
}

void run_bwrap_root(unsigned count)
{
	spawn_bwrap(sandboxed_binds, "--ro-bind", count);
}

#endif
