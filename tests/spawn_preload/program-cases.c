/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef int spawn_function(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);

static void run_with(spawn_function *function, const char *label, const char *file,
	const posix_spawn_file_actions_t *actions)
{
	char *const argv[] = {(char *)"zero", (char *)"--show", (char *)"args", (char *)"last", NULL};
	pid_t pid = -7;
	int r = function(&pid, file, actions, NULL, argv, environ);

	if (r && pid != -7)
		say("%s: changes the pid on failure", label);
	say_shown(label, r, pid);
}

static void both(const char *label, const char *file)
{
	char named[512];

	snprintf(named, sizeof named, "posix_spawn %s", label);
	run_with(posix_spawn, named, file, NULL);
	snprintf(named, sizeof named, "posix_spawnp %s", label);
	run_with(posix_spawnp, named, file, NULL);
}

static void search(const char *path, const char *file)
{
	char label[512];

	if (path)
		setenv("PATH", path, 1);
	else
		unsetenv("PATH");
	snprintf(label, sizeof label, "'%s' in %s", file, path ? path : "no PATH");
	run_with(posix_spawnp, label, file, NULL);
}

static void make_tree(void)
{
	must(mkdir("good", 0777) == 0 && mkdir("bad", 0777) == 0 && mkdir("empty", 0777) == 0);
	must(mkdir("script", 0777) == 0 && mkdir("folder", 0777) == 0 && mkdir("folder/prog", 0777) == 0);
	must(symlink(self, "good/prog") == 0);
	write_file("bad/prog", "#!/bin/sh\n", 0644);
	write_file("script/prog", "exit 44\n", 0755);
	write_file("file", "", 0644);
	must(symlink("loop", "loop") == 0);
}

/* S24, S25, S26 */
static void what_cannot_be_executed(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *long_name = malloc(PATH_MAX + 1);

	make_tree();
	must(mkfifo("fifo", 0777) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
	write_file("text", "exit 45\n", 0755);
	write_file("no-interpreter", "#!/no/such/interpreter\n", 0755);
	write_file("empty-file", "", 0755);
	write_file("garbage", "\177ELF nothing", 0755);
	both("missing", "./missing");
	both("missing folder", "./missing/prog");
	both("below a file", "./file/prog");
	both("folder", "./folder");
	both("without x", "./bad/prog");
	both("fifo", "./fifo");
	both("socket", "./socket");
	both("loop", "./loop");
	both("text", "./text");
	both("no interpreter", "./no-interpreter");
	both("empty file", "./empty-file");
	both("garbage", "./garbage");
	both("nothing", "");
	both("slash", "/");
	both("dot", ".");
	memset(long_name, 'a', PATH_MAX);
	long_name[PATH_MAX] = 0;
	both("4096 letters", long_name);
	long_name[255] = 0;
	both("255 letters", long_name);
	long_name[255] = 'a';
	long_name[256] = 0;
	both("256 letters", long_name);
	setenv("PATH", "/no/such/folder", 1);
	both("256 letters and nowhere to look", long_name);
	say("children left: %s", ending_of(-1));
}

static void a_file_that_is_written(void)
{
	char copy[PATH_MAX + 64];
	int fd;

	snprintf(copy, sizeof copy, "cp '%s' busy", self);
	must(system(copy) == 0);
	fd = open("busy", O_WRONLY | O_CLOEXEC);
	must(fd >= 0);
	both("busy", "./busy");
	close(fd);
	both("no longer busy", "./busy");
}

static void names_without_a_slash(void)
{
	make_tree();
	must(symlink(self, "here") == 0);
	write_file("script-here", "#!/bin/sh\necho \" $0 $1\" >" SHOWN "\n", 0755);
	setenv("PATH", "/no/such", 1);
	both("here", "here");
	both("folder", "folder");
	both("missing", "missing");
	both("script", "script-here");
	setenv("PATH", ":/no/such", 1);
	both("here, with an empty element", "here");
	both("script, with an empty element", "script-here");
	both("with a slash", "./here");
	both("script with a slash", "./script-here");
}

/* S27 - S30 */
static void searching(void)
{
	char path[PATH_MAX + 8], here[PATH_MAX];

	make_tree();
	must(symlink(self, "here") == 0);
	search("good", "prog");
	search("./good", "prog");
	search("good/", "prog");
	search("good//", "prog");
	search("empty:good", "prog");
	search("missing:good", "prog");
	search("file:good", "prog");
	search("bad:good", "prog");
	search("folder:good", "prog");
	search("script:good", "prog");
	search("good:script", "prog");
	search("loop:good", "prog");
	search("good:loop", "prog");
	search("bad", "prog");
	search("bad:empty", "prog");
	search("empty:bad", "prog");
	search("bad:missing:file", "prog");
	search("file:empty", "prog");
	search("empty:file", "prog");
	search("file", "prog");
	search("empty:loop", "prog");
	search("loop:empty", "prog");
	search("folder", "prog");
	search("", "here");
	search(":", "here");
	search("empty:", "here");
	search(":empty", "here");
	search("empty::bad", "here");
	search("", "prog");
	search("empty", "here");
	search(NULL, "no-such-program-anywhere");
	search("/no/such", "sh");
	must(getcwd(here, sizeof here));
	snprintf(path, sizeof path, "%s/good", here);
	setenv("PATH", path, 1);
	run_with(posix_spawnp, "absolute", "prog", NULL);
	run_with(posix_spawnp, "absolute, not there", "here", NULL);
}

static void a_program_of_the_default_path(void)
{
	char *const argv[] = {(char *)"true", NULL};
	pid_t pid;
	int r;

	unsetenv("PATH");
	r = posix_spawnp(&pid, "true", NULL, NULL, argv, environ);
	say("no PATH: %s, %s", name_of(r), r ? "" : ending_of(pid));
	must(clearenv() == 0);
	r = posix_spawnp(&pid, "true", NULL, NULL, argv, environ);
	say("no environment: %s, %s", name_of(r), r ? "" : ending_of(pid));
}

static void elements_that_are_too_long(void)
{
	char *path = malloc(4 * PATH_MAX);

	make_tree();
	memset(path, 'a', 4 * PATH_MAX);
	strcpy(path + 300, ":good");
	setenv("PATH", path, 1);
	run_with(posix_spawnp, "name of 300 first", "prog", NULL);
	memset(path, 'a', 4 * PATH_MAX);
	for (int i = 99; i < 5000; i += 100)
		path[i] = '/';
	strcpy(path + 5000, ":good");
	setenv("PATH", path, 1);
	run_with(posix_spawnp, "element of 5000 first", "prog", NULL);
	free(path);
}

/* The caller's PATH counts, wherever the child is by then, and not the child's. */
static void whose_path(void)
{
	char *const argv[] = {(char *)"p", NULL}, *const good[] = {(char *)"PATH=good", NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int r;

	make_tree();
	setenv("PATH", "empty", 1);
	show_in_this_folder();
	r = posix_spawnp(&pid, "prog", NULL, NULL, argv, good);
	say("the child's is good: %s", name_of(r));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, "good");
	setenv("PATH", "good", 1);
	run_with(posix_spawnp, "relative, from another folder", "prog", &actions);
	setenv("PATH", "../good", 1);
	run_with(posix_spawnp, "relative, from there", "prog", &actions);
	setenv("PATH", ":", 1);
	run_with(posix_spawnp, "empty, from there", "prog", &actions);
	run_with(posix_spawn, "path from there", "./prog", &actions);
	run_with(posix_spawn, "path from here", "good/prog", &actions);
	run_with(posix_spawn, "no slash from there", "prog", &actions);
	posix_spawn_file_actions_destroy(&actions);
}

/* ---- arguments and environment ---- */

static void run_as(spawn_function *function, const char *label, const char *file, char *const argv[],
	char *const envp[])
{
	pid_t pid = -1;
	int r = function(&pid, file, NULL, NULL, argv, envp);

	say_shown(label, r, pid);
}

static void arguments(void)
{
	char *const none[] = {NULL}, *const empty[] = {(char *)"", NULL};
	char *const args[] = {(char *)"not-the-name", (char *)"--show", (char *)"args", (char *)"",
		(char *)"\xff\x80", (char *)"-c", (char *)"a b", NULL};
	char *const names[] = {(char *)"sh", (char *)"-c", (char *)"tr '\\000' '|' </proc/$$/cmdline >" SHOWN, NULL};
	pid_t pid;

	run_as(posix_spawn, "args", self, args, environ);
	run_as(posix_spawn, "cmdline", "/bin/sh", names, environ);
	say("none: %s", name_of(posix_spawn(&pid, "/bin/true", NULL, NULL, none, environ)));
	say("%s", ending_of(pid));
	say("an empty one: %s", name_of(posix_spawn(&pid, "/bin/true", NULL, NULL, empty, environ)));
	say("%s", ending_of(pid));
}

static void environments(void)
{
	char *const args[] = {(char *)self, (char *)"--show", (char *)"env", NULL};
	char *const odd[] = {(char *)"A=1", (char *)"B", (char *)"A=2", (char *)"=C", (char *)"", (char *)"D=",
		(char *)"E=x=y", NULL};
	char *const none[] = {NULL};

	run_as(posix_spawn, "odd", self, args, odd);
	run_as(posix_spawn, "none", self, args, none);
	run_as(posix_spawn, "NULL", self, args, NULL);
	run_as(posix_spawnp, "odd, searched", self, args, odd);
}

/* S38: MAX_ARG_STRLEN is 128 KiB */
static void too_much(void)
{
	char *big = malloc(200000), *args[] = {(char *)"true", big, NULL};
	char *many[400], *entry = malloc(100000);
	pid_t pid = -7;

	memset(big, 'a', 200000);
	big[131071] = 0;
	say("128 KiB - 1: %s", name_of(posix_spawn(&pid, "/bin/true", NULL, NULL, args, environ)));
	say("%s", ending_of(pid));
	big[131071] = 'a';
	big[131072] = 0;
	pid = -7;
	say("128 KiB: %s, pid %d", name_of(posix_spawn(&pid, "/bin/true", NULL, NULL, args, environ)), pid);
	memset(entry, 'b', 100000);
	entry[1] = '=';
	entry[99999] = 0;
	for (int i = 0; i < 399; i++)
		many[i] = entry;
	many[399] = NULL;
	args[1] = NULL;
	say("40 MB of environment: %s", name_of(posix_spawn(&pid, "/bin/true", NULL, NULL, args, many)));
	say("children left: %s", ending_of(-1));
}

const struct spawn_case program_cases[] = {{"what_cannot_be_executed", what_cannot_be_executed},
	{"a_file_that_is_written", a_file_that_is_written},
	{"names_without_a_slash", names_without_a_slash}, {"searching", searching},
	{"a_program_of_the_default_path", a_program_of_the_default_path},
	{"elements_that_are_too_long", elements_that_are_too_long}, {"whose_path", whose_path},
	{"arguments", arguments}, {"environments", environments}, {"too_much", too_much},
	{NULL, NULL}};
