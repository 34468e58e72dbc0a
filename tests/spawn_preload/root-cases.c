/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void show_ids(const char *label, short flags)
{
	posix_spawnattr_t attributes;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, flags);
	show(label, "ids", NULL, &attributes);
	posix_spawnattr_destroy(&attributes);
}

/* The saved ids are those that exec makes of the effective ones. */
static void effective_ids(void)
{
	static const gid_t groups[] = {7, 8};

	must(chmod(".", 0777) == 0);
	must(setgroups(2, groups) == 0);
	show_ids("root", 0);
	show_ids("root, reset", POSIX_SPAWN_RESETIDS);
	must(setresgid(50001, 50002, 50003) == 0);
	show_ids("group", 0);
	show_ids("group, reset", POSIX_SPAWN_RESETIDS);
	must(setresuid(0, 50005, 0) == 0);
	show_ids("user", 0);
	show_ids("user, reset", POSIX_SPAWN_RESETIDS);
	must(setresuid(-1, 0, -1) == 0 && setresuid(50004, 0, 0) == 0);
	show_ids("set-user-ID root", 0);
	unlink(SHOWN);
	show_ids("set-user-ID root, reset", POSIX_SPAWN_RESETIDS);
	must(setresuid(50004, 50005, 50006) == 0);
	show_ids("no root", 0);
	show_ids("no root, reset", POSIX_SPAWN_RESETIDS);
	say("here: %d %d", geteuid(), getegid());
}

static void become_nobody_without_processes(void)
{
	struct rlimit limit = {0, 0};

	must(setgroups(0, NULL) == 0 && setresgid(50007, 50007, 50007) == 0);
	must(setrlimit(RLIMIT_NPROC, &limit) == 0 && setresuid(50007, 50007, 50007) == 0);
}

/* S106 */
static void no_process_can_be_made(void)
{
	char *const argv[] = {(char *)"true", NULL};
	pid_t pid = -7;
	FILE *stream;
	int status;

	become_nobody_without_processes();
	say("posix_spawn: %s, pid %d", name_of(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ)), pid);
	status = system("true");
	say("system: %s, %s", status_text(status), name_of(-1));
	say("system of NULL: %d", system(NULL));
	stream = popen("true", "r");
	say("popen: %d %s", stream != NULL, name_of(-1));
	say("descriptors: %zu", open_fds());
}

/* For the programs that live in there the preloaded library must be in place already. */
static void no_shell_is_there(void)
{
	char *const argv[] = {(char *)"sh", NULL};
	pid_t pid;
	FILE *stream;
	int status;

	must(mkdir("empty", 0755) == 0 && chroot("empty") == 0 && chdir("/") == 0);
	status = system("true");
	say("system: %s, %s", status_text(status), name_of(-1));
	say("system of NULL: %d", system(NULL));
	stream = popen("true", "r");
	say("popen: %d %s", stream != NULL, name_of(-1));
	say("posix_spawnp: %s", name_of(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ)));
	say("children left: %s, descriptors: %zu", ending_of(-1), open_fds());
}

static void files_of_others(void)
{
	posix_spawn_file_actions_t actions;

	must(chmod(".", 0777) == 0);
	write_file("secret", "", 0600);
	must(mkdir("closed", 0700) == 0);
	must(setresgid(50001, 50001, 50001) == 0 && setresuid(50001, 50001, 50001) == 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 3, "secret", 0, 0);
	show("open", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, "closed");
	show("chdir", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
}

const struct spawn_case root_cases[] = {{"effective_ids", effective_ids},
	{"no_process_can_be_made", no_process_can_be_made}, {"no_shell_is_there", no_shell_is_there},
	{"files_of_others", files_of_others}, {NULL, NULL}};
