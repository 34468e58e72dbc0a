/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what the caller gets, and what must not change in it ---- */

static pid_t start(const char *script)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	pid_t pid = -7;
	int r = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);

	if (r)
		say("%s: %s", script, name_of(r));
	return pid;
}

static void an_ordinary_child(void)
{
	static const char *const scripts[] = {"exit 0", "exit 3", "exit 255", "exit 256", "kill -9 $$",
		"kill -TERM $$", "kill -SEGV $$", "exec /no/such"};
	siginfo_t info;
	pid_t pid;
	int status;

	for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
		say("%s: %s", scripts[i], ending_of(start(scripts[i])));
	pid = start("exit 4");
	must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	say("waitid: our child %d, code %d, status %d", info.si_pid == pid, info.si_code == CLD_EXITED,
		info.si_status);
	say("of any child: %d", waitpid(-1, &status, 0) == pid && WEXITSTATUS(status) == 4);
	say("again: %s", ending_of(pid));
	pid = start("kill -STOP $$; exit 5");
	must(waitpid(pid, &status, WUNTRACED) == pid);
	say("stopped: %d", WIFSTOPPED(status));
	kill(pid, SIGCONT);
	say("then: %s", ending_of(pid));
	pid = start("exec sleep 1000");
	say("running: %d", waitpid(pid, &status, WNOHANG));
	kill(pid, SIGINT);
	say("killed: %s", ending_of(pid));
}

static void no_pid_is_asked_for(void)
{
	char *const argv[] = {(char *)"true", NULL};

	say("%s", name_of(posix_spawn(NULL, "/bin/true", NULL, NULL, argv, environ)));
	say("%s", ending_of(-1));
	say("%s", name_of(posix_spawnp(NULL, "no-such-program", NULL, NULL, argv, environ)));
	say("%s", ending_of(-1));
}

/* S19, S21 */
static void nothing_is_left_behind(void)
{
	char *const argv[] = {(char *)"x", NULL};
	size_t before = open_fds();
	sigset_t mask, after;
	pid_t pid;

	/* the kernel's mask, and what sigemptyset(3) clears, are shorter than libc's set */
	memset(&mask, 0, sizeof mask);
	memset(&after, 0, sizeof after);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	for (int i = 0; i < 100; i++) {
		pid = -7;
		must(posix_spawn(&pid, "/bin/no-such", NULL, NULL, argv, environ) == ENOENT && pid == -7);
		must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
		must(waitpid(pid, NULL, 0) == pid);
	}
	say("descriptors: %d more", (int)(open_fds() - before));
	say("children: %s", ending_of(-1));
	sigprocmask(SIG_SETMASK, NULL, &after);
	say("mask as before: %d", memcmp(&mask, &after, sizeof mask) == 0);
}

static void many_at_once(void)
{
	pid_t pids[200];
	int good = 0;

	for (size_t i = 0; i < 200; i++)
		pids[i] = start("exit 9");
	for (size_t i = 0; i < 200; i++)
		good += strcmp(ending_of(pids[i]), "exit 9") == 0;
	say("%d", good);
}

static _Atomic int good_children;

static void *spawn_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		char *const good[] = {(char *)"sh", (char *)"-c", (char *)"exit 6", NULL};
		posix_spawn_file_actions_t actions;
		int status;
		pid_t pid;

		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addclose(&actions, 2);
		must(posix_spawnp(&pid, "sh", &actions, NULL, good, environ) == 0);
		must(waitpid(pid, &status, 0) == pid);
		good_children += WEXITSTATUS(status) == 6;
		must(posix_spawn(&pid, "/", &actions, NULL, good, environ) == EACCES);
		posix_spawn_file_actions_destroy(&actions);
	}
	return NULL;
}

/* S52 */
static void from_many_threads(void)
{
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		must(pthread_create(&threads[i], NULL, spawn_some, NULL) == 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	say("%d, then %s", good_children, ending_of(-1));
}

static void *spawn_small(void *arg)
{
	(void)arg;
	show("64 KiB", "fds", NULL, NULL);
	return NULL;
}

/* S55. say() and show() need some of it, too. */
static void from_a_small_stack(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	must(pthread_attr_setstacksize(&attributes, 64 * 1024) == 0);
	must(pthread_create(&thread, &attributes, spawn_small, NULL) == 0);
	pthread_join(thread, NULL);
}

static pid_t outliving;

static void *spawn_and_end(void *arg)
{
	(void)arg;
	outliving = start("read line; exit 8");
	return NULL;
}

static void a_child_outlives_its_thread(void)
{
	int ends[2];
	pthread_t thread;

	must(pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[0], 0) == 0);
	must(pthread_create(&thread, NULL, spawn_and_end, NULL) == 0);
	pthread_join(thread, NULL);
	must(write(ends[1], "\n", 1) == 1);
	say("%s", ending_of(outliving));
}

/* S54: not a point where a thread ends. */
static void *cancelled_before(void *arg)
{
	pid_t *pid = arg;
	char *const argv[] = {(char *)"true", NULL};

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	must(posix_spawn(pid, "/bin/true", NULL, NULL, argv, environ) == 0);
	pthread_testcancel();
	return NULL;
}

static void cancellation_waits(void)
{
	pthread_t thread;
	pid_t pid = -7;
	void *result;

	must(pthread_create(&thread, NULL, cancelled_before, &pid) == 0);
	pthread_join(thread, &result);
	say("cancelled: %d, child: %s", result == PTHREAD_CANCELED, ending_of(pid));
}

static pid_t this_process;
static volatile sig_atomic_t alarms, strays;

static void count_alarm(int signal)
{
	(void)signal;
	alarms++;
	strays += getpid() != this_process;
}

/* S44, S45, S61: handlers run here and never in the child; no call is disturbed. */
static void under_a_storm_of_signals(void)
{
	const struct itimerval storm = {{0, 500}, {0, 500}}, calm = {{0, 0}, {0, 0}};
	int good = 0;

	this_process = getpid();
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = count_alarm}, NULL);
	must(setitimer(ITIMER_REAL, &storm, NULL) == 0);
	for (int i = 0; i < 100; i++) {
		char *const argv[] = {(char *)"x", NULL};
		pid_t pid = start("exit 11");

		good += strcmp(ending_of(pid), "exit 11") == 0;
		good += posix_spawn(&pid, "/bin/no-such", NULL, NULL, argv, environ) == ENOENT;
		good += i % 10 || WEXITSTATUS(system("exit 12")) == 12;
	}
	must(setitimer(ITIMER_REAL, &calm, NULL) == 0);
	say("%d, alarms here: %d, in children: %d, children left: %s", good, alarms > 0, strays, ending_of(-1));
}

/*
 * Libraries that keep glibc's own functions (RTLD_DEEPBIND) may share objects
 * with those that do not: one adds, the other uses and frees. Without the
 * preloaded library both are the same.
 */
#define OF_LIBC(name) ((__typeof__(&(name)))dlsym(libc, #name))

static void objects_are_shared_with_libc(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char *const argv[] = {(char *)self, (char *)"--show", (char *)"fds,session,cwd", NULL};
	pid_t pid;
	int r;

	must(libc);
	OF_LIBC(posix_spawn_file_actions_init)(&actions);
	OF_LIBC(posix_spawn_file_actions_addopen)(&actions, 4, "/dev/zero", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 5, "/dev/full", O_RDONLY, 0);
	OF_LIBC(posix_spawn_file_actions_adddup2)(&actions, 5, 7);
	posix_spawn_file_actions_adddup2(&actions, 7, 8);
	OF_LIBC(posix_spawn_file_actions_addclose)(&actions, 4);
	OF_LIBC(posix_spawn_file_actions_addchdir_np)(&actions, "/dev");
	posix_spawn_file_actions_addchdir_np(&actions, ".");
	OF_LIBC(posix_spawn_file_actions_addopen)(&actions, 9, "null", O_RDONLY, 0);
	OF_LIBC(posix_spawn_file_actions_addfchdir_np)(&actions, 3);
	OF_LIBC(posix_spawn_file_actions_addclosefrom_np)(&actions, 8);
	must(dup2(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 3) == 3);
	posix_spawnattr_init(&attributes);
	OF_LIBC(posix_spawnattr_setflags)(&attributes, POSIX_SPAWN_SETSID);
	show("libc's and ours, by us", "fds,session,cwd", &actions, &attributes);
	r = OF_LIBC(posix_spawn)(&pid, self, &actions, &attributes, argv, environ);
	say_shown("libc's and ours, by libc", r, pid);
	say("destroy %s", name_of(posix_spawn_file_actions_destroy(&actions)));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addtcsetpgrp_np(&actions, 0);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	r = OF_LIBC(posix_spawn)(&pid, self, &actions, &attributes, argv, environ);
	say_shown("terminal, by libc", r, pid);
	say("destroy %s", name_of(OF_LIBC(posix_spawn_file_actions_destroy)(&actions)));
}

const struct spawn_case parent_cases[] = {{"an_ordinary_child", an_ordinary_child},
	{"no_pid_is_asked_for", no_pid_is_asked_for},
	{"nothing_is_left_behind", nothing_is_left_behind}, {"many_at_once", many_at_once},
	{"from_many_threads", from_many_threads}, {"from_a_small_stack", from_a_small_stack},
	{"a_child_outlives_its_thread", a_child_outlives_its_thread},
	{"cancellation_waits", cancellation_waits},
	{"under_a_storm_of_signals", under_a_storm_of_signals},
	{"objects_are_shared_with_libc", objects_are_shared_with_libc}, {NULL, NULL}};
