/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- a list in one line: "close 3, dup2 4 1, open 5 name flags, chdir name, fchdir 3, closefrom 3, tty 0" ---- */

static int add(posix_spawn_file_actions_t *actions, const char *word)
{
	char path[PATH_MAX] = "";
	int a, b;

	if (sscanf(word, "close %d", &a) == 1)
		return posix_spawn_file_actions_addclose(actions, a);
	if (sscanf(word, "dup2 %d %d", &a, &b) == 2)
		return posix_spawn_file_actions_adddup2(actions, a, b);
	if (sscanf(word, "open %d %s %i", &a, path, &b) == 3)
		return posix_spawn_file_actions_addopen(actions, a, path, b, 0666);
	if (sscanf(word, "chdir %s", path) == 1)
		return posix_spawn_file_actions_addchdir_np(actions, path);
	if (sscanf(word, "fchdir %d", &a) == 1)
		return posix_spawn_file_actions_addfchdir_np(actions, a);
	if (sscanf(word, "closefrom %d", &a) == 1)
		return posix_spawn_file_actions_addclosefrom_np(actions, a);
	if (sscanf(word, "tty %d", &a) == 1)
		return posix_spawn_file_actions_addtcsetpgrp_np(actions, a);
	must(!"a known action");
	return -1;
}

/* Octal numbers of flags in the lists. */
#define R "00"
#define W "01"
#define RW "02"
#define CREATE "0101"     /* O_WRONLY | O_CREAT */
#define EXCLUSIVE "0301"  /* O_WRONLY | O_CREAT | O_EXCL */
#define APPEND "02101"    /* O_WRONLY | O_CREAT | O_APPEND */
#define TRUNCATE "01001"  /* O_WRONLY | O_TRUNC */
#define CLOEXEC "02000000"

static void add_list(posix_spawn_file_actions_t *actions, const char *list)
{
	char copy[512], *rest = copy, *word;

	must(strlen(list) < sizeof copy);
	strcpy(copy, list);
	while ((word = strsep(&rest, ",")))
		if (*word)
			must(add(actions, word + strspn(word, " ")) == 0);
}

static void show_list(const char *list, const char *items)
{
	posix_spawn_file_actions_t actions;

	must(posix_spawn_file_actions_init(&actions) == 0);
	add_list(&actions, list);
	show(list, items, &actions, NULL);
	must(posix_spawn_file_actions_destroy(&actions) == 0);
}

static int open_at(int number, const char *path, int flags)
{
	int fd = open(path, flags | O_CREAT, 0666);

	must(fd >= 0);
	if (fd != number) {
		must(dup3(fd, number, flags & O_CLOEXEC) == number);
		close(fd);
	}
	return number;
}

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
			say("%s: %s, errno %s", word, name_of(add(&actions, word)), strerrorname_np(errno));
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
	say("limit 0: close 0: %s, dup2 0 0: %s, chdir: %s", name_of(add(&actions, "close 0")),
		name_of(add(&actions, "dup2 0 0")), name_of(add(&actions, "chdir /")));
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
		must(add(&actions, word) == 0);
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

/* ---- open, close, dup2 ---- */

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
	{"paths_are_copied", paths_are_copied}, {"opening", opening},
	{"opening_with_an_empty_or_long_path", opening_with_an_empty_or_long_path},
	{"created_files_have_mode_and_umask", created_files_have_mode_and_umask},
	{"opening_onto_an_open_number", opening_onto_an_open_number},
	{"opening_with_close_on_exec", opening_with_close_on_exec}, {"closing", closing},
	{"duplicating", duplicating}, {"duplicating_beyond_the_limit", duplicating_beyond_the_limit},
	{"with_no_number_free", with_no_number_free},
	{"inherited_numbers", inherited_numbers}, {"close_on_exec_streams", close_on_exec_streams},
	{"no_streams_at_all", no_streams_at_all}, {"closing_from", closing_from},
	{"folders", folders}, {"terminals", terminals}, {"a_foreground_job", a_foreground_job},
	{"order", order},
	{"closing_from_without_close_range", closing_from_without_close_range}, {NULL, NULL}};
