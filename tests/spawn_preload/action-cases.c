/* SPDX-License-Identifier: MIT */
#include "action-list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- adding ---- */

/* S12: the range of numbers is checked at once, whether they are open is not. */
static void numbers_are_checked_when_added(void)
{
	static const int numbers[] = {INT_MIN, -1, 0, 3, 99, 100, 101, 1 << 20, INT_MAX};
	static const char *const forms[] = {"close %d", "open %d x 0", "dup2 %d 0", "dup2 0 %d",
		"fchdir %d", "closefrom %d", "tty %d"};
	struct rlimit limit = {100, 100};

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++)
		for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
			posix_spawn_file_actions_t actions;
			char word[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(word, sizeof word, forms[form], numbers[i]);
#pragma GCC diagnostic pop
			posix_spawn_file_actions_init(&actions);
			errno = EXDEV;
			say("%s: %s, errno %s", word, name_of(add_action(&actions, word)), strerrorname_np(errno));
			posix_spawn_file_actions_destroy(&actions);
		}
}

static void without_a_limit(void)
{
	posix_spawn_file_actions_t actions;
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 0;
	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	posix_spawn_file_actions_init(&actions);
	say("limit 0: close 0: %s, dup2 0 0: %s, chdir: %s", name_of(add_action(&actions, "close 0")),
		name_of(add_action(&actions, "dup2 0 0")), name_of(add_action(&actions, "chdir /")));
	posix_spawn_file_actions_destroy(&actions);
}

static void the_object(void)
{
	posix_spawn_file_actions_t actions;

	memset(&actions, 0x5a, sizeof actions);
	say("init %s", name_of(posix_spawn_file_actions_init(&actions)));
	show("empty", "fds", &actions, NULL);
	say("destroy %s", name_of(posix_spawn_file_actions_destroy(&actions)));
	memset(&actions, 0, sizeof actions);
	show("zeros", "fds", &actions, NULL);
	add_list(&actions, "open 7 /dev/null " R);
	show("zeros, then one", "fds", &actions, NULL);
	show("the same again", "fds", &actions, NULL);
	add_list(&actions, "close 7, open 8 /dev/null " R);
	show("and more", "fds", &actions, NULL);
	say("destroy %s", name_of(posix_spawn_file_actions_destroy(&actions)));
	posix_spawn_file_actions_init(&actions);
	for (int i = 0; i < 500; i++) {
		char word[32];

		snprintf(word, sizeof word, i % 2 ? "dup2 %d %d" : "dup2 0 %d", i % 2 ? i - 1 + 10 : i + 10,
			i + 10);
		must(add_action(&actions, word) == 0);
	}
	add_list(&actions, "closefrom 12");
	show("501 actions", "fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
}

/* S15, CVE-2014-4043 */
static void paths_are_copied(void)
{
	posix_spawn_file_actions_t actions;
	char path[] = "/dev/null", folder[] = "/dev";

	posix_spawn_file_actions_init(&actions);
	must(posix_spawn_file_actions_addopen(&actions, 3, path, O_RDONLY, 0) == 0);
	must(posix_spawn_file_actions_addchdir_np(&actions, folder) == 0);
	memset(path, 'x', sizeof path - 1);
	memset(folder, 'x', sizeof folder - 1);
	show_in_this_folder();
	show("changed since", "fds,cwd", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
}

/* ---- closefrom (S8), folders, terminals ---- */

static void closing_from(void)
{
	for (int fd = 3; fd < 50; fd++)
		must(dup2(0, fd) == fd);
	show_list("closefrom 3", "fds");
	show_list("closefrom 6", "fds");
	show_list("closefrom 100", "session");
	show_list("closefrom 0", "fds");
	show_list("closefrom 1", "fds");
	show_list("closefrom 4, open 30 /dev/zero " R, "fds");
	show_list("open 30 /dev/zero " R ", closefrom 4", "fds");
	show_list("dup2 40 3, closefrom 4, dup2 3 9", "fds");
	say("open fds here: %zu", open_fds());
}

static void folders(void)
{
	must(mkdir("folder", 0777) == 0 && mkdir("folder/inner", 0777) == 0);
	write_file("folder/inside", "", 0666);
	write_file("outside", "", 0666);
	open_at(3, "outside", O_RDONLY);
	must(dup2(open("folder", O_RDONLY | O_DIRECTORY), 4) == 4);
	must(dup2(open("folder", O_PATH | O_DIRECTORY | O_CLOEXEC), 5) == 5);
	show_in_this_folder();
	show_list("chdir folder", "cwd");
	show_list("chdir folder, chdir inner", "cwd");
	show_list("chdir folder, chdir ..", "cwd");
	show_list("chdir missing", "cwd");
	show_list("chdir outside", "cwd");
	show_list("fchdir 4", "cwd");
	show_list("fchdir 5", "cwd");
	show_list("fchdir 3", "cwd");
	show_list("fchdir 9", "cwd");
	show_list("close 4, fchdir 4", "cwd");
	show_list("chdir folder, open 9 inside " R, "cwd,fds");
	show_list("open 9 inside " R ", chdir folder", "cwd,fds");
	show_list("chdir folder, open 9 inside " R ", chdir .., open 8 outside " R, "cwd,fds");
	show_list("chdir folder, fchdir 4, chdir inner", "cwd");
	show_list("open 9 folder " R ", fchdir 9, close 9", "cwd,fds");
	say("here: %s", strrchr(getcwd(NULL, 0), '/') + 1);
}

static void terminals(void)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char slave[64], word[128];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	must(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	must(ptsname_r(master, slave, sizeof slave) == 0);
	show_list("tty 0", "session");
	show_list("tty 9", "session");
	show_list("close 0, tty 0", "session");
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	posix_spawn_file_actions_init(&actions);
	snprintf(word, sizeof word, "open 0 %s 02, tty 0, open 0 /dev/null 0", slave);
	add_list(&actions, word);
	show("a new session's", "session,terminal,fds", &actions, &attributes);
	show("not our terminal", "session,terminal,fds", &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	snprintf(word, sizeof word, "open 0 %s 02, open 0 /dev/null 0", slave);
	add_list(&actions, word);
	show("a session without", "session,terminal,fds", &actions, &attributes);
}

/* A shell's job: in its own group, and in the foreground before it runs. */
static void a_foreground_job(void)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char slave[64];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	must(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	must(ptsname_r(master, slave, sizeof slave) == 0);
	must(setsid() > 0);
	must(dup2(open(slave, O_RDWR), 7) == 7);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "tty 7, close 7, closefrom 3");
	show("own group, foreground", "session,terminal,fds", &actions, &attributes);
	show("parent's group", "session,terminal,fds", &actions, NULL);
	must(tcgetpgrp(7) == getpgrp());
	show("own group, background", "session,terminal", NULL, &attributes);
	show_list("tty 7", "session,terminal");
}

/* ---- several: order, and what has happened before a failure ---- */

static void order(void)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;

	show_list("open 3 first " CREATE ", close 9, dup2 8 9, open 4 second " CREATE, "fds");
	say("first: %s, second: %s", name_of(access("first", F_OK)), name_of(access("second", F_OK)));
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setpgroup(&attributes, INT_MAX);
	posix_spawn_file_actions_init(&actions);
	add_list(&actions, "open 3 third " CREATE);
	show("attributes come before", "fds", &actions, &attributes);
	say("third: %s", name_of(access("third", F_OK)));
	show_list("open 3 fourth " CREATE ", chdir /, open 4 fifth " R, "fds");
	say("fourth: %s", name_of(access("fourth", F_OK)));
}

/* As in containers that know no newer calls: glibc goes through /proc/self/fd. */
static void closing_from_without_close_range(void)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	const struct sock_fprog program = {sizeof code / sizeof code[0], (struct sock_filter *)code};

	for (int fd = 3; fd < 200; fd++)
		must(dup2(0, fd) == fd);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	show_list("closefrom 3", "fds");
	show_list("closefrom 6, dup2 0 9", "fds");
	show_list("closefrom 1", "fds");
	say("open fds here: %zu", open_fds());
}

const struct spawn_case action_cases[] = {
	{"numbers_are_checked_when_added", numbers_are_checked_when_added},
	{"without_a_limit", without_a_limit}, {"the_object", the_object},
	{"paths_are_copied", paths_are_copied}, {"closing_from", closing_from},
	{"folders", folders}, {"terminals", terminals}, {"a_foreground_job", a_foreground_job},
	{"order", order}, {"closing_from_without_close_range", closing_from_without_close_range},
	{NULL, NULL}};
