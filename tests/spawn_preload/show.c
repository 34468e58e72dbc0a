/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The child: `spawn-cases --show ITEMS ARGUMENT...` writes what it was given
 * to the file that the environment or the name SHOWN tells. Looks first, opens
 * its file last.
 */

static char text[8192];

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, sizeof text - used, format, args);
	va_end(args);
}

static void show_fds(void)
{
	static const char *const access_modes[] = {"r", "w", "rw", "?"};

	add(" fds=");
	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFL);
		char link[64], path[4096];
		const char *name = path;
		ssize_t length;

		if (flags < 0)
			continue;
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		length = readlink(link, path, sizeof path - 1);
		path[length > 0 ? length : 0] = 0;
		if (path[0] == '/')
			name = strrchr(path, '/') + 1;
		else
			path[strcspn(path, ":")] = 0;
		add("%d:%s/%s%s%s,", fd, name, access_modes[flags & O_ACCMODE],
			flags & O_APPEND ? "a" : "", flags & O_NONBLOCK ? "n" : "");
	}
}

static void show_mask(void)
{
	sigset_t mask;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	add(" mask=");
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (sigismember(&mask, signal) == 1)
			add("%d,", signal);
}

static void show_dispositions(void)
{
	add(" ignored=");
	for (int signal = 1; signal <= SIGRTMAX; signal++) {
		struct sigaction action;

		if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			add("%d,", signal);
	}
}

static void show_session(void)
{
	pid_t pid = getpid(), parent = getppid();

	add(" group=%s session=%s", getpgrp() == pid                  ? "own"
				    : getpgrp() == getpgid(parent) ? "parent's"
								   : "another",
		getsid(0) == pid ? "own" : getsid(0) == getsid(parent) ? "parent's" : "another");
}

static void show_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);

	add(" terminal=%s", fd < 0 ? "none" : tcgetpgrp(fd) == getpgrp() ? "foreground" : "background");
	if (fd >= 0)
		close(fd);
}

static void show_ids(void)
{
	uid_t uids[3];
	gid_t gids[3], groups[64];
	int count = getgroups(64, groups);

	must(getresuid(&uids[0], &uids[1], &uids[2]) == 0);
	must(getresgid(&gids[0], &gids[1], &gids[2]) == 0);
	add(" uids=%u,%u,%u gids=%u,%u,%u groups=", uids[0], uids[1], uids[2], gids[0], gids[1], gids[2]);
	for (int i = 0; i < count; i++)
		add("%u,", groups[i]);
}

static void show_scheduler(void)
{
	struct sched_param param;

	must(sched_getparam(0, &param) == 0);
	add(" policy=%d priority=%d", sched_getscheduler(0), param.sched_priority);
}

static void show_folder(void)
{
	char *folder = getcwd(NULL, 0);

	add(" cwd=%s", folder ? strrchr(folder, '/') + 1 : name_of(errno));
	free(folder);
}

static void show_umask(void)
{
	add(" umask=%03o", umask(0));
}

static const struct {
	const char *name;
	void (*show)(void);
} items[] = {{"fds", show_fds}, {"mask", show_mask}, {"ignored", show_dispositions},
	{"session", show_session}, {"terminal", show_terminal}, {"ids", show_ids},
	{"scheduler", show_scheduler}, {"cwd", show_folder}, {"umask", show_umask}};

static void show_item(const char *name, char **argv)
{
	for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
		if (strcmp(name, items[i].name) == 0)
			items[i].show();
	if (strcmp(name, "args") == 0) {
		add(" args=");
		for (char **arg = argv; *arg; arg++)
			add("[%.80s]", *arg);
	}
	if (strcmp(name, "env") == 0) {
		add(" env=");
		for (char **entry = environ; *entry; entry++)
			add("[%.80s]", *entry);
	}
}

int show_main(char **argv)
{
	char *rest = argv[2], *name;
	const char *path = getenv("SHOWN");
	FILE *file;

	while ((name = strsep(&rest, ",")))
		show_item(name, argv);
	file = fopen(path ? path : SHOWN, "w");
	if (!file)
		return 120;
	fprintf(file, "%s", text);
	return fclose(file) == 0 ? 0 : 121;
}
