/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * spawn-cases FOLDER GROUP     runs a group of cases in new folders below FOLDER
 * spawn-cases --can GROUP      exits with 0 if that is possible here
 */

const char *self;
static const char *current;

static const struct {
	const char *name;
	const struct spawn_case *cases;
} groups[] = {{"attributes", attribute_cases}, {"signals", signal_cases}, {"actions", action_cases},
	{"descriptors", descriptor_cases}, {"program", program_cases},
	{"parent", parent_cases}, {"system", system_cases}, {"popen", popen_cases}, {"root", root_cases}, {"realtime", realtime_cases},
	{"beyond", beyond_cases}};

/* Unbuffered: a forked child must not have a copy of what was said. */
void say(const char *format, ...)
{
	char line[16384];
	va_list args;
	int start = snprintf(line, sizeof line, "%s: ", current), length;

	va_start(args, format);
	length = start + vsnprintf(line + start, sizeof line - 1 - (size_t)start, format, args);
	va_end(args);
	must(length < (int)sizeof line - 1);
	line[length++] = '\n';
	must(write(1, line, (size_t)length) == length);
}

const char *name_of(int error)
{
	if (error < 0)
		error = errno;
	return error ? strerrorname_np(error) : "0";
}

void must_failed(const char *file, int line, const char *condition)
{
	dprintf(2, "%s:%d: %s: %s: %s\n", file, line, current ? current : "", condition, strerror(errno));
	_exit(99);
}

const char *status_text(int status)
{
	static char text[64];

	if (WIFEXITED(status))
		snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "status %x", (unsigned)status);
	return text;
}

const char *ending_of(pid_t pid)
{
	static char text[64];
	int status;
	pid_t ended;

	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	if (ended > 0)
		return status_text(status);
	snprintf(text, sizeof text, "gone: %s", name_of(-1));
	return text;
}

void say_shown(const char *label, int r, pid_t pid)
{
	const char *ending;

	if (r) {
		say("%s: %s", label, name_of(r));
		return;
	}
	ending = ending_of(pid);
	if (strcmp(ending, "exit 0") != 0)
		say("%s: 0, then %s", label, ending);
	else
		say("%s: 0%s", label, read_file(SHOWN));
	unlink(SHOWN);
}

void show(const char *label, const char *items, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes)
{
	char *const argv[] = {(char *)self, (char *)"--show", (char *)items, NULL};
	pid_t pid = -7;
	int r = posix_spawn(&pid, self, actions, attributes, argv, environ);

	if (r && pid != -7)
		say("%s: changes the pid on failure", label);
	say_shown(label, r, pid);
}

void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ssize_t length = (ssize_t)strlen(text);

	must(fd >= 0 && write(fd, text, (size_t)length) == length && fchmod(fd, mode) == 0);
	close(fd);
}

const char *read_file(const char *path)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	return text;
}

void show_in_this_folder(void)
{
	char folder[PATH_MAX], file[PATH_MAX + 16];

	must(getcwd(folder, sizeof folder));
	snprintf(file, sizeof file, "%s/" SHOWN, folder);
	must(setenv("SHOWN", file, 1) == 0);
}

size_t open_fds(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* ---- running cases ---- */

static void run_case(const char *group, const struct spawn_case *one)
{
	char name[256];
	int status;
	pid_t pid;

	snprintf(name, sizeof name, "%s/%s", group, one->name);
	current = name;
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		must(mkdir(one->name, 0777) == 0 && chdir(one->name) == 0);
		one->run();
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid);
	if (status)
		say("CASE FAILED: %s", status_text(status));
}

static bool can(const char *group)
{
	if (strcmp(group, "root") == 0)
		return geteuid() == 0;
	if (strcmp(group, "realtime") == 0)
		return sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1}) == 0;
	return true;
}

int main(int argc, char **argv)
{
	static char path[PATH_MAX];

	if (argc > 2 && strcmp(argv[1], "--show") == 0)
		return show_main(argv);
	must(argc == 3);
	if (strcmp(argv[1], "--can") == 0)
		return !can(argv[2]);
	must(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
	self = path;
	closefrom(3);
	must(chdir(argv[1]) == 0);
	umask(022);
	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
		if (strcmp(argv[2], groups[i].name) == 0) {
			for (const struct spawn_case *one = groups[i].cases; one->name; one++)
				run_case(groups[i].name, one);
			return 0;
		}
	must(!"a group of that name");
	return 1;
}
