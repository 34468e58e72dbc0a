/* SPDX-License-Identifier: MIT */
#include <pal/mapper-priv.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/spawn-child-priv.h>

/*
 * What the mapper does, and how the child asks it to, under the rules at the top of
 * spawn-child.c: both run while the parent may be anywhere.
 */

/* ---- finding the child ---- */

static int open_at(int folder, const char *path, int flags)
{
	return pal__child_result(
		syscall(SYS_openat, folder, path, flags | O_CLOEXEC | O_LARGEFILE, 0));
}

/* The folder or file in `path` whose name is a number. */
static int open_number(const char *path, unsigned number, int flags)
{
	char text[16], *name = text + sizeof text - 1;
	int folder = open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY), fd;

	if (folder < 0)
		return folder;
	*name = '\0';
	do
		*--name = (char)('0' + number % 10);
	while (number /= 10);
	fd = open_at(folder, name, flags);
	syscall(SYS_close, folder);
	return fd;
}

static unsigned number_at(const char *text, const char *end)
{
	unsigned number = 0;

	for (; text < end && *text >= '0' && *text <= '9'; text++)
		number = 10 * number + (unsigned)(*text - '0');
	return number;
}

/* What "Pid:" says in a text of the kernel's own making; 0: nothing. */
static unsigned pid_in(const char *text, const char *end)
{
	static const char key[] = "\nPid:\t";
	const ptrdiff_t size = sizeof key - 1;

	for (; end - text > size; text++)
		if (!memcmp(text, key, (size_t)size))
			return number_at(text + size, end);
	return 0;
}

/* The folder in /proc of the process that a pidfd is of. */
static int open_process(int pidfd)
{
	char text[512];
	int file = open_number("/proc/self/fdinfo", (unsigned)pidfd, O_RDONLY), r;
	unsigned pid;

	if (file < 0)
		return file;
	r = pal__child_result(syscall(SYS_read, file, text, sizeof text));
	syscall(SYS_close, file);
	pid = r < 0 ? 0 : pid_in(text, text + r);
	if (!pid)
		return r < 0 ? r : -ESRCH;
	return open_number("/proc", pid, O_PATH | O_DIRECTORY);
}

/* ---- the mapper ---- */

/* It does not outlive the parent, whose memory it is in: a child that nobody maps ends by itself. */
static int stay_with_parent(const struct pal__mapper *mapper)
{
	int r = pal__child_result(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));

	return r >= 0 && syscall(SYS_getppid) != mapper->parent ? -ESRCH : r;
}

/*
 * Before it opens anything: in the parent's table other threads put what they like on any
 * number, and what is open there when this is killed stays open.
 */
static int leave_shared_files(void)
{
	return pal__child_result(syscall(SYS_unshare, CLONE_FILES));
}

/* The child's folder in /proc, or a negative errno. */
static int find_child(int pidfd)
{
	int r = leave_shared_files();

	return r < 0 ? r : open_process(pidfd);
}

/*
 * errno is the parent's, too: nothing here fails while that still runs, but for
 * a reason to fail in.
 */
int pal__child_write_maps(void *arg)
{
	const struct pal__mapper *mapper = arg;
	struct pal__report *report = mapper->report;
	int r = stay_with_parent(mapper), process;
	unsigned maps;

	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_ID_MAP, 0, r) < 0;
	while ((maps = atomic_load(&report->maps)) == PAL__MAPS_NONE)
		syscall(SYS_futex, &report->maps, FUTEX_WAIT, PAL__MAPS_NONE, NULL, NULL, 0);
	if (maps != PAL__MAPS_WANTED)
		return 0;
	process = find_child(*mapper->child);
	if (process < 0)
		return pal__report_fail(report, PAL_STAGE_ID_MAP, 0, process) < 0;
	r = pal__child_write_id_maps(mapper->plan, process, report);
	syscall(SYS_close, process);
	if (r >= 0)
		atomic_store(&report->maps, PAL__MAPS_WRITTEN);
	return r < 0;
}

/* ---- the child ---- */

/* The mapper's end says that it is done, whatever has become of it. */
int pal__child_await_maps(const struct pal__child_args *args)
{
	struct pal__report *report = args->report;
	struct pollfd end = {.fd = args->mapper, .events = POLLIN};
	int r;

	atomic_store(&report->maps, PAL__MAPS_WANTED);
	syscall(SYS_futex, &report->maps, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	do
		r = pal__child_result(syscall(SYS_ppoll, &end, 1, NULL, NULL, 0));
	while (r == -EINTR);
	syscall(SYS_close, args->mapper);
	if (report->code < 0)
		return report->code;
	if (r >= 0 && atomic_load(&report->maps) != PAL__MAPS_WRITTEN)
		r = -ECHILD;
	return r < 0 ? pal__report_fail(report, PAL_STAGE_ID_MAP, 0, r) : 0;
}
