/* SPDX-License-Identifier: MIT */
/* open, close and dup2 as file actions, and what a child inherits without any. */
#include "action-list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void opening(void)
{
	write_file("file", "text", 0666);
	must(mkdir("folder", 0777) == 0);
	must(symlink("loop", "loop") == 0);
	show_list("open 3 file " R, "fds");
	show_list("open 3 file " W, "fds");
	show_list("open 3 file " RW, "fds");
	show_list("open 9 file " R, "fds");
	show_list("open 3 new " CREATE, "fds");
	show_list("open 3 new " EXCLUSIVE, "fds");
	show_list("open 3 newer " EXCLUSIVE, "fds");
	show_list("open 3 file " APPEND, "fds");
	show_list("open 0 file " R, "fds");
	show_list("open 1 file " W, "fds");
	show_list("open 2 file " W ", open 1 file " W ", open 0 file " R, "fds");
	show_list("open 3 missing " R, "fds");
	show_list("open 3 missing/file " R, "fds");
	show_list("open 3 file/file " R, "fds");
	show_list("open 3 folder " R, "fds");
	show_list("open 3 folder " W, "fds");
	show_list("open 3 loop " R, "fds");
	show_list("open 3 file " R ", open 3 missing " R, "fds");
	show_list("open 3 missing " R ", open 3 file " R, "fds");
	say("file before: %s", read_file("file"));
	show_list("open 3 file " TRUNCATE, "fds");
	say("file after: %s", read_file("file"));
	say("open fds here: %zu", open_fds());
}

static void opening_with_an_empty_or_long_path(void)
{
	posix_spawn_file_actions_t actions;
	char *path = malloc(PATH_MAX + 10);

	memset(path, 'a', PATH_MAX + 9);
	path[PATH_MAX + 9] = 0;
	posix_spawn_file_actions_init(&actions);
	say("add: %s", name_of(posix_spawn_file_actions_addopen(&actions, 3, path, O_RDONLY, 0)));
	show("long", "fds", &actions, NULL);
	posix_spawn_file_actions_init(&actions);
	say("add: %s", name_of(posix_spawn_file_actions_addopen(&actions, 3, "", O_RDONLY, 0)));
	show("empty", "fds", &actions, NULL);
	posix_spawn_file_actions_init(&actions);
	say("add: %s", name_of(posix_spawn_file_actions_addchdir_np(&actions, path)));
	show("long folder", "fds", &actions, NULL);
	posix_spawn_file_actions_init(&actions);
	say("add: %s", name_of(posix_spawn_file_actions_addchdir_np(&actions, "")));
	show("empty folder", "fds", &actions, NULL);
}

static void created_files_have_mode_and_umask(void)
{
	static const mode_t modes[] = {0666, 0777, 0600, 0, 04711};
	posix_spawn_file_actions_t actions;
	struct stat status;

	umask(027);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		unlink("made");
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addopen(&actions, 5, "made", O_WRONLY | O_CREAT, modes[i]);
		show("made", "fds,umask", &actions, NULL);
		posix_spawn_file_actions_destroy(&actions);
		say("%o: %o", modes[i], stat("made", &status) == 0 ? status.st_mode & 07777 : 0);
	}
}

/* An open target is closed first: its number is free for the file itself. */
static void opening_onto_an_open_number(void)
{
	open_at(3, "three", O_RDONLY);
	open_at(4, "four", O_RDONLY);
	open_at(5, "five", O_RDONLY | O_CLOEXEC);
	show_list("open 4 /dev/null " R, "fds");
	show_list("open 5 /dev/null " R, "fds");
	show_list("open 9 /dev/null " R, "fds");
	show_list("open 4 missing " R, "fds");
}

/* Where the file lands on its number by itself it keeps the flag; where it is moved there it loses it. */
static void opening_with_close_on_exec(void)
{
	show_list("open 3 /dev/null " CLOEXEC, "fds");
	show_list("open 4 /dev/null " CLOEXEC, "fds");
	show_list("open 3 /dev/null " CLOEXEC ", dup2 3 3", "fds");
	show_list("open 3 /dev/null " CLOEXEC ", dup2 3 5", "fds");
	show_list("open 0 /dev/zero " CLOEXEC, "fds");
	show_list("open 2 /dev/zero " CLOEXEC, "fds");
	show_list("close 0, open 3 /dev/zero " CLOEXEC, "fds");
	show_list("close 0, open 0 /dev/zero " CLOEXEC, "fds");
}

static void limit_numbers_to(rlim_t count)
{
	struct rlimit limit = {count, 300};

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void closing(void)
{
	posix_spawn_file_actions_t actions;

	open_at(3, "three", O_RDONLY);
	open_at(150, "far", O_RDONLY);
	show_list("close 3", "fds");
	show_list("close 4", "fds");
	show_list("close 3, close 3", "fds");
	show_list("close 0, close 1, close 2", "fds");
	show_list("close 250", "fds");
	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "close 250, close 150");
	show("below the limit", "fds", &actions, NULL);
	limit_numbers_to(251);
	show("just below", "fds", &actions, NULL);
	limit_numbers_to(250);
	show("beyond a lowered limit", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "close 150");
	limit_numbers_to(100);
	show("open beyond the limit", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
}

static void duplicating(void)
{
	open_at(3, "three", O_RDONLY);
	open_at(4, "four", O_RDONLY);
	open_at(5, "five", O_RDONLY | O_CLOEXEC);
	show_list("dup2 3 7", "fds");
	show_list("dup2 3 4", "fds");
	show_list("dup2 3 0, dup2 4 1, dup2 3 2", "fds");
	show_list("dup2 3 6, dup2 4 3, dup2 6 4, close 6", "fds");
	show_list("dup2 5 6", "fds");
	show_list("dup2 5 5", "fds");
	show_list("dup2 3 3", "fds");
	show_list("dup2 3 5", "fds");
	show_list("dup2 8 8", "fds");
	show_list("dup2 8 3", "fds");
	show_list("close 3, dup2 3 4", "fds");
	show_list("dup2 3 8, close 3, dup2 8 3, close 8", "fds");
	say("flag here: %d", fcntl(5, F_GETFD));
}

static void duplicating_beyond_the_limit(void)
{
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "dup2 0 99, dup2 0 100");
	limit_numbers_to(100);
	show("dup2", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	limit_numbers_to(200);
	add_list(&actions, "open 150 /dev/null " R);
	limit_numbers_to(100);
	show("open", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
}

static void show_with_no_number_free(const char *list)
{
	char *const argv[] = {(char *)self, (char *)"--show", (char *)"fds", NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid = -7;
	int r;

	posix_spawn_file_actions_init(&actions);
	add_list(&actions, list);
	r = posix_spawn(&pid, self, &actions, NULL, argv, environ);
	limit_numbers_to(30); /* for the test itself */
	say_shown(list, r, pid);
	limit_numbers_to(20);
	posix_spawn_file_actions_destroy(&actions);
}

/* S106: with every number taken an action may still open a file, because it closes one before. */
static void with_no_number_free(void)
{
	limit_numbers_to(20);
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		;
	say("none is free: %s", name_of(-1));
	show_with_no_number_free("");
	show_with_no_number_free("open 7 /dev/zero " R);
	show_with_no_number_free("open 7 /dev/zero " R ", open 8 /dev/zero " R);
	show_with_no_number_free("dup2 0 9");
	show_with_no_number_free("open 3 missing " R);
}

static void inherited_numbers(void)
{
	open_at(3, "three", O_RDONLY);
	open_at(4, "four", O_RDONLY | O_CLOEXEC);
	open_at(10, "ten", O_RDWR | O_APPEND);
	show_list("", "fds");
	show("NULL", "fds", NULL, NULL);
	close(0);
	show("stdin closed here", "fds", NULL, NULL);
	show_list("dup2 3 0", "fds");
	show_list("dup2 0 5", "fds");
	show_list("dup2 1 0", "fds");
	show_list("dup2 5 0", "fds");
	show_list("dup2 6 1", "fds");
	say("still closed here: %d", fcntl(0, F_GETFD));
}

/* Streams are numbers like any other: close-on-exec means closed. */
static void close_on_exec_streams(void)
{
	fcntl(0, F_SETFD, FD_CLOEXEC);
	show("stdin", "fds", NULL, NULL);
	show_list("dup2 0 0", "fds");
	show_list("dup2 0 3", "fds");
	show_list("open 0 /dev/null " R, "fds");
	show_list("dup2 0 2", "fds");
	show_list("dup2 1 0", "fds");
	show_list("close 0", "fds");
	show_list("closefrom 3", "fds");
	show_list("closefrom 1", "fds");
	fcntl(2, F_SETFD, FD_CLOEXEC);
	show("stdin and stderr", "fds", NULL, NULL);
	show_list("dup2 2 1, dup2 1 2", "fds");
	say("flags here: %d %d %d", fcntl(0, F_GETFD), fcntl(1, F_GETFD), fcntl(2, F_GETFD));
}

static void no_streams_at_all(void)
{
	int saved = fcntl(1, F_DUPFD_CLOEXEC, 10);
	posix_spawn_file_actions_t actions;
	char *const argv[] = {(char *)self, (char *)"--show", (char *)"fds", NULL};
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "open 3 /dev/null " R);
	close(0);
	close(1);
	close(2);
	r = posix_spawn(&pid, self, NULL, NULL, argv, environ);
	dup2(saved, 1);
	say_shown("nothing", r, pid);
	close(1);
	r = posix_spawn(&pid, self, &actions, NULL, argv, environ);
	dup2(saved, 1);
	say_shown("open 3", r, pid);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "dup2 3 0");
	close(1);
	r = posix_spawn(&pid, self, &actions, NULL, argv, environ);
	dup2(saved, 1);
	say_shown("dup2 of a closed 3", r, pid);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "dup2 0 5");
	close(1);
	r = posix_spawn(&pid, self, &actions, NULL, argv, environ);
	dup2(saved, 1);
	say_shown("dup2 of a closed 0", r, pid);
}

const struct spawn_case descriptor_cases[] = {
	{"opening", opening},
	{"opening_with_an_empty_or_long_path", opening_with_an_empty_or_long_path},
	{"created_files_have_mode_and_umask", created_files_have_mode_and_umask},
	{"opening_onto_an_open_number", opening_onto_an_open_number},
	{"opening_with_close_on_exec", opening_with_close_on_exec}, {"closing", closing},
	{"duplicating", duplicating},
	{"duplicating_beyond_the_limit", duplicating_beyond_the_limit},
	{"with_no_number_free", with_no_number_free}, {"inherited_numbers", inherited_numbers},
	{"close_on_exec_streams", close_on_exec_streams},
	{"no_streams_at_all", no_streams_at_all}, {NULL, NULL}};
