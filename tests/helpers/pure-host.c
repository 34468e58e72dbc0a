/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_GD
#include <gd.h>
#endif

/*
 * pure-host STAGE ACTION: tries one action under the profile for pure
 * computation and exits with 0 or its errno. STAGE is "start" (the profile's
 * first half is all there is), "final" (the second is applied after the
 * initialisation) or "thread" (the same, and the action is tried in a thread
 * that existed before).
 */

/* A leak check at exit traces the process, which the profile forbids. */
const char *__asan_default_options(void) __attribute__((visibility("default")));
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static struct event_base *base;
static int event_pipe[2];

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int read_file(void)
{
	return result(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int write_file(void)
{
	return result(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int write_null(void)
{
	return result(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static int create_file(void)
{
	return result(open("/tmp/procmesh-test-pure", O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int open_above(void)
{
	return result(openat(3, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int remove_file(void)
{
	return result(unlink("/nowhere/at/all"));
}

static int make_socket(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int make_pair(void)
{
	int fds[2];

	return result(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

static int make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

static int run_descriptor(void)
{
	char *const none[] = {NULL};

	syscall(SYS_execveat, 0, "", none, none, AT_EMPTY_PATH);
	return errno;
}

static int trace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int mount_something(void)
{
	/* on nothing: without a sandbox, and as root, the machine would keep the mount */
	return result(mount("none", "", "tmpfs", 0, NULL));
}

static int unshare_user(void)
{
	return result(unshare(CLONE_NEWUSER));
}

static int signal_parent(void)
{
	return result(kill(getppid(), 0));
}

static int signal_parents_thread(void)
{
	return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

/* ptrace(2)'s permission is what this needs, and Yama's, which is another matter. */
static int read_parents_memory(void)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
	return result(open(path, O_RDONLY | O_CLOEXEC));
}

static int bind_parent_to_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return result(sched_setaffinity(getppid(), sizeof set, &set));
}

static int limit_parent(void)
{
	struct rlimit limit = {100, 100};

	return result(prlimit(getppid(), RLIMIT_NOFILE, &limit, NULL));
}

static int call_unknown(void)
{
	return result(syscall(9999));
}

static int call_clone3(void)
{
	return result(syscall(SYS_clone3, NULL, 0L));
}

static int make_code(void)
{
	void *page = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? errno : 0;
}

static int make_code_later(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? 255 : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int end_by_abort(void)
{
	abort();
}

static int inject_terminal_input(void) /* S81 */
{
	return result(syscall(SYS_ioctl, 0, (1UL << 32) | 0x5412 /* TIOCSTI */, "x"));
}

/* 0: none. */
static int own_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return errno;
	return data[0].permitted || data[1].permitted || data[0].effective || data[1].effective
		       ? 255
		       : 0;
}

/* Descriptor 4 is a datagram socket. The abstract address is the test's. */
static int send_abstract(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = getenv("PROCMESH_TEST_ADDRESS");
	size_t length = name ? strlen(name) : 0;

	if (!length || length >= sizeof address.sun_path)
		return 255;
	memcpy(address.sun_path + 1, name, length);
	return result(sendto(4, "x", 1, 0, (const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)));
}

static int own_descriptors(void)
{
	int fd = 0, highest = 0;

	while ((fd = dup(0)) >= 0)
		highest = fd;
	return errno == EMFILE && highest == 63 ? 0 : 255;
}

/* ---- what has to work ---- */

static void *add_one(void *count)
{
	prctl(PR_SET_NAME, "adder");
	atomic_fetch_add((atomic_int *)count, 1);
	return NULL;
}

static int use_threads(void)
{
	pthread_t threads[8];
	atomic_int count = 0;

	for (int i = 0; i < 8; i++)
		if ((errno = pthread_create(&threads[i], NULL, add_one, &count)))
			return errno;
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	return atomic_load(&count) == 8 ? 0 : 255;
}

static int use_memory(void)
{
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING), copy;
	struct stat status;
	char *bytes;

	if (fd < 0 || ftruncate(fd, 1 << 20) < 0)
		return errno;
	bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return errno;
	memset(bytes, 'x', 1 << 20);
	if (munmap(bytes, 1 << 20) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) < 0 ||
		fcntl(fd, F_GET_SEALS) != (F_SEAL_SHRINK | F_SEAL_WRITE))
		return errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	if (copy < 10 || fstat(copy, &status) < 0 || status.st_size != 1 << 20)
		return errno;
	close(copy);
	close(fd);
	bytes = malloc(1 << 24);
	bytes = realloc(bytes, 1 << 26);
	memset(bytes, 1, 1 << 26);
	free(bytes);
	return 0;
}

/* Descriptor 4 is a socket: reads the descriptor in the message that comes, and sends that back. */
static int use_socket(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec bytes = {&byte, 1};
	struct msghdr message = {.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *header;
	struct ucred peer;
	socklen_t size = sizeof peer;
	char text[5] = "";
	int fd;

	if (getsockopt(4, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
		fcntl(4, F_SETFL, O_RDWR) < 0)
		return errno;
	if (recvmsg(4, &message, MSG_CMSG_CLOEXEC) != 1)
		return errno ? errno : 255;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return 255;
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	if (pread(fd, text, 4, 0) != 4 || strcmp(text, "text"))
		return 255;
	return sendmsg(4, &message, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static void on_event(evutil_socket_t fd, short what, void *count)
{
	(void)fd;
	++*(int *)count;
	if (what & EV_TIMEOUT)
		event_base_loopbreak(base);
}

static int use_events_of(struct event_base *of)
{
	int count = 0, fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct event *readable = event_new(of, fd, EV_READ, on_event, &count);
	struct event *timer = event_new(of, -1, EV_TIMEOUT, on_event, &count);

	if (fd < 0 || event_add(readable, NULL) < 0 ||
		event_add(timer, &(struct timeval){0, 1000}) < 0)
		return 255;
	event_base_dispatch(of);
	event_free(readable);
	event_free(timer);
	close(fd);
	return count == 2 ? 0 : 255;
}

static int use_events(void)
{
	int failure = use_events_of(base);
	struct event_base *another = failure ? NULL : event_base_new();

	if (another) {
		struct event_base *first = base;

		base = another;
		failure = use_events_of(another);
		base = first;
		event_base_free(another);
	}
	return failure ? failure : another ? 0 : 255;
}

static int use_libc(void)
{
	unsigned char random[16];
	time_t now = time(NULL);
	struct tm broken;
	char text[200];

	if (getentropy(random, sizeof random) < 0 || !gmtime_r(&now, &broken))
		return errno;
	strftime(text, sizeof text, "%A %B %T", &broken);
	printf("%s %.3f %ld %ld\n", text, 1.5, sysconf(_SC_NPROCESSORS_ONLN),
		sysconf(_SC_PHYS_PAGES));
	nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
	return fflush(stdout) == 0 ? 0 : errno;
}

static int use_pictures(void)
{
#ifdef HAVE_GD
	gdImagePtr image = gdImageCreateTrueColor(200, 100), copy;
	int size = 0, width;
	void *bytes;

	gdImageFilledRectangle(image, 10, 10, 50, 50, gdTrueColor(1, 2, 3));
	bytes = gdImagePngPtr(image, &size);
	copy = bytes ? gdImageCreateFromPngPtr(size, bytes) : NULL;
	if (!copy)
		return 255;
	gdImageDestroy(image);
	image = gdImageScale(copy, 20, 10);
	width = image ? gdImageSX(image) : 0;
	gdFree(bytes);
	gdImageDestroy(image);
	bytes = gdImageJpegPtr(copy, &size, 80);
	gdImageDestroy(copy);
	gdFree(bytes);
	return width == 20 && bytes ? 0 : 255;
#else
	return 0;
#endif
}

static int signal_itself(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return raise(SIGUSR1) == 0 && sigtimedwait(&set, NULL, &(struct timespec){5, 0}) == SIGUSR1
		       ? 0
		       : errno;
}

/* clang-format off */
static const struct action {
	const char *name;
	int (*run)(void);
} actions[] = {
	{"read-file", read_file}, {"write-file", write_file}, {"write-null", write_null},
	{"create-file", create_file}, {"open-above", open_above}, {"remove-file", remove_file},
	{"make-socket", make_socket}, {"make-pair", make_pair}, {"make-process", make_process},
	{"run-program", run_program}, {"run-descriptor", run_descriptor}, {"trace", trace},
	{"mount", mount_something}, {"unshare", unshare_user}, {"signal-parent", signal_parent},
	{"signal-parents-thread", signal_parents_thread},
	{"read-parents-memory", read_parents_memory}, {"bind-parent", bind_parent_to_cpu},
	{"limit-parent", limit_parent}, {"call-unknown", call_unknown},
	{"call-clone3", call_clone3},
	{"make-code", make_code}, {"make-code-later", make_code_later}, {"abort", end_by_abort},
	{"inject-input", inject_terminal_input}, {"own-capabilities", own_capabilities},
	{"send-abstract", send_abstract}, {"own-descriptors", own_descriptors},
	{"use-threads", use_threads}, {"use-memory", use_memory}, {"use-socket", use_socket},
	{"use-events", use_events}, {"use-libc", use_libc}, {"use-pictures", use_pictures},
	{"signal-itself", signal_itself},
};
/* clang-format on */

static int run_action(const char *name)
{
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (!strcmp(actions[i].name, name))
			return actions[i].run();
	return 254;
}

/* A thread that exists before the second half is applied, and acts after it. */
static void *act_later(void *name)
{
	char byte;

	while (read(event_pipe[0], &byte, 1) < 0 && errno == EINTR)
		;
	return (void *)(intptr_t)run_action(name);
}

int main(int argc, char **argv)
{
	struct pal_error error = {0};
	pthread_t thread;
	void *failure;

	if (argc != 3)
		return 254;
	base = event_base_new();
	if (!base || pipe2(event_pipe, O_CLOEXEC) < 0 || read_file() != 0)
		return 253;
	if (pthread_create(&thread, NULL, act_later, argv[2]) != 0)
		return 252;
	if (strcmp(argv[1], "start") &&
		pal_profile_finalize(pal_profile_pure_compute(), &error) < 0) {
		fprintf(stderr, "%s\n", pal_error_text(&error));
		return 251;
	}
	if (strcmp(argv[1], "thread"))
		return run_action(argv[2]);
	if (write(event_pipe[1], "x", 1) != 1 || pthread_join(thread, &failure) != 0)
		return 250;
	return (int)(intptr_t)failure;
}
