/* SPDX-License-Identifier: MIT */
#include <pal/sandbox-priv.h>

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/capabilities-priv.h>
#include <pal/landlock-abi-priv.h>

/*
 * Runs in a child that may share its memory with the parent, and in signal
 * handlers: system calls on a read-only plan, nothing else. They are made by
 * number, because sanitizers wrap some of libc's functions in code that may
 * lock.
 */

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif

static int fail(struct pal__report *report, int index)
{
	return pal__report_fail(report, report->stage, index, -errno);
}

static int enter_domain(int ruleset_fd, unsigned flags, struct pal__report *report)
{
	if (ruleset_fd < 0)
		return 0;
	report->stage = PAL_STAGE_LANDLOCK;
	return syscall(SYS_landlock_restrict_self, ruleset_fd, flags) < 0 ? fail(report, 0) : 0;
}

int pal__sandbox_enter_unfiltered(const struct pal__sandbox *sandbox,
	const struct pal__sandbox_entry *entry, struct pal__report *report)
{
	int result = pal__capabilities_set(sandbox, entry->user_set, report);

	if (result < 0)
		return result;
	if (sandbox->no_new_privs) {
		report->stage = PAL_STAGE_NO_NEW_PRIVS;
		if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) < 0)
			return fail(report, 0);
	}
	for (size_t i = 0; i < PAL__STACKED_MAX; i++) {
		result = enter_domain(entry->stacked_fds[i], sandbox->stacked_flags[i], report);
		if (result < 0)
			return result;
	}
	return enter_domain(entry->landlock_fd, sandbox->landlock_flags, report);
}

/* ---- the filter ---- */

static void close_one(int fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd);
}

/*
 * The listener goes to the parent, which reads it when the program runs. All of
 * this happens under the filter, which lets it pass for the key: pal__seccomp_prologue.
 */
static int hand_over(const struct pal__sandbox *sandbox, const struct pal__sandbox_entry *entry,
	int listener, struct pal__report *report)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof listener)];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof listener),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.bytes};
	const unsigned long key = sandbox->start_key;

	__builtin_memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
	if (syscall(SYS_sendmsg, entry->handover_fd, &message, MSG_NOSIGNAL, 0UL, 0UL, key) < 0)
		return fail(report, 0);
	syscall(SYS_close, listener, 0UL, 0UL, 0UL, 0UL, key);
	syscall(SYS_close, entry->handover_fd, 0UL, 0UL, 0UL, 0UL, key);
	return 0;
}

int pal__sandbox_filter(const struct pal__sandbox *sandbox,
	const struct pal__sandbox_entry *entry, struct pal__report *report)
{
	unsigned long flags = sandbox->notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
	int result;

	if (!sandbox->seccomp.len)
		return 0;
	report->stage = PAL_STAGE_SECCOMP;
	result = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &sandbox->seccomp);
	if (result < 0)
		return fail(report, 0);
	return sandbox->notify ? hand_over(sandbox, entry, result, report) : 0;
}

int pal__sandbox_enter(const struct pal__sandbox *sandbox, const struct pal__sandbox_entry *entry,
	struct pal__report *report)
{
	int result = pal__sandbox_enter_unfiltered(sandbox, entry, report);

	if (result >= 0)
		result = enter_domain(entry->border_fd, 0, report);
	if (result < 0)
		return result;
	/* before the filter, which may forbid it */
	close_one(entry->landlock_fd);
	for (size_t i = 0; i < PAL__STACKED_MAX; i++)
		close_one(entry->stacked_fds[i]);
	close_one(entry->border_fd);
	close_one(entry->handover_other);
	return 0;
}
