/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

/*
 * popen(3) and what ends its streams. glibc's stream knows its process; ours is
 * an ordinary one of fdopen(3), and the process is found in a list. So fclose(3),
 * which in glibc does for such a stream what pclose(3) does, must pass here, too.
 * All other streams go on to libc at the price of one atomic load.
 *
 * A library that was loaded with RTLD_DEEPBIND closes a stream of ours by libc's own
 * functions, and then its entry is about nothing, or about another stream at the same
 * address: an entry counts while its descriptor is the pipe that was made for it.
 */

struct stream {
	struct stream *_Atomic next;
	FILE *file;
	int fd;
	dev_t device;
	ino_t inode;
	bool writes;
	pid_t pid;
};

/* Changed under the lock by single stores: a fork copies a whole list at any moment. */
static struct stream *_Atomic streams;

static void lock_list(void)
{
	spawn_preload__lock(SPAWN_PRELOAD__LOCK_STREAMS);
}

static void unlock_list(void)
{
	spawn_preload__unlock(SPAWN_PRELOAD__LOCK_STREAMS);
}

/* Closed by the program itself: as if it was its pipe, for what glibc says then. */
static bool has_its_pipe(const struct stream *stream)
{
	struct stat status;

	if (fstat(stream->fd, &status) < 0)
		return errno == EBADF;
	return status.st_dev == stream->device && status.st_ino == stream->inode;
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
	/* POSIX: streams of other popen calls are closed */
	for (struct stream *other = streams; other && r == 0; other = other->next)
		if (other->fd != child_fd && has_its_pipe(other))
			r = posix_spawn_file_actions_addclose(&actions, other->fd);
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
	}
	unlock_list();
	return r;
}

/* Does not take `fd` where it fails. */
static struct stream *new_stream(int fd, struct mode mode)
{
	struct stream *stream = malloc(sizeof *stream);
	struct stat status;

	if (!stream || fstat(fd, &status) < 0) {
		free(stream);
		return NULL;
	}
	*stream = (struct stream){.file = fdopen(fd, mode.read ? "r" : "w"),
		.fd = fd,
		.device = status.st_dev,
		.inode = status.st_ino,
		.writes = !mode.read};
	if (stream->file)
		return stream;
	free(stream);
	return NULL;
}

/* Takes `parent_end`. glibc tells every failure from here on as ENOMEM; a profile's is told as EPERM. */
static FILE *open_stream(const char *command, struct mode mode, int parent_end, int child_end)
{
	struct stream *stream = new_stream(parent_end, mode);
	FILE *file;
	int r;

	if (!stream) {
		pal_close(parent_end);
		errno = ENOMEM;
		return NULL;
	}
	file = stream->file;
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

/* With the lock. Where in the list the stream is; NULL: nowhere. */
static struct stream *_Atomic *find(const FILE *file)
{
	for (struct stream *_Atomic *link = &streams; *link; link = &(*link)->next)
		if ((*link)->file == file)
			return link;
	return NULL;
}

static bool is_about(const struct stream *stream, FILE *file)
{
	return fileno(file) == stream->fd && has_its_pipe(stream);
}

/*
 * What is still to be written is written before the stream leaves the list: until then a child of
 * another popen does not get its pipe. EOF where that fails; then it is not tried again.
 */
static int flush(FILE *file)
{
	struct stream *_Atomic *link;
	bool writes;

	lock_list();
	link = find(file);
	writes = link && (*link)->writes && is_about(*link, file);
	unlock_list();
	if (!writes || fflush(file) == 0)
		return 0;
	__fpurge(file);
	return EOF;
}

/* The entry of a stream that popen has made, no longer in the list; else NULL. */
static struct stream *take(FILE *file)
{
	struct stream *found = NULL;
	struct stream *_Atomic *link;

	lock_list();
	link = find(file);
	if (link) {
		found = *link;
		*link = found->next;
	}
	unlock_list();
	if (!found || is_about(found, file))
		return found;
	free(found); /* of another stream, that libc has closed */
	return NULL;
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
static int close_stream(struct stream *stream, int flushed)
{
	bool is_open = fcntl(stream->fd, F_GETFD) >= 0;
	int r = next_fclose(stream->file), status;

	if (!is_open) {
		free(stream);
		return -1;
	}
	status = wait_for(stream);
	return status ? status : flushed ? flushed : r;
}

static int close_with(FILE *file, int (*next)(FILE *))
{
	struct stream *stream = NULL;
	int flushed = 0;

	if (file && streams) {
		flushed = flush(file);
		stream = take(file);
	}
	return stream ? close_stream(stream, flushed) : next(file);
}

SPAWN_PRELOAD_EXPORT int pclose(FILE *file)
{
	return close_with(file, next_pclose);
}

SPAWN_PRELOAD_EXPORT int fclose(FILE *file)
{
	return close_with(file, next_fclose);
}
