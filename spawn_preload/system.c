/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/*
 * system(3). While any thread is in it the process ignores SIGINT and SIGQUIT:
 * the first thread sets that, the last one undoes it. SIGCHLD is blocked in each
 * of the threads.
 */

static unsigned callers;
static struct sigaction interrupt_before, quit_before;

/* Returns in *ret_reset what the shell must not ignore, although this process does. */
static void ignore_keyboard(sigset_t *ret_reset)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(ret_reset);
	spawn_preload__lock(SPAWN_PRELOAD__LOCK_KEYBOARD);
	if (callers++ == 0) {
		sigaction(SIGINT, &ignore, &interrupt_before);
		sigaction(SIGQUIT, &ignore, &quit_before);
	}
	if (interrupt_before.sa_handler != SIG_IGN)
		sigaddset(ret_reset, SIGINT);
	if (quit_before.sa_handler != SIG_IGN)
		sigaddset(ret_reset, SIGQUIT);
	spawn_preload__unlock(SPAWN_PRELOAD__LOCK_KEYBOARD);
}

static void restore_keyboard(void)
{
	spawn_preload__lock(SPAWN_PRELOAD__LOCK_KEYBOARD);
	if (--callers == 0) {
		sigaction(SIGINT, &interrupt_before, NULL);
		sigaction(SIGQUIT, &quit_before, NULL);
	}
	spawn_preload__unlock(SPAWN_PRELOAD__LOCK_KEYBOARD);
}

/* What is undone also when the waiting thread is cancelled. */
struct call {
	pid_t shell;
	sigset_t mask;
};

static void leave(const struct call *call)
{
	restore_keyboard();
	pthread_sigmask(SIG_SETMASK, &call->mask, NULL);
}

static void cancelled(void *arg)
{
	const struct call *call = arg;

	kill(call->shell, SIGKILL);
	while (waitpid(call->shell, NULL, 0) < 0 && errno == EINTR)
		;
	leave(call);
}

/* A cancellation point, as POSIX wants it: the shell does not outlive the call. */
static int wait_for_shell(struct call *call)
{
	int status;
	pid_t ended;

	pthread_cleanup_push(cancelled, call);
	do
		ended = waitpid(call->shell, &status, 0);
	while (ended < 0 && errno == EINTR);
	pthread_cleanup_pop(0);
	return ended == call->shell ? status : -1;
}

static int start_shell(struct call *call, const char *command, const sigset_t *reset)
{
	posix_spawnattr_t attributes;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attributes, reset);
	posix_spawnattr_setsigmask(&attributes, &call->mask);
	return spawn_preload__start_shell("system", &call->shell, command, NULL, &attributes);
}

static int run(const char *command)
{
	struct call call;
	sigset_t child, reset;
	int status, r;

	ignore_keyboard(&reset);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child, &call.mask);
	r = start_shell(&call, command, &reset);
	if (r == 0) {
		status = wait_for_shell(&call);
	} else {
		/* as glibc: as if the shell could not run the command, but for what glibc does not have */
		status = spawn_preload__is_refusal(r) ? -1 : W_EXITCODE(127, 0);
		errno = r;
	}
	leave(&call);
	return status;
}

SPAWN_PRELOAD_EXPORT int system(const char *command)
{
	return command ? run(command) : run("exit 0") == 0;
}
