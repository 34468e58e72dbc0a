/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

/*
 * popen(3) and what ends its streams. glibc's stream knows its process; ours is
 * an ordinary one of fdopen(3), and the process is found in a list. So fclose(3),
 * which in glibc does for such a stream what pclose(3) does, must pass here, too.
 * All other streams go on to libc at the price of one atomic load.
 */

struct stream {
	struct stream *next;
	FILE *file;
	pid_t pid;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream *streams;
static _Atomic unsigned stream_count;

static void lock_list(void)
{
	pthread_mutex_lock(&lock);
}

static void unlock_list(void)
{
	pthread_mutex_unlock(&lock);
}

/* A child of fork(2) may use popen, whatever other threads did in that moment. */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(lock_list, unlock_list, unlock_list);
}

/* ---- libc's own ---- */

static int (*libc_fclose)(FILE *), (*libc_pclose)(FILE *);
static pthread_once_t libc_once = PTHREAD_ONCE_INIT;

static void find_libc(void)
{
	libc_fclose = (int (*)(FILE *))dlsym(RTLD_NEXT, "fclose");
	libc_pclose = (int (*)(FILE *))dlsym(RTLD_NEXT, "pclose");
}

static int next_fclose(FILE *file)
{
	pthread_once(&libc_once, find_libc);
	return libc_fclose(file);
}

static int next_pclose(FILE *file)
{
	pthread_once(&libc_once, find_libc);
	return libc_pclose(file);
}

/* ---- opening ---- */

struct mode {
	bool read, close_on_exec;
};

/* Exactly one of r and w, each letter as often as wanted, as glibc. */
static int parse_mode(const char *text, struct mode *ret)
{
	bool read = false, write = false, close_on_exec = false;

	for (; *text; text++)
		switch (*text) {
		case 'r':
			read = true;
			break;
		case 'w':
			write = true;
			break;
		case 'e':
			close_on_exec = true;
			break;
		default:
			return -EINVAL;
		}
	if (read == write)
		return -EINVAL;
	*ret = (struct mode){.read = read, .close_on_exec = close_on_exec};
	return 0;
}

/* The child's end must not be the number that it gets there: then the flag would stay. */
static int move_off(int *fd, int number)
{
	int moved;

	if (*fd != number)
		return 0;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	if (moved < 0)
		return -errno;
	pal_close(*fd);
	*fd = moved;
	return 0;
}

/* The lock is held: no stream may come or go before the child has its actions done. */
static int start_child(
	pid_t *ret_pid, const char *command, int child_end, int child_fd)
{
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	r = posix_spawn_file_actions_adddup2(&actions, child_end, child_fd);
	for (struct stream *other = streams; other && r == 0; other = other->next) {
		int fd = fileno(other->file);

		if (fd != child_fd) /* POSIX: streams of other popen calls are closed */
			r = posix_spawn_file_actions_addclose(&actions, fd);
	}
	if (r == 0)
		r = spawn_preload__start_shell("popen", ret_pid, command, &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int start_listed(struct stream *stream, const char *command, int child_end, int child_fd)
{
	int r;

	lock_list();
	r = start_child(&stream->pid, command, child_end, child_fd);
	if (r == 0) {
		stream->next = streams;
		streams = stream;
		atomic_fetch_add(&stream_count, 1);
	}
	unlock_list();
	return r;
}

/* Takes `parent_end`. glibc tells every failure from here on as ENOMEM; a profile's is told as EPERM. */
static FILE *open_stream(const char *command, struct mode mode, int parent_end, int child_end)
{
	struct stream *stream = malloc(sizeof *stream);
	FILE *file = stream ? fdopen(parent_end, mode.read ? "r" : "w") : NULL;
	int r;

	if (!file) {
		free(stream);
		pal_close(parent_end);
		errno = ENOMEM;
		return NULL;
	}
	stream->file = file;
	r = start_listed(stream, command, child_end, mode.read ? 1 : 0);
	if (r != 0) {
		next_fclose(file);
		free(stream);
		errno = spawn_preload__is_refusal(r) ? r : ENOMEM;
		return NULL;
	}
	if (!mode.close_on_exec)
		fcntl(parent_end, F_SETFD, 0);
	return file;
}

SPAWN_PRELOAD_EXPORT FILE *popen(const char *command, const char *mode_text)
{
	struct mode mode;
	int ends[2], parent_end, r = parse_mode(mode_text, &mode);
	PAL_CLEANUP_CLOSE int child_end = -1;

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	parent_end = mode.read ? ends[0] : ends[1];
	child_end = mode.read ? ends[1] : ends[0];
	if (move_off(&child_end, mode.read ? 1 : 0) < 0) {
		pal_close(parent_end);
		errno = ENOMEM;
		return NULL;
	}
	return open_stream(command, mode, parent_end, child_end);
}

/* ---- closing ---- */

/* The entry of a stream that popen has made, no longer in the list; else NULL. */
static struct stream *take(FILE *file)
{
	struct stream *found = NULL;

	if (!file || atomic_load(&stream_count) == 0)
		return NULL;
	lock_list();
	for (struct stream **link = &streams; *link; link = &(*link)->next)
		if ((*link)->file == file) {
			found = *link;
			*link = found->next;
			atomic_fetch_sub(&stream_count, 1);
			break;
		}
	unlock_list();
	return found;
}

/* The status of waitpid(2), or -1. Takes `stream`. No cancellation point. */
static int wait_for(struct stream *stream)
{
	int status, cancel_state;
	pid_t ended;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	do
		ended = waitpid(stream->pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	pthread_setcancelstate(cancel_state, NULL);
	free(stream);
	return ended < 0 ? -1 : status;
}

/*
 * As glibc: where the program has closed the number itself nobody waits; a
 * failed flush is told only if the child says nothing worse.
 */
static int close_stream(struct stream *stream)
{
	bool is_open = fcntl(fileno(stream->file), F_GETFD) >= 0;
	int r = next_fclose(stream->file), status;

	if (!is_open) {
		free(stream);
		return -1;
	}
	status = wait_for(stream);
	return status ? status : r;
}

SPAWN_PRELOAD_EXPORT int pclose(FILE *file)
{
	struct stream *stream = take(file);

	return stream ? close_stream(stream) : next_pclose(file);
}

SPAWN_PRELOAD_EXPORT int fclose(FILE *file)
{
	struct stream *stream = take(file);

	return stream ? close_stream(stream) : next_fclose(file);
}
