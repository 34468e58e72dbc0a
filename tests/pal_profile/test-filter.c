/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* Each key that becomes a filter: what it denies works without it and not with it, as root and as nobody. */

static int call_uname(void *unused)
{
	char buffer[512];

	(void)unused;
	return result_of(syscall(SYS_uname, buffer));
}

static int call_getpriority(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_getpriority, 0, 0));
}

static int call_getcwd(void *unused)
{
	char buffer[512];

	(void)unused;
	return result_of(syscall(SYS_getcwd, buffer, sizeof buffer));
}

static int make_socket(void *family)
{
	return result_of(socket(*(int *)family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

/* The kernel looks at 32 bits of it, and so must the filter. */
static int make_socket_with_high_bits(void *family)
{
	return result_of(syscall(SYS_socket, (1l << 32) + *(int *)family, SOCK_DGRAM, 0));
}

static int unshare_one(void *flag)
{
	return result_of(unshare(*(int *)flag));
}

static int clone_one(void *flag)
{
	long pid = syscall(SYS_clone, *(int *)flag | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	return result_of(pid);
}

static int call_clone3(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_clone3, NULL, 0));
}

static int enter_any_namespace(void *unused)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	(void)unused;
	need(fd >= 0);
	return result_of(setns(fd, 0));
}

static int map_writable_code(void *unused)
{
	(void)unused;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0) == MAP_FAILED
		       ? errno
		       : 0;
}

static int make_code_of_memory(void *unused)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	need(page != MAP_FAILED);
	return result_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int change_personality(void *unused)
{
	int now = personality(0xffffffff);

	(void)unused;
	need(now >= 0);
	return result_of(personality((unsigned long)now | ADDR_NO_RANDOMIZE));
}

static int keep_personality(void *unused)
{
	int now = personality(0xffffffff);

	(void)unused;
	need(now >= 0);
	return result_of(personality((unsigned long)now));
}

static int set_policy(void *policy)
{
	const struct sched_param param = {
		.sched_priority = *(int *)policy == SCHED_FIFO || *(int *)policy == SCHED_RR};

	return result_of(sched_setscheduler(0, *(int *)policy, &param));
}

static int set_attributes(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_sched_setattr, 0, NULL, 0));
}

static int make_suid(void *unused)
{
	int fd = memfd_create("suid", MFD_CLOEXEC);

	(void)unused;
	return result_of(fchmod(fd, 04755));
}

static int open_sgid(void *unused)
{
	(void)unused;
	return result_of(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 02755));
}

static int make_plain(void *unused)
{
	int fd = memfd_create("plain", MFD_CLOEXEC);

	(void)unused;
	return result_of(fchmod(fd, 0755));
}

static int change_mode_by_newest_call(void *unused)
{
	(void)unused;
	return result_of(syscall(452 /* fchmodat2 */, -1, "", 04755, 0));
}

static int call_unknown(void *unused)
{
	(void)unused;
	return result_of(syscall(9999));
}

static int adjust_clock(void *unused)
{
	struct timex now = {0};

	(void)unused;
	return result_of(adjtimex(&now)) ? errno : 0;
}

static int set_hostname(void *unused)
{
	(void)unused;
	return result_of(sethostname("procmesh", 8));
}

static int read_kernel_log(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_syslog, 10 /* the size of its buffer */, NULL, 0));
}

/* Arguments that a kernel which would do it refuses. */
static int load_module(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_init_module, NULL, 0, NULL)) == EPERM ? EPERM : 0;
}

#ifdef SYS_iopl
/* Also a kernel without it. */
static int keep_io_level(void *unused)
{
	(void)unused;
	return syscall(SYS_iopl, 0) < 0 && errno != ENOSYS ? errno : 0;
}
#endif

static int share_code(void *unused)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0700), r = 0;

	(void)unused;
	need(id >= 0);
	if (shmat(id, NULL, SHM_RDONLY | SHM_EXEC) == (void *)-1)
		r = errno;
	shmctl(id, IPC_RMID, NULL);
	return r;
}

/* i386 numbers: 20 is getpid there and writev here. S92 */
static int call_as_i386(void *unused)
{
	long number = 20;

	(void)unused;
#ifdef __x86_64__
	__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
#endif
	return number > 0 ? 0 : (int)-number;
}

static int call_as_x32(void *unused)
{
	(void)unused;
	return syscall(0x40000000 | SYS_getpid) < 0 && errno != ENOSYS ? errno : 0;
}

#define ANYTHING (-1)
#define KILLED (DIED + SIGSYS)
static int unix_family = AF_UNIX, inet = AF_INET, packet = AF_PACKET, netlink = AF_NETLINK;
static int new_user = CLONE_NEWUSER, new_net = CLONE_NEWNET, fifo = SCHED_FIFO, batch = SCHED_BATCH;

static const struct filter_case {
	const char *text;
	int (*attempt)(void *arg);
	void *arg;
	int without, with;
} cases[] = {
	{"SystemCallFilter=~uname", call_uname, NULL, 0, KILLED},
	{"SystemCallFilter=~uname:EXFULL getcwd", call_uname, NULL, 0, EXFULL},
	{"SystemCallFilter=~uname:77", call_uname, NULL, 0, 77},
	{"SystemCallFilter=~uname\nSystemCallErrorNumber=EXFULL", call_uname, NULL, 0, EXFULL},
	{"SystemCallFilter=~uname:kill\nSystemCallErrorNumber=EXFULL", call_uname, NULL, 0, KILLED},
	{"SystemCallFilter=~uname\nSystemCallErrorNumber=EXFULL\nSystemCallErrorNumber=",
		call_uname, NULL, 0, KILLED},
	{"SystemCallFilter=~uname\nSystemCallFilter=uname", call_uname, NULL, 0, 0},
	{"SystemCallFilter=~uname\nSystemCallFilter=", call_uname, NULL, 0, 0},
	{"SystemCallFilter=~getcwd", call_uname, NULL, 0, 0},
	{"SystemCallFilter=@system-service", call_uname, NULL, 0, 0},
	{"SystemCallFilter=@system-service\nSystemCallFilter=~uname\nSystemCallErrorNumber=EXFULL",
		call_uname, NULL, 0, EXFULL},
	{"SystemCallFilter=@basic-io @process @file-system @signal\nSystemCallErrorNumber=EXFULL",
		call_getpriority, NULL, 0, EXFULL},
	{"SystemCallFilter=~@file-system:EXFULL", call_getcwd, NULL, 0, EXFULL},
	{"SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM", call_unknown, NULL,
		ENOSYS, ENOSYS}, /* S93 */
	{"SystemCallFilter=@system-service", call_unknown, NULL, ENOSYS, ENOSYS},
	{"SystemCallArchitectures=native", call_as_i386, NULL, ANYTHING, KILLED}, /* S92 */
	{"SystemCallArchitectures=native", call_as_x32, NULL, 0, KILLED},         /* S92 */
	{"SystemCallFilter=~uname", call_as_i386, NULL, ANYTHING, KILLED},
	{"RestrictAddressFamilies=AF_UNIX", make_socket, &unix_family, 0, 0},
	{"RestrictAddressFamilies=AF_UNIX", make_socket, &inet, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=AF_UNIX", make_socket_with_high_bits, &inet, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=AF_UNIX AF_INET", make_socket, &inet, 0, 0},
	{"RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=AF_INET", make_socket, &inet, 0,
		0},
	{"RestrictAddressFamilies=AF_UNIX AF_INET\nRestrictAddressFamilies=~AF_INET", make_socket,
		&inet, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=~AF_INET", make_socket, &inet, 0, EAFNOSUPPORT},
	{"RestrictAddressFamilies=~AF_INET", make_socket, &unix_family, 0, 0},
	{"RestrictAddressFamilies=~AF_PACKET", make_socket, &packet, ANYTHING, EAFNOSUPPORT},
	{"RestrictAddressFamilies=none", make_socket, &netlink, ANYTHING, EAFNOSUPPORT},
	{"RestrictAddressFamilies=none\nRestrictAddressFamilies=", make_socket, &inet, 0, 0},
	{"SystemCallFilter=~socket:EXFULL\nRestrictAddressFamilies=AF_UNIX", make_socket, &inet, 0,
		EXFULL},
	{"SystemCallFilter=~socket:EXFULL\nRestrictAddressFamilies=AF_UNIX", make_socket,
		&unix_family, 0, EXFULL},
	{"RestrictNamespaces=yes", unshare_one, &new_user, 0, EPERM},
	{"RestrictNamespaces=net", unshare_one, &new_user, 0, EPERM},
	{"RestrictNamespaces=user", unshare_one, &new_user, 0, 0},
	{"RestrictNamespaces=~net", unshare_one, &new_user, 0, 0},
	{"RestrictNamespaces=~net", unshare_one, &new_net, ANYTHING, EPERM},
	{"RestrictNamespaces=net user\nRestrictNamespaces=~user", unshare_one, &new_user, 0, EPERM},
	{"RestrictNamespaces=yes\nRestrictNamespaces=no", unshare_one, &new_user, 0, 0},
	{"RestrictNamespaces=yes", clone_one, &new_user, 0, EPERM},
	{"RestrictNamespaces=yes", call_clone3, NULL, EINVAL, ENOSYS},
	{"RestrictNamespaces=~uts", enter_any_namespace, NULL, ANYTHING, EPERM},
	{"MemoryDenyWriteExecute=yes", map_writable_code, NULL, 0, EPERM},
	{"MemoryDenyWriteExecute=yes", make_code_of_memory, NULL, 0, EPERM},
	{"MemoryDenyWriteExecute=yes", share_code, NULL, 0, EPERM},
	{"MemoryDenyWriteExecute=no", map_writable_code, NULL, 0, 0},
	{"LockPersonality=yes", change_personality, NULL, 0, EPERM},
	{"LockPersonality=yes", keep_personality, NULL, 0, 0},
	{"RestrictRealtime=yes", set_policy, &fifo, ANYTHING, EPERM},
	{"RestrictRealtime=yes", set_policy, &batch, 0, 0},
	{"RestrictRealtime=yes", set_attributes, NULL, EINVAL, EPERM},
	{"RestrictSUIDSGID=yes", make_suid, NULL, 0, EPERM},
	{"RestrictSUIDSGID=yes", open_sgid, NULL, ANYTHING, EPERM},
	{"RestrictSUIDSGID=yes", make_plain, NULL, 0, 0},
	{"RestrictSUIDSGID=yes", change_mode_by_newest_call, NULL, ANYTHING, ENOSYS},
	{"ProtectClock=yes", adjust_clock, NULL, ANYTHING, EPERM},
	{"PrivateUsers=yes\nProtectHostname=yes", set_hostname, NULL, ANYTHING, EPERM},
	{"PrivateUsers=yes\nProtectKernelLogs=yes", read_kernel_log, NULL, ANYTHING, EPERM},
	{"PrivateUsers=yes\nProtectKernelModules=yes", load_module, NULL, ANYTHING, EPERM},
#ifdef SYS_iopl
	{"PrivateUsers=yes\nPrivateDevices=yes", keep_io_level, NULL, 0, EPERM},
#endif
	{"X-Profile=pure-computation", make_socket, &unix_family, 0, EACCES},
	{"X-Profile=pure-computation", call_uname, NULL, 0, 0},
};
#define CASES ((int)PAL_ARRAY_LENGTH(cases) * USERS)

START_TEST(a_key_denies_what_it_says_and_nothing_else)
{
	const struct filter_case *one = &cases[_i / USERS];
	int without, with;

#ifndef __x86_64__
	if (one->attempt == call_as_i386 || one->attempt == call_as_x32)
		support_skip("of x86-64");
#endif
	if (one->attempt == unshare_one && one->arg == &new_user)
		needs_user_namespace_of_fork();
	become(_i % USERS);
	without = under("", one->attempt, one->arg);
	ck_assert_msg(one->without == ANYTHING || without == one->without, "%s: %d without",
		one->text, without);
	with = under(one->text, one->attempt, one->arg);
	ck_assert_msg(with == one->with, "%s: %d", one->text, with);
}
END_TEST

/* ---- Landlock ---- */

START_TEST(landlock_keys_leave_what_they_name)
{
	const char *text = "X-LandlockRead=/etc /proc -/no/such\nX-LandlockWrite=/dev/null\n";

	needs_landlock();
	become(_i);
	ck_assert_int_eq(under("", attempt_read, "/usr"), 0);
	ck_assert_int_eq(under(text, attempt_read, "/etc/passwd"), 0);
	ck_assert_int_eq(under(text, attempt_read, "/usr"), EACCES);
	ck_assert_int_eq(under(text, attempt_create, "/dev/null"), 0);
	ck_assert_int_eq(under(text, attempt_run_true, NULL), EACCES);
	ck_assert_int_eq(
		under("X-LandlockExecute=/usr /lib64 /lib /bin\n", attempt_run_true, NULL), 0);
	ck_assert_int_eq(under("X-LandlockRestrict=files\n", attempt_read, "/etc/passwd"), EACCES);
	ck_assert_int_eq(under("X-LandlockRead=/etc\nX-LandlockRead=\nX-LandlockRestrict=\n",
				 attempt_read, "/usr"),
		0);
}
END_TEST

static int bind_any_port(void *unused)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	need(fd >= 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result_of(bind(fd, (struct sockaddr *)&address, sizeof address));
}

/* Nobody listens there. */
#define PORT 2

static int connect_by(void *protocol)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, *(int *)protocol);

	if (fd < 0)
		return errno;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result_of(connect(fd, (struct sockaddr *)&address, sizeof address));
}

static int send_fast(void *unused)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	need(fd >= 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result_of(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&address,
		sizeof address));
}

static int tcp = IPPROTO_TCP, mptcp = 262, sctp = IPPROTO_SCTP, smc = AF_SMC;

START_TEST(landlock_keys_leave_the_ports_they_name)
{
	static const char *const none[] = {
		"X-LandlockRestrict=tcp", "X-LandlockConnect=1", "X-LandlockBind=1 2"};

	needs_landlock();
	if (pal_landlock_abi() < 4)
		support_skip("needs Landlock ABI 4");
	become(_i);
	ck_assert_int_eq(under("", connect_by, &tcp), ECONNREFUSED);
	ck_assert_int_eq(under("", bind_any_port, NULL), 0);
	ck_assert_int_eq(under("X-LandlockConnect=1 2", connect_by, &tcp), ECONNREFUSED);
	ck_assert_int_eq(under("X-LandlockBind=0", bind_any_port, NULL), 0);
	ck_assert_int_eq(under("X-LandlockRestrict=files signals", connect_by, &tcp), ECONNREFUSED);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(none); i++) {
		ck_assert_int_eq(under(none[i], connect_by, &tcp), EACCES);
		ck_assert_int_eq(under(none[i], bind_any_port, NULL), EACCES);
		/* what Landlock does not see */
		ck_assert_int_eq(under(none[i], connect_by, &mptcp), EPROTONOSUPPORT);
		ck_assert_int_eq(under(none[i], connect_by, &sctp), EPROTONOSUPPORT);
		ck_assert_int_eq(under(none[i], make_socket, &smc), EAFNOSUPPORT);
		ck_assert_int_eq(under(none[i], send_fast, NULL), EOPNOTSUPP);
	}
}
END_TEST

static int signal_parent(void *unused)
{
	(void)unused;
	return result_of(kill(getppid(), 0));
}

START_TEST(landlock_keys_keep_signals_and_sockets_inside)
{
	struct abstract_address address;
	int fd;

	needs_landlock();
	if (pal_landlock_abi() < 6)
		support_skip("needs Landlock ABI 6");
	become(_i);
	fd = bind_abstract(SOCK_STREAM, &address);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(under("", signal_parent, NULL), 0);
	ck_assert_int_eq(under("X-LandlockRestrict=signals", signal_parent, NULL), EPERM);
	ck_assert_int_eq(under("X-LandlockRestrict=abstract-sockets", signal_parent, NULL), 0);
	ck_assert_int_eq(under("", attempt_abstract_socket, &address), 0);
	ck_assert_int_eq(
		under("X-LandlockRestrict=abstract-sockets", attempt_abstract_socket, &address),
		EPERM);
	ck_assert_int_eq(under("X-LandlockRestrict=signals", attempt_abstract_socket, &address), 0);
	close(fd);
}
END_TEST

START_TEST(a_path_that_is_missing_fails_the_spawn_unless_it_may_be)
{
	needs_landlock();
	become(_i);
	ck_assert_int_eq(stage_refused("X-LandlockRead=/no/such"), PAL_STAGE_PROFILE);
	ck_assert_int_eq(stage_refused("X-LandlockWrite=/usr /no/such"), PAL_STAGE_PROFILE);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/filter");
	TCase *keys = support_tcase(suite, "keys");
	TCase *landlock = support_tcase(suite, "landlock");

	tcase_add_loop_test(keys, a_key_denies_what_it_says_and_nothing_else, 0, CASES);
	tcase_add_loop_test(landlock, landlock_keys_leave_what_they_name, 0, USERS);
	tcase_add_loop_test(landlock, landlock_keys_leave_the_ports_they_name, 0, USERS);
	tcase_add_loop_test(landlock, landlock_keys_keep_signals_and_sockets_inside, 0, USERS);
	tcase_add_loop_test(
		landlock, a_path_that_is_missing_fails_the_spawn_unless_it_may_be, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
