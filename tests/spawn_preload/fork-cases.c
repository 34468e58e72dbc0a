/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * fork(2) while locks of popen(3) and system(3) are held. glibc 2.36 may leave
 * its own taken in the child, so that these are asked of the preloaded library alone. Whoever
 * waits for ever is ended by the script.
 */

static atomic_bool over;
static _Atomic int right;

static void *run_some(void *arg)
{
	for (int i = 0; i < 10; i++) {
		FILE *stream = popen("exit 17", "r");

		must(stream);
		right += WEXITSTATUS(pclose(stream)) == 17;
		must(WEXITSTATUS(system("exit 4")) == 4);
	}
	return arg;
}

static bool is_good_child(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 18;
}

static void a_fork_in_the_middle(void)
{
	pthread_t threads[4];
	int good = 0;

	for (size_t i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, run_some, NULL) == 0);
	for (int i = 0; i < 30; i++) {
		pid_t pid = fork();

		must(pid >= 0);
		if (pid == 0) {
			FILE *stream = popen("exit 18", "r");

			_exit(stream && system("exit 0") == 0 ? WEXITSTATUS(pclose(stream)) : 1);
		}
		good += is_good_child(pid);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	say("%d in forks, %d in threads", good, right);
}

static volatile sig_atomic_t forks;

static void fork_here(int number)
{
	int before = errno;
	pid_t pid = fork();

	(void)number;
	if (pid == 0)
		_exit(18);
	forks += is_good_child(pid);
	errno = before;
}

static void a_fork_in_a_signal_handler(void)
{
	const struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
	int good = 0;

	sigaction(SIGALRM, &(struct sigaction){.sa_handler = fork_here, .sa_flags = SA_RESTART}, NULL);
	must(setitimer(ITIMER_REAL, &often, NULL) == 0);
	while (good < 100 || forks < 20) {
		FILE *stream = popen("exit 17", "r");

		must(stream && WEXITSTATUS(pclose(stream)) == 17 && system("exit 0") == 0);
		good++;
	}
	must(setitimer(ITIMER_REAL, &never, NULL) == 0);
	say("done");
}

/* ---- with fork-module.c ---- */

static void *call_with_lock(void *arg)
{
	void (*lock)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "module_lock");
	void (*unlock)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "module_unlock");

	must(lock && unlock);
	while (!over) {
		FILE *file = fopen("/dev/null", "r");

		must(file);
		lock();
		fclose(file);
		must(WEXITSTATUS(system("exit 3")) == 3);
		right++;
		unlock();
	}
	return arg;
}

static void a_library_that_locks_first(void)
{
	FILE *stream = popen("exit 9", "r"); /* as long as there is one, fclose looks for it */
	pthread_t thread;
	int good = 0;

	must(stream && pthread_create(&thread, NULL, call_with_lock, NULL) == 0);
	for (int i = 0; i < 100 || right < 20; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(18);
		good += is_good_child(pid) ? 1 : -1000;
	}
	over = true;
	pthread_join(thread, NULL);
	say("%s, %s", good >= 100 ? "all" : "not all", status_text(pclose(stream)));
}

const struct spawn_case beyond_cases[] = {{"a_fork_in_the_middle", a_fork_in_the_middle},
	{"a_fork_in_a_signal_handler", a_fork_in_a_signal_handler},
	{"a_library_that_locks_first", a_library_that_locks_first}, {NULL, NULL}};
