/* SPDX-License-Identifier: MIT */
#include <pal/mapper-priv.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/clone-priv.h>
#include <pal/private.h>
#include <pal/util-priv.h>

/* This process's half. */

/* No signal tells of its end, and only who asks for it by name gets its status. */
int pal__mapper_start(struct pal__mapper *mapper, char *stack)
{
	mapper->parent = getpid();
	mapper->pid = PAL__CLONE(pal__child_write_maps, stack, CLONE_VM | CLONE_FILES | CLONE_PIDFD,
		mapper, &mapper->pidfd);
	if (mapper->pid >= 0)
		return 0;
	mapper->pidfd = -1;
	return -errno;
}

static void await_either(int child, int mapper)
{
	struct pollfd ends[] = {{.fd = child, .events = POLLIN}, {.fd = mapper, .events = POLLIN}};

	while (child >= 0 && poll(ends, 2, -1) < 0 && errno == EINTR)
		;
}

/*
 * A child that has not asked by now never will: it has ended, or was never made. One that
 * is not waited for in clone(2), an init, may still come to it.
 */
void pal__mapper_end(struct pal__mapper *mapper)
{
	unsigned none = PAL__MAPS_NONE;
	int saved = errno;

	if (mapper->pidfd < 0)
		return;
	await_either(*mapper->child, mapper->pidfd);
	if (atomic_compare_exchange_strong(&mapper->report->maps, &none, PAL__MAPS_UNWANTED))
		syscall(SYS_futex, &mapper->report->maps, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	while (waitpid(mapper->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	pal_private_close(&mapper->pidfd);
	errno = saved;
}
