/* SPDX-License-Identifier: MIT */
#include "attempts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/await.h"

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), r = result(fd);

	if (fd >= 0)
		close(fd);
	return r;
}

/* ---- files ---- */

static int try_read(const char *path)
{
	return opened(path, O_RDONLY);
}

static int try_create(const char *path)
{
	return opened(path, O_WRONLY | O_CREAT | O_EXCL);
}

static int try_write(const char *path)
{
	return opened(path, O_WRONLY);
}

static int try_escape(const char *path)
{
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = result(chroot("/usr"));

	if (r == 0)
		r = result(fchdir(root));
	for (int i = 0; r == 0 && i < 32; i++)
		r = result(chdir(".."));
	if (r == 0)
		r = result(chroot("."));
	close(root);
	return r ? r : try_read(path);
}

static int try_exec(const char *path)
{
	execl(path, path, (char *)NULL);
	return errno;
}

static int try_exec_euid(const char *path)
{
	execl(path, path, "euid", "", (char *)NULL);
	return errno;
}

static int try_append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC), r = result(fd);

	if (fd >= 0) {
		r = result(write(fd, "x", 1));
		close(fd);
	}
	return r;
}

static int try_count(const char *path)
{
	DIR *folder = opendir(path);
	int count = -2;

	if (!folder)
		return 255;
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static int try_nosuid(const char *path)
{
	struct statvfs status;

	return statvfs(path, &status) < 0 ? errno : status.f_flag & ST_NOSUID ? 0 : 254;
}

static int try_device(const char *path)
{
	char byte = 0;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY), r = result(fd);
	struct stat status;

	if (fd < 0)
		return r;
	if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode) || read(fd, &byte, 1) < 0)
		r = 255;
	close(fd);
	return r;
}

static int try_mount_tmpfs(const char *path)
{
	return result(mount("tmpfs", path, "tmpfs", 0, NULL));
}

static int try_read_link(const char *path)
{
	char text[256];

	return result(readlink(path, text, sizeof text));
}

/* ---- who it is ---- */

static int try_pid(const char *unused)
{
	(void)unused;
	return getpid() & 0xff;
}

static int try_uid(const char *unused)
{
	(void)unused;
	return (int)(getuid() & 0xff);
}

static int try_euid(const char *unused)
{
	(void)unused;
	return (int)(geteuid() & 0xff);
}

static int try_gid(const char *unused)
{
	(void)unused;
	return (int)(getgid() & 0xff);
}

static int try_dumpable(const char *unused)
{
	(void)unused;
	return prctl(PR_GET_DUMPABLE);
}

static int try_setsid(const char *unused)
{
	(void)unused;
	return result(setsid());
}

static int try_scheduler(const char *policy)
{
	return sched_getscheduler(0) != atoi(policy);
}

static int try_groups(const char *unused)
{
	(void)unused;
	return getgroups(0, NULL);
}

static int try_set_groups(const char *unused)
{
	gid_t own = getgid();

	(void)unused;
	return result(setgroups(1, &own));
}

static int try_user_namespace(const char *unused)
{
	(void)unused;
	return result(unshare(CLONE_NEWUSER));
}

static int try_raise_limit(const char *unused)
{
	int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC), r = result(fd);

	(void)unused;
	if (fd >= 0) {
		r = result(write(fd, "9", 1));
		close(fd);
	}
	return r;
}

static int try_set_hostname(const char *unused)
{
	(void)unused;
	return result(sethostname("elsewhere", 9));
}

static int try_hostname(const char *name)
{
	char now[256] = "";

	gethostname(now, sizeof now - 1);
	return strcmp(now, name) != 0;
}

static int try_same(const char *text)
{
	char path[64], now[64] = "";

	snprintf(path, sizeof path, "/proc/self/ns/%.*s", (int)strcspn(text, ":"), text);
	if (readlink(path, now, sizeof now - 1) < 0)
		return 255;
	return strcmp(now, text) != 0;
}

static int same_line(const char *path, const char *line)
{
	unsigned wanted[3], now[3];
	FILE *file = fopen(path, "re");
	int r = 255;

	if (file && sscanf(line, "%u %u %u", &wanted[0], &wanted[1], &wanted[2]) == 3 &&
		fscanf(file, "%u %u %u", &now[0], &now[1], &now[2]) == 3)
		r = memcmp(wanted, now, sizeof now) != 0;
	if (file)
		fclose(file);
	return r;
}

static int try_uid_map(const char *line)
{
	return same_line("/proc/self/uid_map", line);
}

static int try_gid_map(const char *line)
{
	return same_line("/proc/self/gid_map", line);
}

/* ---- others ---- */

typedef int address_call(int fd, const struct sockaddr *address, socklen_t size);

static int of_new_socket(
	int family, address_call *call, const struct sockaddr *address, socklen_t size)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), r = result(fd);

	if (fd < 0)
		return r;
	r = result(call(fd, address, size));
	close(fd);
	return r;
}

static int of_port(address_call *call, const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return of_new_socket(AF_INET, call, (struct sockaddr *)&address, sizeof address);
}

static int try_connect(const char *port)
{
	return of_port(connect, port);
}

static int try_bind(const char *port)
{
	return of_port(bind, port);
}

static int try_abstract(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);

	if (length + 1 > sizeof address.sun_path)
		return 255;
	memcpy(address.sun_path + 1, name, length);
	return of_new_socket(AF_UNIX, connect, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

static int try_socket(const char *unused)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = result(fd);

	(void)unused;
	if (fd >= 0)
		close(fd);
	return r;
}

static int inject(const char *path, unsigned long request)
{
	char byte = 'x';
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY), r = result(fd);

	if (fd >= 0) {
		r = result(ioctl(fd, request, &byte));
		close(fd);
	}
	return r;
}

static int try_inject(const char *path)
{
	return inject(path, TIOCSTI);
}

static int try_inject_console(const char *path)
{
	return inject(path, TIOCLINUX);
}

/* ---- calls by other numbers ---- */

#ifdef __x86_64__
static int try_i386(const char *unused)
{
	long number = 64; /* getppid */

	(void)unused;
	__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	return number < 0 ? (int)-number : 0;
}

static int try_x32(const char *unused)
{
	(void)unused;
	return result(syscall(0x40000000 | SYS_getppid));
}
#endif

static int try_shm(const char *key)
{
	return result(shmget((key_t)atoi(key), 1, 0));
}

static int try_signal(const char *pid)
{
	return result(kill((pid_t)atoi(pid), 0));
}

static int try_trace(const char *pid)
{
	return result(ptrace(PTRACE_ATTACH, (pid_t)atoi(pid), NULL, NULL));
}

static int try_kill(const char *signal)
{
	raise(atoi(signal));
	return 255;
}

static int try_exit(const char *code)
{
	return atoi(code);
}

static int try_orphan(const char *unused)
{
	int ends[2];
	pid_t orphan = 0, parent;

	(void)unused;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return 255;
	parent = fork();
	if (parent == 0) {
		orphan = fork();
		if (orphan == 0)
			_exit(0);
		_exit(write(ends[1], &orphan, sizeof orphan) < 0);
	}
	if (waitpid(parent, NULL, 0) != parent ||
		read(ends[0], &orphan, sizeof orphan) != sizeof orphan)
		return 255;
	SUPPORT_LOOK_UNTIL(kill(orphan, 0) < 0); /* a zombie is still there */
	return 0;
}

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
	caught = signal;
}

static int try_catch(const char *unused)
{
	sigset_t blocked, before;

	(void)unused;
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGHUP);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	if (write(1, "ready\n", 6) < 0)
		return 255;
	while (!caught)
		sigsuspend(&before);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(const char *argument);
} attempts[] = {
	{"read", try_read},
	{"create", try_create},
	{"write", try_write},
	{"escape", try_escape},
	{"exec", try_exec},
	{"exec-euid", try_exec_euid},
	{"append", try_append},
	{"count", try_count},
	{"nosuid", try_nosuid},
	{"device", try_device},
	{"mount-tmpfs", try_mount_tmpfs},
	{"read-link", try_read_link},
	{"pid", try_pid},
	{"uid", try_uid},
	{"euid", try_euid},
	{"gid", try_gid},
	{"groups", try_groups},
	{"dumpable", try_dumpable},
	{"setsid", try_setsid},
	{"scheduler", try_scheduler},
	{"set-groups", try_set_groups},
	{"user-namespace", try_user_namespace},
	{"raise-limit", try_raise_limit},
	{"set-hostname", try_set_hostname},
	{"hostname", try_hostname},
	{"same", try_same},
	{"uid-map", try_uid_map},
	{"gid-map", try_gid_map},
	{"connect", try_connect},
	{"bind", try_bind},
	{"abstract", try_abstract},
	{"socket", try_socket},
	{"inject", try_inject},
	{"inject-console", try_inject_console},
#ifdef __x86_64__
	{"i386", try_i386},
	{"x32", try_x32},
#endif
	{"shm", try_shm},
	{"signal", try_signal},
	{"trace", try_trace},
	{"kill", try_kill},
	{"exit", try_exit},
	{"orphan", try_orphan},
	{"catch", try_catch},
};

int attempt(const char *name, const char *argument)
{
	for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
		if (!strcmp(attempts[i].name, name))
			return attempts[i].fn(argument);
	return 255;
}
