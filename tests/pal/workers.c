/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

void wait_in_read(struct worker *worker)
{
	char byte;

	while (read(worker->fds[0], &byte, 1) < 0 && errno == EINTR)
		;
}

static void wait_in_poll(struct worker *worker)
{
	struct pollfd event = {.fd = worker->fds[0], .events = POLLIN};

	while (poll(&event, 1, -1) < 0 && errno == EINTR)
		;
}

static void wait_spinning(struct worker *worker)
{
	while (!atomic_load(&worker->go))
		;
}

static void wait_in_mutex(struct worker *worker)
{
	pthread_mutex_t mutex;
	pthread_mutexattr_t attributes;
	struct timespec limit;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_NORMAL);
	pthread_mutex_init(&mutex, &attributes);
	pthread_mutex_lock(&mutex);
	while (!atomic_load(&worker->go)) { /* a second lock of a normal mutex waits */
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_nsec += 1000000;
		limit.tv_sec += limit.tv_nsec / 1000000000;
		limit.tv_nsec %= 1000000000;
		pthread_mutex_timedlock(&mutex, &limit);
	}
	pthread_mutex_unlock(&mutex);
	pthread_mutex_destroy(&mutex);
	pthread_mutexattr_destroy(&attributes);
}

static void wait_in_malloc(
	struct worker *worker) /* stopped with the allocator's lock held, sooner or later */
{
	while (!atomic_load(&worker->go))
		free(malloc(100));
}

void (*const waits[WAITS])(struct worker *worker) = {
	wait_in_read,
	wait_in_poll,
	wait_spinning,
	wait_in_mutex,
	wait_in_malloc,
};

int try_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int holds_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	return data[0].permitted || data[1].permitted || data[0].effective || data[1].effective;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	sigset_t set;

	if (worker->blocks) {
		sigemptyset(&set);
		sigaddset(&set, pal_threads_signal());
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	worker->tid = (pid_t)syscall(SYS_gettid);
	errno = EXFULL;
	sem_post(&worker->started);
	worker->wait(worker);
	worker->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	worker->read_result = try_read("/etc/passwd");
	worker->permitted = holds_capability();
	return NULL;
}

int start_worker(struct worker *worker, void (*wait)(struct worker *))
{
	worker->wait = wait;
	need(pipe2(worker->fds, O_CLOEXEC) == 0);
	need(sem_init(&worker->started, 0, 0) == 0);
	need(pthread_create(&worker->thread, NULL, work, worker) == 0);
	while (sem_wait(&worker->started) < 0)
		;
	return 0;
}

int end_worker(struct worker *worker)
{
	atomic_store(&worker->go, true);
	need(write(worker->fds[1], "x", 1) == 1);
	need(pthread_join(worker->thread, NULL) == 0);
	sem_destroy(&worker->started);
	pal_close(worker->fds[0]);
	pal_close(worker->fds[1]);
	return 0;
}

int restrict_all(const struct pal_seccomp *filter, struct pal_error *error)
{
	struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions,
		.no_new_privs = true,
		.capabilities = &PAL_CAPABILITIES_NONE,
		.seccomp = filter,
	};
	struct pal_landlock *ruleset;
	int result = pal_landlock_new(&ruleset, error);

	if (result < 0)
		return result;
	result = pal_landlock_allow_path(ruleset, "/proc", PAL_LANDLOCK_READ, error);
	restrictions.landlock = ruleset;
	if (!result)
		result = pal_self_restrict(&restrictions, error);
	pal_landlock_free(ruleset);
	return result;
}

bool signal_is_default(void)
{
	struct sigaction action;

	return sigaction(pal_threads_signal(), NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

bool is_restricted(const struct worker *worker)
{
	return worker->no_new_privs == 1 && worker->read_result == EACCES && worker->permitted == 0;
}

/* As far as one can be that had been allowed nothing much before. */
bool is_free(const struct worker *worker)
{
	return worker->no_new_privs == 0 && worker->read_result == 0;
}
