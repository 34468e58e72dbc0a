/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *closing(int status)
{
	static char text[64];

	if (status >= 0)
		return status_text(status);
	snprintf(text, sizeof text, "-1 %s", name_of(-1));
	return text;
}

static const char *all_of(FILE *stream)
{
	static char text[4096];
	size_t length = fread(text, 1, sizeof text - 1, stream);

	text[length] = 0;
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return text;
}

static void modes(void)
{
	static const char *const texts[] = {"r", "w", "re", "er", "we", "ew", "ee", "e", "", "rw", "rr", "ww", "rre",
		"r+", "rb", "a", "x", "R", " r"};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		FILE *stream;

		errno = 0;
		stream = popen("exit 3", texts[i]);
		if (!stream) {
			say("'%s': %s", texts[i], name_of(-1));
			continue;
		}
		say("'%s': number %d, flag %d, access %d", texts[i], fileno(stream), fcntl(fileno(stream), F_GETFD),
			fcntl(fileno(stream), F_GETFL) & O_ACCMODE);
		say("'%s': %s", texts[i], closing(pclose(stream)));
	}
	say("children left: %s, descriptors: %zu", ending_of(-1), open_fds());
}

static void read_all(const char *command)
{
	FILE *stream = popen(command, "r");
	const char *text = all_of(stream);

	say("'%s': %s; %s", command, text, closing(pclose(stream)));
}

static void reading(void)
{
	FILE *stream = popen("echo one; echo two; exit 4", "r");
	int first, written;

	say("%s", all_of(stream));
	written = fputc('x', stream);
	say("end: %d, error: %d, write: %d", feof(stream) != 0, ferror(stream) != 0, written);
	say("%s", closing(pclose(stream)));
	stream = popen("head -c 1000000 /dev/zero; exit 5", "r");
	first = fgetc(stream);
	say("left early: %d; %s", first, closing(pclose(stream)));
	must(dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2) == 2);
	read_all("kill -9 $$");
	read_all("no-such-command");
	read_all("");
	read_all("-c");
	read_all("echo $0 $#");
}

static void writing(void)
{
	FILE *stream = popen("cat >written; exit 6", "w");
	int r;

	fprintf(stream, "some text");
	say("read: %d", fgetc(stream));
	r = pclose(stream);
	say("%s: %s", closing(r), read_file("written"));
	signal(SIGPIPE, SIG_IGN);
	must(mkfifo("ready", 0600) == 0);
	stream = popen("exec <&-; echo ready >ready; exit 0", "w");
	read_file("ready");
	fprintf(stream, "lost");
	say("nobody reads, exit 0: %s", closing(pclose(stream)));
	stream = popen("exec <&-; echo ready >ready; exit 7", "w");
	read_file("ready");
	fprintf(stream, "lost");
	say("nobody reads, exit 7: %s", closing(pclose(stream)));
	stream = popen("exec <&-; exit 0", "w");
	say("nothing written: %s", closing(pclose(stream)));
}

/* POSIX: streams of earlier calls are closed in a new child, whatever their flag. */
static void other_streams(void)
{
	FILE *first = popen("cat >/dev/null; exit 8", "w"), *second = popen("cat >/dev/null; exit 9", "we"),
	     *third;
	char command[PATH_MAX + 64];

	snprintf(command, sizeof command, "exec '%s' --show fds", self);
	third = popen(command, "r");
	all_of(third);
	say("third has %s", read_file(SHOWN));
	show("others have", "fds", NULL, NULL);
	say("first: %s", closing(pclose(first)));
	say("second: %s", closing(pclose(second)));
	say("third: %s", closing(pclose(third)));
}

/* What ends a stream is for the library to match here, not for the compiler. */
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-dealloc"
#endif
static void streams_that_are_not_popen_s(void)
{
	FILE *file = fopen("file", "w"), *stream;
	int r;

	fprintf(file, "kept");
	r = pclose(file);
	say("pclose of a file: %d, %s", r, read_file("file"));
	stream = popen("cat >/dev/null; exit 10", "w");
	say("fclose of a stream: %s", closing(fclose(stream)));
	stream = popen("cat >/dev/null; exit 10", "w");
	file = fopen("file", "r");
	say("fclose of a file meanwhile: %d", fclose(file));
	say("pclose: %s", closing(pclose(stream)));
	say("descriptors: %zu", open_fds());
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

static void a_status_that_is_lost(void)
{
	FILE *stream = popen("exit 11", "r");
	int status;

	must(wait(&status) > 0);
	errno = 0;
	say("reaped by somebody else: %s", closing(pclose(stream)));
	signal(SIGCHLD, SIG_IGN);
	stream = popen("exit 11", "r");
	all_of(stream);
	say("CHLD ignored: %s", closing(pclose(stream)));
	signal(SIGCHLD, SIG_DFL);
	stream = popen("exit 12", "r");
	close(fileno(stream));
	say("number closed by the program: %s", closing(pclose(stream)));
	say("child: %s", ending_of(-1));
}

/* S5 */
static void with_streams_closed(void)
{
	int saved = fcntl(1, F_DUPFD_CLOEXEC, 10);
	char text[4096];
	FILE *stream;
	int status;

	close(0);
	stream = popen("cat >written; exit 13", "w");
	fprintf(stream, "to 0 from %d", fileno(stream));
	say("w: %s", closing(pclose(stream)));
	say("%s", read_file("written"));
	close(1);
	stream = popen("echo out; exit 14", "r");
	strcpy(text, all_of(stream));
	status = pclose(stream);
	dup2(saved, 1);
	say("r: %s; %s", text, closing(status));
	close(1);
	stream = popen("cat >written; exit 15", "w");
	fprintf(stream, "0 and 1 were closed");
	status = pclose(stream);
	dup2(saved, 1);
	say("w: %s %s", closing(status), read_file("written"));
}

static void without_descriptors(void)
{
	struct rlimit limit = {8, 20};
	FILE *stream;
	int last = -1, fd;

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		last = fd;
	stream = popen("exit 0", "r");
	say("none: %d %s", stream != NULL, name_of(-1));
	close(last);
	stream = popen("exit 0", "r");
	say("one: %d %s", stream != NULL, name_of(-1));
	close(last - 1);
	stream = popen("exit 16", "r");
	say("two: %d", stream != NULL);
	say("%s", closing(pclose(stream)));
	say("system: %s", status_text(system("exit 17")));
}

static _Atomic int right;

static void *run_some(void *arg)
{
	for (int i = 0; i < 10; i++) {
		char command[64], text[64] = "";
		FILE *stream;

		snprintf(command, sizeof command, "echo %d; exit %d", (int)(size_t)arg, i);
		stream = popen(command, "r");
		must(stream && fgets(text, sizeof text, stream));
		right += atoi(text) == (int)(size_t)arg && WEXITSTATUS(pclose(stream)) == i;
	}
	return NULL;
}

/* S52 */
static void from_many_threads(void)
{
	pthread_t threads[8];

	for (size_t i = 0; i < 8; i++)
		must(pthread_create(&threads[i], NULL, run_some, (void *)i) == 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	say("%d, children left: %s, descriptors: %zu", right, ending_of(-1), open_fds());
}

/*
 * A stream that is being closed is still one of the others until all is written: the child
 * of another popen does not get it. Its reader does not read before that one runs.
 */
static void *close_it(void *stream)
{
	return (void *)(intptr_t)pclose(stream);
}

static void closing_a_stream_that_is_full(void)
{
	static char data[200000], buffer[300000];
	FILE *full = popen("kill -STOP $$; exec cat >/dev/null", "w"), *other;
	int fd = fileno(full), waiting = 0, other_pid;
	siginfo_t stopped;
	pthread_t thread;
	void *status;

	must(setvbuf(full, buffer, _IOFBF, sizeof buffer) == 0);
	must(fwrite(data, 1, sizeof data, full) == sizeof data);
	must(waitid(P_ALL, 0, &stopped, WSTOPPED | WNOWAIT) == 0);
	must(pthread_create(&thread, NULL, close_it, full) == 0);
	while (waiting < 4096) { /* it has begun to write */
		must(ioctl(fd, FIONREAD, &waiting) == 0);
		sched_yield();
	}
	other = popen("echo $$; exec sleep 1000", "r");
	must(other && fscanf(other, "%d", &other_pid) == 1);
	kill(stopped.si_pid, SIGCONT);
	pthread_join(thread, &status);
	say("the full one: %s", closing((int)(intptr_t)status));
	kill(other_pid, SIGKILL);
	say("the other: %s", closing(pclose(other)));
}

/* By libc's own pclose, which knows nothing of streams of a preloaded library. */
static void streams_that_another_library_closes(void)
{
	int (*libc_pclose)(FILE *) =
		(int (*)(FILE *))dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), "pclose");
	FILE *stream = popen("exit 21", "r");
	int sum = 0;

	must(stream && libc_pclose);
	libc_pclose(stream);
	for (int i = 0; i < 10; i++) {
		FILE *file = fopen("/dev/null", "r"); /* at the address of the other */

		must(file);
		sum += fclose(file);
	}
	say("ordinary files: %d", sum);
	stream = popen("exit 22", "r");
	say("and a new one: %s", closing(pclose(stream)));
}

static void signals_and_mask(void)
{
	sigset_t mask;
	char command[5000];

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGINT, SIG_IGN);
	snprintf(command, sizeof command, "exec '%s' --show mask,ignored", self);
	say("%s", closing(pclose(popen(command, "r"))));
	say("%s", read_file(SHOWN));
}

const struct spawn_case popen_cases[] = {{"modes", modes}, {"reading", reading}, {"writing", writing},
	{"other_streams", other_streams},
	{"streams_that_are_not_popen_s", streams_that_are_not_popen_s},
	{"a_status_that_is_lost", a_status_that_is_lost}, {"with_streams_closed", with_streams_closed},
	{"without_descriptors", without_descriptors}, {"from_many_threads", from_many_threads},
	{"signals_and_mask", signals_and_mask},
	{"closing_a_stream_that_is_full", closing_a_stream_that_is_full},
	{"streams_that_another_library_closes", streams_that_another_library_closes}, {NULL, NULL}};
