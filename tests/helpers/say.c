/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * say out N        writes N bytes to stdout: "abc...z" again and again
 * say err N        the same to stderr
 * say both N       the same to both, in turns of 4000 bytes
 * say echo         copies its input to its output while it comes
 * say late         reads its input to the end, then writes it
 * say deaf N       closes its input, writes N bytes and exits with 5
 * say held N       leaves a process behind that has all its streams until descriptor 3 ends,
 *                  writes N bytes and exits with 6; that process adds "late" then
 * say streaming    the same, but the process left behind writes all the time
 * say quiet        closes its output and waits for a signal
 * say group HOW    two of them, in whose process group nobody else is: says "ready" and waits. HOW "alone": exits then,
 *                  with 7; "stubborn": the other one ignores SIGTERM; "leave": leaves at SIGTERM with 8
 */

static void emit(int fd, size_t first, size_t count)
{
	char text[26 * 2000];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i % 26);
	while (count) {
		size_t offset = first % 26, size = sizeof text - offset;
		ssize_t written = write(fd, text + offset, count < size ? count : size);

		if (written <= 0)
			exit(99);
		first += (size_t)written;
		count -= (size_t)written;
	}
}

static void emit_both(size_t count)
{
	for (size_t done = 0; done < count; done += 4000) {
		size_t size = count - done < 4000 ? count - done : 4000;

		emit(1, done, size);
		emit(2, done, size);
	}
}

static void echo(void)
{
	static char buffer[1 << 16];
	ssize_t got;

	while ((got = read(0, buffer, sizeof buffer)) > 0)
		for (ssize_t done = 0, written; done < got; done += written)
			if ((written = write(1, buffer + done, (size_t)(got - done))) < 0)
				exit(99);
}

static void late(void)
{
	char *all = malloc(64 << 20);
	size_t used = 0, done = 0;
	ssize_t got;

	while ((got = read(0, all + used, 1 << 16)) > 0)
		used += (size_t)got;
	while (done < used && (got = write(1, all + done, used - done)) > 0)
		done += (size_t)got;
	free(all);
}

static void leave_behind(size_t count, int streaming)
{
	char byte;

	if (fork() == 0) {
		signal(SIGPIPE, SIG_IGN);
		if (streaming)
			while (write(1, "yyyy", 4) > 0)
				;
		else if (read(3, &byte, 1) == 0)
			count = (size_t)write(1, "late", 4);
		_exit(0);
	}
	emit(1, 0, count);
	exit(6);
}

static void on_term(int number)
{
	(void)number;
	_exit(8);
}

static void group(const char *how)
{
	if (!strcmp(how, "leave"))
		signal(SIGTERM, on_term);
	if (fork() == 0) {
		signal(SIGTERM, strcmp(how, "stubborn") ? SIG_DFL : SIG_IGN);
		dprintf(1, "ready\n");
		for (;;)
			pause();
	}
	if (!strcmp(how, "alone"))
		exit(7);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *argument = argc > 2 ? argv[2] : "";
	size_t count = strtoul(argument, NULL, 10);

	if (!strcmp(what, "out"))
		emit(1, 0, count);
	else if (!strcmp(what, "err"))
		emit(2, 0, count);
	else if (!strcmp(what, "both"))
		emit_both(count);
	else if (!strcmp(what, "echo"))
		echo();
	else if (!strcmp(what, "late"))
		late();
	else if (!strcmp(what, "deaf")) {
		close(0);
		emit(1, 0, count);
		return 5;
	} else if (!strcmp(what, "held") || !strcmp(what, "streaming"))
		leave_behind(count, !strcmp(what, "streaming"));
	else if (!strcmp(what, "quiet")) {
		close(1);
		pause();
	} else if (!strcmp(what, "group"))
		group(argument);
	return 0;
}
