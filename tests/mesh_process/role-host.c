/* SPDX-License-Identifier: MIT */
/* What the program does as a host, or as another program that the test launches. */
#include "role.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mesh/invitation.h>
#include <mesh_process/mesh_process-priv.h>
#include <pal/builder.h>
#include <pal/util-priv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* ---- in the host ---- */

#define ANSWER_MAX 65536

static void read_fd(int fd, char *answer)
{
	size_t size = 0;
	ssize_t count;

	while (size < ANSWER_MAX - 1 &&
		(count = read(fd, answer + size, ANSWER_MAX - 1 - size)) > 0)
		size += (size_t)count;
	for (size_t i = 0; i < size; i++)
		if (!answer[i])
			answer[i] = '\n';
	answer[size] = 0;
}

static void read_file(const char *path, char *answer)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		strcpy(answer, strerrorname_np(errno));
		return;
	}
	read_fd(fd, answer);
	close(fd);
}

static void list_fds(char *answer)
{
	DIR *dir = opendir("/proc/self/fd");
	char *at = answer;

	for (struct dirent *entry; (entry = readdir(dir));) {
		char target[256];
		ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof target);

		if (size > 0 && atoi(entry->d_name) != dirfd(dir))
			at += sprintf(at, "%s:%.*s ", entry->d_name, (int)size, target);
	}
	closedir(dir);
}

static void run_shell(const char *command, char *answer)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	struct pal_child *child;

	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, command);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_close_others(builder, false); /* to see what is inherited otherwise */
	if (pal_builder_spawn(builder, &child, NULL) < 0) {
		strcpy(answer, "spawn failed");
	} else {
		read_fd(pal_child_stdout(child), answer);
		pal_child_free(child);
	}
	pal_builder_free(builder);
}

/* "ok" for 0 and more, or the name of an errno. */
static void say_result(int result, char *answer)
{
	strcpy(answer, result < 0 ? strerrorname_np(-result) : "ok");
}

static void attempt(const char *what, char *answer)
{
	pthread_t thread;
	int result = -EINVAL;

	if (!strncmp(what, "open ", 5)) {
		result = open(what + 5, O_RDONLY | O_CLOEXEC) < 0 ? -errno : 0;
	} else if (!strcmp(what, "socket")) {
		result = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? -errno : 0;
	} else if (!strcmp(what, "thread")) {
		result = -pthread_create(&thread, NULL, support_return_arg, NULL);
		if (!result)
			pthread_join(thread, NULL);
	}
	say_result(result, answer);
}

static void finalize(char *answer)
{
	struct pal_error error;

	if (pal_profile_finalize(pal_profile_pure_compute(), &error) < 0)
		strcpy(answer, pal_error_text(&error));
	else
		strcpy(answer, "0");
}

static struct mesh_message *answer_with(const char *text)
{
	struct mesh_message *message = mesh_message_new(text, strlen(text));

	if (!message)
		abort();
	return message;
}

/* What came along and was not used, back to where it came from. */
static void return_resources(struct mesh_message *from, struct mesh_message *to)
{
	for (size_t i = 0; i < mesh_message_resource_count(from); i++) {
		struct mesh_port *port = mesh_message_take_port(from, i);
		int fd = port ? -1 : mesh_message_take_fd(from, i);

		if ((port && mesh_message_put_port(to, port)) ||
			(fd >= 0 && mesh_message_put_fd(to, fd)))
			abort();
	}
}

/* A copy of this process with all its descriptors, which does nothing; not for ever, should the test fail. */
static pid_t fork_idler(void)
{
	pid_t pid = fork();

	if (pid < 0)
		abort();
	while (!pid) {
		alarm(300);
		pause();
	}
	return pid;
}

/* Does it; what is to be said about it into `answer`. */
static void obey(struct mesh_message *message, const char *command, char *answer)
{
	answer[0] = 0;
	if (!strncmp(command, "say ", 4)) {
		strcpy(answer, command + 4);
	} else if (!strncmp(command, "file ", 5)) {
		read_file(command + 5, answer);
	} else if (!strncmp(command, "run ", 4)) {
		run_shell(command + 4, answer);
	} else if (!strcmp(command, "fds")) {
		list_fds(answer);
	} else if (!strcmp(command, "read")) {
		int fd = mesh_message_take_fd(message, 0);

		read_fd(fd, answer);
		close(fd);
	} else if (!strcmp(command, "finalize")) {
		finalize(answer);
	} else if (!strcmp(command, "signals")) {
		support_send_every_signal();
		strcpy(answer, "none");
	} else if (!strcmp(command, "hang")) {
		strcpy(answer, "hanging");
	} else if (!strcmp(command, "fork")) {
		sprintf(answer, "%d", (int)fork_idler());
	} else if (!strncmp(command, "raise ", 6)) {
		raise(atoi(command + 6));
	} else {
		attempt(command, answer);
	}
}

/* More at once than a socket holds. */
static int pour(struct mesh_port *port, int count)
{
	for (int i = 0; i < count; i++)
		if (mesh_port_send(port, mesh_message_new_sized(1000)))
			abort();
	return 0;
}

static void die_after_answers(struct mesh_port *port, int count)
{
	for (int i = 0; i < count; i++)
		if (mesh_port_send(port, mesh_message_new(&i, sizeof i)))
			abort();
	raise(SIGKILL);
}

/* -1 in the parent, which waited for the child's end; in the child what it shall return. */
static int fork_and_wait(int status, char *answer)
{
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (!pid)
		return status;
	if (waitpid(pid, &status, 0) != pid)
		abort();
	sprintf(answer, "%s %d", WIFEXITED(status) ? "exit" : "status", WIFEXITED(status) ? WEXITSTATUS(status) : status);
	return -1;
}

static int do_as_told(struct mesh_port *port, void *userdata)
{
	static char answer[ANSWER_MAX], command[ANSWER_MAX];
	struct mesh_message *message;

	(void)userdata;
	while (!mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL)) {
		struct mesh_message *reply;

		snprintf(command, sizeof command, "%.*s", (int)mesh_message_size(message),
			(char *)mesh_message_data(message));
		if (!strncmp(command, "return ", 7) || !strncmp(command, "pour ", 5)) {
			mesh_message_free(message);
			return *command == 'r' ? atoi(command + 7) : pour(port, atoi(command + 5));
		}
		if (!strncmp(command, "last ", 5))
			die_after_answers(port, atoi(command + 5));
		if (!strncmp(command, "fork ", 5)) {
			int status = fork_and_wait(atoi(command + 5), answer);

			if (status >= 0) {
				mesh_message_free(message); /* of bytes alone: that needs no node */
				return status;
			}
		} else {
			obey(message, command, answer);
		}
		reply = answer_with(answer);
		return_resources(message, reply);
		mesh_message_free(message);
		if (mesh_port_send(port, reply))
			abort();
		while (!strcmp(answer, "hanging"))
			pause();
	}
	return 7; /* only seen when it is the port's end that ended the host */
}

/* ---- programs that are no hosts, or bad ones ---- */

static void die_at_once(void)
{
	raise(SIGKILL);
}

static void be_silent(void)
{
	for (;;)
		pause();
}

/* Dies when the leader's message has arrived: neither answered nor lost on the way. */
static void die_while_joining(void)
{
	char packet[16384];

	(void)!recv(MESH_PROCESS_LINK_FD, packet, sizeof packet, 0);
	raise(SIGKILL);
}

static void give_up_the_link(void)
{
	close(MESH_PROCESS_LINK_FD);
	be_silent();
}

static void send_garbage(void)
{
	(void)!send(MESH_PROCESS_LINK_FD, "not a packet of the mesh", 24, 0);
	be_silent();
}

/*
 * One that would not notice the loss of its link. No checks here: this is not a test, but
 * another program.
 */
static void make_it_hang(struct mesh_port *port)
{
	struct mesh_message *message;

	if (mesh_port_send(port, mesh_message_new("hang", 4)) ||
		mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL))
		abort();
	mesh_message_free(message);
}

/* A parent with hosts, which tells their pids and waits to be killed. */
static void launch_and_wait(void)
{
	struct mesh_process *process;
	struct mesh_port *ports[3];

	if (mesh_process_new("doomed", NULL, &process, NULL))
		abort();
	for (int i = 0; i < 3; i++) {
		struct mesh_process_config *config = mesh_process_config_new("orphan");
		struct mesh_process_host *host;

		if (mesh_process_launch(process, config, &ports[i], &host, NULL))
			abort();
		printf("%d\n", (int)mesh_process_host_pid(host));
		if (i == 1)
			make_it_hang(ports[i]);
		if (i == 2)
			mesh_process_host_signal(host, SIGSTOP); /* notices nothing at all */
	}
	fflush(stdout);
	close(1);
	be_silent();
}

#define ROLE_OWN_THREADS (BUILT_WITH_TSAN ? 2 : 1) /* the sanitizer has one for itself */

static const struct {
	const char *name;
	void (*run)(void);
} roles[] = {
	{"die-at-once", die_at_once},
	{"be-silent", be_silent},
	{"die-while-joining", die_while_joining},
	{"give-up-the-link", give_up_the_link},
	{"send-garbage", send_garbage},
	{"launch-and-wait", launch_and_wait},
};

/* One that has been joined may be on the list for another moment; one that goes on stays on it. */
static void say_threads_at_exit(void)
{
	int threads = 0;

	for (int i = 0; i < 30000 && (threads = support_count_threads("")) > ROLE_OWN_THREADS; i++)
		usleep(1000);
	fprintf(stderr, "threads at exit: %s\n", threads > ROLE_OWN_THREADS ? "too many" : "one");
}

void role_run(int argc, char **argv)
{
	if (getenv("ROLE_COUNTS_THREADS"))
		atexit(say_threads_at_exit);
	for (size_t i = 0; argc > 1 && i < PAL_ARRAY_LENGTH(roles); i++)
		if (!strcmp(argv[1], roles[i].name))
			roles[i].run();
	if (mesh_process_try_run_host("role", do_as_told, NULL))
		abort();
}
