/* SPDX-License-Identifier: MIT */

/*
 * The list of all objects with private descriptors, and the lock that keeps forks away while
 * one is opened or closed.
 *
 * The lock is held across our forks, by a handler of pthread_atfork(3), and the program's own handlers
 * run before or after that as they were registered. Those that were before ours - the library came by
 * dlopen(3) - run with the lock held, and must not wait for a thread that is in here. For that reason
 * a fork by others is not kept away: it finds the lock in any state, and makes it new. A process
 * without threads does without.
 * A fork has a copy of the list, which is of no use to it: nodes may be on stacks of threads
 * that it does not have. It begins its own when it needs one.
 */
#include <pal/private-priv.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/process-mark.h>
#include <pal/util-priv.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pal_private *head;
static uint64_t owner; /* whose list it is */

/* Found without a call, which a child has no page for. */
#define FOUND_DIRECTLY __attribute__((tls_model("initial-exec")))
static _Thread_local bool forks FOUND_DIRECTLY, held_by_fork FOUND_DIRECTLY; /* this thread */
static _Thread_local int cancel_state FOUND_DIRECTLY;

static bool take_lock(void)
{
	return !__libc_single_threaded && pthread_mutex_lock(&lock) == 0;
}

/* What opens and closes is a cancellation point: a thread that ended there would keep the lock. */
bool pal_private_begin(void)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	return take_lock();
}

void pal_private_end(bool held)
{
	if (held)
		pthread_mutex_unlock(&lock);
	pthread_setcancelstate(cancel_state, NULL);
}

static void before_fork(void)
{
	held_by_fork = forks && take_lock();
}

static void after_fork(void)
{
	if (held_by_fork) {
		held_by_fork = false;
		pthread_mutex_unlock(&lock);
	}
}

/* Who else had the lock is not here. */
static void in_fork(void)
{
	if (forks)
		after_fork();
	else
		pthread_mutex_init(&lock, NULL);
}

__attribute__((constructor)) static void watch_forks(void)
{
	(void)pthread_atfork(before_fork, after_fork, in_fork);
}

pid_t pal__private_fork(void)
{
	pid_t pid;

	forks = true;
	pid = fork();
	forks = false;
	return pid;
}

void pal_private_add(struct pal_private *node, const struct pal_private_layout *layout)
{
	uint64_t mark = pal_process_mark();
	bool held = pal_private_begin();

	if (owner != mark)
		head = NULL;
	owner = mark;
	*node = (struct pal_private){layout, head, &head, mark};
	if (head)
		head->link = &node->next;
	head = node;
	pal_private_end(held);
}

void pal_private_remove(struct pal_private *node)
{
	bool held;

	if (!node->layout || node->owner != pal_process_mark())
		return;
	held = pal_private_begin();
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	pal_private_end(held);
	*node = (struct pal_private){0};
}

/* Of the layout's i-th one. */
static int *variable(struct pal_private *node, size_t i)
{
	return (int *)(void *)((char *)node + node->layout->places[i]);
}

void pal_private_disown(struct pal_private *node)
{
	const struct pal_private_layout *layout = node->layout;

	if (!layout || layout->file || node->owner == pal_process_mark())
		return;
	for (size_t i = 0; i < layout->count; i++)
		*variable(node, i) = -1;
}

void pal_private_close(int *fd)
{
	bool held;

	if (*fd < 0)
		return;
	held = pal_private_begin();
	*fd = pal_close(*fd);
	pal_private_end(held);
}

void pal_builder_keep_private(struct pal_builder *builder, const struct pal_private *node)
{
	if (builder)
		builder->kept_private = node;
}

/* ---- the child ---- */

static bool is_used(const struct pal__fd_plan *plan, int fd)
{
	for (size_t i = 0; i < plan->used_count; i++)
		if (plan->used[i] == fd)
			return true;
	return false;
}

static bool is_kept(
	const struct pal_private *node, const struct pal_private *const *kept, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (kept[i] == node)
			return true;
	return false;
}

/* Not fstat(2): only libc knows what the kernel's is, and this has no page of libc's touched. */
static void drop_if_same(struct pal_private *node, const struct pal__fd_plan *plan)
{
	const char *object = (const char *)node;
	const int fd = *(const int *)(const void *)(object + node->layout->places[0]);
	const struct pal_private_file *file = (const void *)(object + node->layout->file);
	struct statx found;

	if (fd >= 0 && !is_used(plan, fd) &&
		syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO, &found) == 0 &&
		found.stx_ino == file->inode && found.stx_dev_major == file->major &&
		found.stx_dev_minor == file->minor)
		syscall(SYS_close, fd);
}

static void drop(struct pal_private *node, const struct pal__fd_plan *plan)
{
	const struct pal_private_layout *layout = node->layout;

	if (layout->file) {
		drop_if_same(node, plan);
		return;
	}
	for (size_t i = 0; i < layout->count; i++) {
		int *fd = variable(node, i);

		if (*fd < 0)
			continue;
		if (!is_used(plan, *fd))
			syscall(SYS_close, *fd);
		*fd = -1;
	}
}

void pal__private_drop(
	const struct pal_private *const *kept, size_t kept_count, const struct pal__fd_plan *plan)
{
	for (struct pal_private *node = head; node; node = node->next)
		if (!is_kept(node, kept, kept_count))
			drop(node, plan);
}
