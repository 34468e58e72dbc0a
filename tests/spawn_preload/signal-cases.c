/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void handler(int signal)
{
	(void)signal;
}

static sigset_t set_of(const int *signals)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	return set;
}
#define SET(...) set_of((const int[]){__VA_ARGS__, 0})

static void show_with(const char *label, short flags, const sigset_t *defaults, const sigset_t *mask)
{
	posix_spawnattr_t attributes;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, flags);
	if (defaults)
		posix_spawnattr_setsigdefault(&attributes, defaults);
	if (mask)
		posix_spawnattr_setsigmask(&attributes, mask);
	show(label, "mask,ignored", NULL, &attributes);
	posix_spawnattr_destroy(&attributes);
}

/* S46: what is ignored stays, what is handled gets its default, real-time signals too. */
static void dispositions(void)
{
	sigset_t some = SET(SIGUSR1, SIGRTMIN + 1), all, none;

	sigfillset(&all);
	sigemptyset(&none);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGTERM, handler);
	signal(SIGCHLD, handler);
	signal(SIGRTMIN + 1, SIG_IGN);
	signal(SIGRTMIN + 2, SIG_IGN);
	signal(SIGRTMIN + 3, handler);
	signal(SIGRTMAX, SIG_IGN);
	show_with("no flag", 0, &all, NULL);
	show_with("two", POSIX_SPAWN_SETSIGDEF, &some, NULL);
	show_with("none", POSIX_SPAWN_SETSIGDEF, &none, NULL);
	show_with("all", POSIX_SPAWN_SETSIGDEF, &all, NULL);
	show("NULL", "mask,ignored", NULL, NULL);
	say("still ignored here: %d, handled: %d", signal(SIGUSR1, SIG_DFL) == SIG_IGN,
		signal(SIGTERM, SIG_DFL) == handler);
}

static void every_signal_by_itself(void)
{
	for (int i = 1; i <= SIGRTMAX; i++)
		if (i != SIGCHLD)
			signal(i, SIG_IGN);
	show("all ignored", "mask,ignored", NULL, NULL);
	for (int i = 1; i <= SIGRTMAX; i++) {
		char label[32];
		sigset_t one = SET(i);

		if (i != 1 && i != SIGKILL && i != SIGSTOP && i != 32 && i != 33 && i != 34 && i != 64)
			continue;
		snprintf(label, sizeof label, "all but %d", i);
		show_with(label, POSIX_SPAWN_SETSIGDEF, &one, NULL);
	}
}

static void masks(void)
{
	sigset_t two = SET(SIGHUP, SIGTERM), rt = SET(SIGRTMIN, SIGRTMAX), all, none, fatal = SET(SIGKILL, SIGSTOP);

	sigfillset(&all);
	sigemptyset(&none);
	show_with("none before, no flag", 0, NULL, &two);
	show_with("two", POSIX_SPAWN_SETSIGMASK, NULL, &two);
	show_with("rt", POSIX_SPAWN_SETSIGMASK, NULL, &rt);
	show_with("all", POSIX_SPAWN_SETSIGMASK, NULL, &all);
	show_with("KILL and STOP", POSIX_SPAWN_SETSIGMASK, NULL, &fatal);
	sigprocmask(SIG_SETMASK, &two, NULL);
	show("kept, NULL", "mask", NULL, NULL);
	show_with("kept", 0, NULL, &none);
	show_with("emptied", POSIX_SPAWN_SETSIGMASK, NULL, &none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	show_with("kept all", 0, NULL, &none);
	sigprocmask(SIG_BLOCK, NULL, &two);
	say("all blocked here after that: %d", sigismember(&two, SIGUSR1) && sigismember(&two, SIGRTMAX));
}

static void *show_from_thread(void *arg)
{
	sigset_t mask = SET(SIGUSR2, SIGRTMIN + 4);

	(void)arg;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	show("thread", "mask,ignored,fds", NULL, NULL);
	return NULL;
}

static void the_mask_is_the_thread_s(void)
{
	sigset_t mask = SET(SIGHUP);
	pthread_t thread;

	sigprocmask(SIG_SETMASK, &mask, NULL);
	must(pthread_create(&thread, NULL, show_from_thread, NULL) == 0);
	pthread_join(thread, NULL);
	show("main", "mask,ignored", NULL, NULL);
}

/* A pending signal stays pending here and is not the child's. */
static void pending_signals(void)
{
	sigset_t mask = SET(SIGUSR1), pending;

	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGUSR1);
	show("pending", "mask", NULL, NULL);
	sigpending(&pending);
	say("still pending: %d", sigismember(&pending, SIGUSR1));
	show_with("unblocked in the child", POSIX_SPAWN_SETSIGMASK, NULL, &(sigset_t){0});
}

static volatile sig_atomic_t ended;

static void count_end(int signal)
{
	(void)signal;
	ended++;
}

static void child_signals(void)
{
	sigset_t mask = SET(SIGCHLD), before;
	char *const argv[] = {(char *)"true", NULL};
	pid_t pid;

	signal(SIGCHLD, count_end);
	sigprocmask(SIG_BLOCK, &mask, &before);
	must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
	while (ended == 0)
		sigsuspend(&before);
	say("SIGCHLD: %d, %s", (int)ended, ending_of(pid));
	signal(SIGCHLD, SIG_IGN);
	must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
	say("SIGCHLD ignored: %s", ending_of(pid));
	say("failure with SIGCHLD ignored: %s",
		name_of(posix_spawn(&pid, "/bin/no-such", NULL, NULL, argv, environ)));
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, NULL);
	must(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
	say("SA_NOCLDWAIT: %s", ending_of(pid));
}

static void uncaught(int signal)
{
	say("handler of %d ran", signal);
}

/* The child of a failing spawn is nobody's business: no SIGCHLD is the caller's to be woken by twice. */
static void handlers_do_not_run_in_the_child(void)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"kill -USR1 $$; exit 7", NULL};
	pid_t pid;

	signal(SIGUSR1, uncaught);
	must(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
	say("%s", ending_of(pid));
}

const struct spawn_case signal_cases[] = {{"dispositions", dispositions},
	{"every_signal_by_itself", every_signal_by_itself}, {"masks", masks},
	{"the_mask_is_the_thread_s", the_mask_is_the_thread_s}, {"pending_signals", pending_signals},
	{"child_signals", child_signals},
	{"handlers_do_not_run_in_the_child", handlers_do_not_run_in_the_child}, {NULL, NULL}};
