/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pal/util-priv.h>

/*
 * PROCMESH_SPAWN_TRACE=FILE: a line is appended for every child that was to be
 * started, "4711 posix_spawnp gcc: 4712" or "4711 posix_spawnp gcc: exec gcc: No
 * such file or directory". Any number of processes write to the same file: one
 * write(2) a line. The file is opened for each: a descriptor kept open would be
 * seen, and closed, by the program that all this is hidden from.
 */

static char file[PATH_MAX]; /* "": no trace */

/* What the program was started with; it may change its environment later. */
__attribute__((constructor)) static void read_environment(void)
{
	const char *name = secure_getenv("PROCMESH_SPAWN_TRACE");

	if (name && strlen(name) < sizeof file)
		memcpy(file, name, strlen(name) + 1);
}

/* One line: no control characters. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '\177')
			*text = '?';
}

/*
 * Beyond RLIMIT_FSIZE, or into a pipe that nobody reads, a write raises a signal, which the
 * program does not expect: raised is what was not pending before.
 */
static void write_quietly(int fd, const char *line, size_t length)
{
	static const struct timespec now;
	sigset_t raised, before, mask;

	sigemptyset(&raised);
	sigaddset(&raised, SIGXFSZ);
	sigaddset(&raised, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &raised, &mask);
	sigpending(&before);
	if (write(fd, line, length) < 0) { /* nobody can be told: the program's output is not ours */
		if (sigismember(&before, SIGXFSZ))
			sigdelset(&raised, SIGXFSZ);
		if (sigismember(&before, SIGPIPE))
			sigdelset(&raised, SIGPIPE);
		sigtimedwait(&raised, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* Never waits: for the reader of a FIFO, for instance. */
static void append_line(const char *line, size_t length)
{
	PAL_CLEANUP_CLOSE int fd = open(
		file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

	if (fd >= 0)
		write_quietly(fd, line, length);
}

void spawn_preload__trace(
	const char *function, const char *program, pid_t pid, const struct pal_error *error)
{
	char line[1024], outcome[PAL_ERROR_TEXT_SIZE];
	int saved = errno, length;

	if (!file[0])
		return;
	if (pid >= 0)
		snprintf(outcome, sizeof outcome, "%d", (int)pid);
	else
		snprintf(outcome, sizeof outcome, "%s", pal_error_text(error));
	/* room for the newline; a long name loses its end, not the outcome */
	length = snprintf(line, sizeof line, "%d %s %.512s: %s", (int)getpid(), function, program, outcome);
	if (length > (int)sizeof line - 2)
		length = (int)sizeof line - 2;
	line[length] = 0;
	make_printable(line);
	line[length] = '\n';
	append_line(line, (size_t)length + 1);
	errno = saved;
}
