/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* Ways around what a text forbids, each of them closed; and kernels that cannot forbid it. */

/* ---- an older kernel ---- */

static int abi; /* 0: the kernel's own */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* The three members of a ruleset, which a kernel of that ABI knows or does not. */
static bool is_known(const uint64_t *ruleset)
{
	uint64_t files = (UINT64_C(1) << 13) - 1;

	files |= (abi >= 2 ? 1 << 13 : 0) | (abi >= 3 ? 1 << 14 : 0) | (abi >= 5 ? 1 << 15 : 0);
	return !(ruleset[0] & ~files) && (abi >= 4 || !ruleset[1]) && (abi >= 6 || !ruleset[2]);
}

long __wrap_syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (abi && number == SYS_landlock_create_ruleset) {
		if (args[2] & LANDLOCK_CREATE_RULESET_VERSION)
			return abi;
		/* the kernel's, whose descriptor it is to be */
		if (!is_known((const uint64_t *)args[0])) { // NOLINT(performance-no-int-to-ptr)
			errno = EINVAL;
			return -1;
		}
	}
	return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* At apply: 0, or the code. */
static int applied(const char *text)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	int r = profile->apply(profile, builder, &error);

	if (r < 0)
		ck_assert_int_eq(error.stage, PAL_STAGE_LANDLOCK);
	pal_builder_free(builder);
	pal_profile_free(profile);
	return r;
}

static bool says(const char *text, const char *part)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_error error = {0};
	char *words = NULL;
	bool found;

	ck_assert_ok(pal_profile_describe(profile, &words, &error), &error);
	found = strstr(words, part);
	free(words);
	pal_profile_free(profile);
	return found;
}

START_TEST(what_an_older_kernel_cannot_deny_fails_unless_that_is_accepted)
{
	static const struct {
		const char *text;
		int enough; /* the first ABI that can */
		const char *missing;
	} keys[] = {
		{"X-LandlockRead=/etc", 5, "ioctl of devices;"},
		{"X-LandlockRestrict=files", 5, "ioctl of devices;"},
		{"X-LandlockConnect=80", 4, "TCP ports;"},
		{"X-LandlockRestrict=signals", 6, "signals to processes outside;"},
		{"X-LandlockRestrict=abstract-sockets", 6, "abstract sockets outside;"},
	};
	char text[128];

	needs_landlock();
	if (pal_landlock_abi() < 6)
		support_skip("needs Landlock ABI 6");
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(keys); i++)
		for (abi = 1; abi <= 7; abi++) {
			bool enough = abi >= keys[i].enough;

			snprintf(text, sizeof text, "X-LandlockBestEffort=yes\n%s", keys[i].text);
			ck_assert_msg(applied(keys[i].text) == (enough ? 0 : -EOPNOTSUPP), "%s: %d",
				keys[i].text, abi);
			ck_assert_int_eq(applied(text), 0);
			ck_assert_msg(says(text, keys[i].missing) == !enough, "%s: %d", text, abi);
		}
	abi = 2;
	ck_assert(says("X-LandlockBestEffort=yes\nX-LandlockRead=/etc",
		"nothing does: truncate, ioctl of devices;"));
	ck_assert(says("X-LandlockBestEffort=yes\nX-LandlockRestrict=signals", "denies nothing"));
}
END_TEST

/* ---- ways around ---- */

static int make_pair(void *type)
{
	int fds[2];

	return result_of(socketpair(AF_UNIX, *(int *)type | SOCK_CLOEXEC, 0, fds));
}

static int make_other_pair(void *type)
{
	int fds[2];

	return result_of(socketpair(AF_INET, *(int *)type | SOCK_CLOEXEC, 0, fds));
}

static int change_protocol(void *unused)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	need(fd >= 0);
	return result_of(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "none", 4));
}

static int make_stream(void *protocol)
{
	return result_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, *(int *)protocol));
}

static int make_stream_6(void *protocol)
{
	return result_of(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, *(int *)protocol));
}

static int make_datagrams(void *protocol)
{
	return result_of(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, *(int *)protocol));
}

static int set_no_delay(void *unused)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	(void)unused;
	need(fd >= 0);
	return result_of(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

#define STRAY_BITS 06000

/* The calls themselves: libc's open() leaves no bits there. */
static int open_nothing_new(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_openat, AT_FDCWD, "/etc", O_RDONLY | O_CLOEXEC, STRAY_BITS));
}

static int open_nothing_new_by_older_call(void *unused)
{
	(void)unused;
#ifdef SYS_open
	return result_of(syscall(SYS_open, "/etc", O_RDONLY | O_CLOEXEC, STRAY_BITS));
#else
	return 0;
#endif
}

static int create_with(void *mode)
{
	return result_of(open("/tmp/none/such", O_CREAT | O_WRONLY | O_CLOEXEC, *(mode_t *)mode));
}

static int create_without_name(void *mode)
{
	return result_of(open("/tmp/none", O_TMPFILE | O_WRONLY | O_CLOEXEC, *(mode_t *)mode));
}

static mode_t user_id = 04755, group_id = 02755, plain = 0755;

static int make_data_code(void *unused)
{
	(void)unused;
	return result_of(personality(PER_LINUX | READ_IMPLIES_EXEC));
}

static int ask_for_personality(void *unused)
{
	(void)unused;
	return result_of(personality(0xffffffff));
}

static int stream = SOCK_STREAM, datagram = SOCK_DGRAM, raw = SOCK_RAW, packets = SOCK_SEQPACKET;

static int default_protocol, tcp = IPPROTO_TCP, udp = IPPROTO_UDP, mptcp = 262, smc = 256,
			     no_protocol = 300;

static const struct gap {
	const char *text;
	int (*attempt)(void *arg);
	const void *arg;
	int without, with;
} gaps[] = {
	{"RestrictAddressFamilies=none", make_pair, &stream, 0, 0},
	{"RestrictAddressFamilies=none", make_pair, &packets, 0, 0},
	{"RestrictAddressFamilies=none", make_pair, &datagram, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=none", make_pair, &raw, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=~AF_UNIX", make_pair, &datagram, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=AF_INET", make_pair, &datagram, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=AF_UNIX", make_pair, &datagram, 0, 0},
	{"RestrictAddressFamilies=AF_UNIX", make_other_pair, &stream, EOPNOTSUPP, EAFNOSUPPORT},
	{"X-LandlockConnect=80", change_protocol, NULL, ENOENT, ENOPROTOOPT},
	{"X-LandlockConnect=80", make_stream, &default_protocol, 0, 0},
	{"X-LandlockConnect=80", make_stream, &tcp, 0, 0},
	{"X-LandlockConnect=80", make_stream_6, &tcp, -1, 0},
	{"X-LandlockConnect=80", make_datagrams, &udp, 0, 0},
	{"X-LandlockConnect=80", make_stream, &mptcp, -1, EPROTONOSUPPORT},
	{"X-LandlockConnect=80", make_stream_6, &smc, -1, EPROTONOSUPPORT},
	{"X-LandlockConnect=80", make_stream, &smc, -1, EPROTONOSUPPORT},
	/* no kernel has it: EINVAL says that it has been asked */
	{"X-LandlockConnect=80", make_stream, &no_protocol, EINVAL, EPROTONOSUPPORT},
	{"X-LandlockConnect=80", set_no_delay, NULL, 0, 0},
	{"RestrictSUIDSGID=yes", open_nothing_new, NULL, 0, 0},
	{"RestrictSUIDSGID=yes", open_nothing_new_by_older_call, NULL, 0, 0},
	{"RestrictSUIDSGID=yes", create_with, &user_id, ENOENT, EPERM},
	{"RestrictSUIDSGID=yes", create_with, &group_id, ENOENT, EPERM},
	{"RestrictSUIDSGID=yes", create_with, &plain, ENOENT, ENOENT},
	{"RestrictSUIDSGID=yes", create_without_name, &user_id, ENOENT, EPERM},
	{"RestrictSUIDSGID=yes", create_without_name, &group_id, ENOENT, EPERM},
	{"RestrictSUIDSGID=yes", create_without_name, &plain, ENOENT, ENOENT},
	{"MemoryDenyWriteExecute=yes", make_data_code, NULL, 0, EPERM},
	{"MemoryDenyWriteExecute=yes", ask_for_personality, NULL, 0, 0},
	{"X-LandlockRead=/etc\nX-LandlockRestrict=", attempt_read, "/usr", 0, EACCES},
	{"X-LandlockRestrict=files\nX-LandlockRestrict=", attempt_read, "/usr", 0, 0},
	{"X-LandlockRead=/etc\nX-LandlockRead=", attempt_read, "/usr", 0, 0},
	{"X-LandlockRestrict=files\nX-LandlockRead=/etc\nX-LandlockRead=", attempt_read, "/usr", 0,
		EACCES},
};
#define GAPS ((int)PAL_ARRAY_LENGTH(gaps) * USERS)

START_TEST(what_is_forbidden_has_no_other_way)
{
	const struct gap *one = &gaps[_i / USERS];
	int without, with;

	needs_landlock();
	if (pal_landlock_abi() < 5)
		support_skip("needs Landlock ABI 5");
	become(_i % USERS);
	without = under("", one->attempt, one->arg);
	with = under(one->text, one->attempt, one->arg);
	ck_assert_msg(
		one->without < 0 || without == one->without, "%s: %d without", one->text, without);
	ck_assert_msg(with == one->with, "%s: %d", one->text, with);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/gaps");
	TCase *tcase = support_tcase(suite, "gaps");

	tcase_add_test(tcase, what_an_older_kernel_cannot_deny_fails_unless_that_is_accepted);
	tcase_add_loop_test(tcase, what_is_forbidden_has_no_other_way, 0, GAPS);
	return suite;
}
SUPPORT_MAIN(make_suite)
