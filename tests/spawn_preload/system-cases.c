/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

static void handler(int signal)
{
	(void)signal;
}

static void say_own_signals(const char *label)
{
	static const struct {
		int signal;
		const char *name;
	} signals[] = {{SIGINT, "INT"}, {SIGQUIT, "QUIT"}, {SIGCHLD, "CHLD"}, {SIGTERM, "TERM"}};
	char text[256] = "";
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (size_t i = 0; i < 4; i++) {
		struct sigaction action;

		sigaction(signals[i].signal, NULL, &action);
		sprintf(text + strlen(text), " %s %s%s", signals[i].name,
			action.sa_handler == SIG_DFL   ? "default"
			: action.sa_handler == SIG_IGN ? "ignored"
						       : "handled",
			sigismember(&mask, signals[i].signal) ? " blocked," : ",");
	}
	say("%s:%s", label, text);
}

static void results(void)
{
	static const char *const commands[] = {"exit 0", "exit 1", "exit 255", "true", "false", "no-such-command 2>&-",
		"/dev/null 2>&-", "kill -9 $$", "kill -INT $$", "kill -QUIT $$", "kill -TERM $$; exit 3", "", " ", "#", "(",
		"exit 3; exit 4", "test $0 = sh", "test $# = 0", "-c", "-e true", "sleep 0 & exit 2"};

	must(dup2(open("/dev/null", O_WRONLY), 2) == 2);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		int status = system(commands[i]);

		say("'%s': %s", commands[i], status < 0 ? "-1" : status_text(status));
	}
	say("NULL: %d", system(NULL));
	say("children left: %s", ending_of(-1));
	say("descriptors: %zu", open_fds());
}

static void output_and_environment(void)
{
	setenv("SEEN", "yes", 1);
	must(system("echo out $SEEN; pwd | sed 's:.*/::'; umask") == 0);
	unsetenv("PATH");
	say("no PATH: %s", status_text(system("true")));
	must(clearenv() == 0);
	say("no environment: %s", status_text(system("test -z \"$SEEN\"")));
}

/* In place of the shell, which may change its signals. */
static void show_shell(const char *label)
{
	char command[PATH_MAX + 64];
	int status;

	snprintf(command, sizeof command, "exec '%s' --show mask,ignored", self);
	status = system(command);
	say("%s: %s%s", label, status_text(status), read_file(SHOWN));
}

static void signals_of_the_shell(void)
{
	sigset_t mask;
	int status;

	signal(SIGINT, handler);
	signal(SIGTERM, SIG_IGN);
	show_shell("INT handled");
	say_own_signals("after");
	signal(SIGINT, SIG_IGN);
	show_shell("INT ignored");
	signal(SIGQUIT, SIG_IGN);
	show_shell("both ignored");
	say_own_signals("after");
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	show_shell("CHLD and HUP blocked");
	say_own_signals("after");
	signal(SIGCHLD, SIG_IGN);
	status = system("true");
	say("CHLD ignored: %d %s", status, name_of(-1));
	say_own_signals("after");
}

/* The command's parent is this process: it sends the signals and looks at it from outside. */
static void this_process_meanwhile(void)
{
	signal(SIGINT, handler);
	say("%s", status_text(system("kill -INT $PPID; kill -QUIT $PPID; kill -TERM $$")));
	must(system("awk '/SigIgn/ { print \"INT and QUIT ignored here:\", substr($2, 16, 1) }' /proc/$PPID/status") == 0);
	/* the lowest bit of that digit: the others, too, are blocked until posix_spawn has returned */
	must(system("awk '/SigBlk/ { print \"CHLD blocked here:\", index(\"13579bdf\", substr($2, 12, 1)) > 0 }' "
		    "/proc/$PPID/task/$PPID/status") == 0);
	say_own_signals("after");
}

static volatile sig_atomic_t children;

static void count_child(int signal)
{
	(void)signal;
	children++;
}

/* SIGCHLD of the shell comes only after it has been waited for; other children stay the caller's. */
static void other_children(void)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 12", NULL};
	pid_t pid;

	signal(SIGCHLD, count_child);
	must(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
	say("%s", status_text(system("exit 13")));
	say("%s", ending_of(pid));
	say("CHLD came: %d", children > 0);
	say_own_signals("after");
}

static _Atomic int right;

static void *run_some(void *arg)
{
	char command[32];

	for (int i = 0; i < 10; i++) {
		snprintf(command, sizeof command, "exit %d", (int)(size_t)arg + i);
		right += WEXITSTATUS(system(command)) == (int)(size_t)arg + i;
	}
	return NULL;
}

/* Only when the last of them has left are the signals as before. */
static void from_many_threads(void)
{
	pthread_t threads[8];

	signal(SIGQUIT, handler);
	for (size_t i = 0; i < 8; i++)
		must(pthread_create(&threads[i], NULL, run_some, (void *)(i * 10)) == 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	say("%d", right);
	say_own_signals("after");
	say("children left: %s", ending_of(-1));
}

static void *run_long(void *arg)
{
	(void)arg;
	if (system("echo $$ >pid; exec sleep 1000") == 0)
		return arg; /* it is cancelled instead */
	return NULL;
}

static void cancellation_kills_the_shell(void)
{
	pthread_t thread;
	void *result;
	pid_t pid;

	must(mkfifo("pid", 0600) == 0);
	must(pthread_create(&thread, NULL, run_long, NULL) == 0);
	pid = atoi(read_file("pid"));
	say("meanwhile: %s", status_text(system("exit 4"))); /* not the last one to leave */
	say_own_signals("during");
	pthread_cancel(thread);
	pthread_join(thread, &result);
	say("cancelled: %d, the shell: %s, children left: %s", result == PTHREAD_CANCELED,
		name_of(kill(pid, 0)), ending_of(-1));
	say_own_signals("after");
	say("again: %s", status_text(system("exit 5")));
}

const struct spawn_case system_cases[] = {{"results", results},
	{"output_and_environment", output_and_environment},
	{"signals_of_the_shell", signals_of_the_shell},
	{"this_process_meanwhile", this_process_meanwhile}, {"other_children", other_children},
	{"from_many_threads", from_many_threads},
	{"cancellation_kills_the_shell", cancellation_kills_the_shell}, {NULL, NULL}};
