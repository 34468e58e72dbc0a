/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * start HOW COMMAND [FILE]
 *
 * Has a shell run COMMAND, and says how that went: "exit 3", "signal 9", or the error of a child
 * that could not be started. It knows nothing of sandboxes. HOW is the function or one of:
 *
 *	shell       system(NULL), whose answer is told
 *	missing     posix_spawn of a program that does not exist
 *	input       posix_spawn with an action that opens FILE as stdin
 *	elsewhere   posix_spawn with an action that changes to /
 *	without     posix_spawn with an environment that is just A=1, a bare B, A=2
 *	forget      posix_spawn, but FILE is removed before
 *	no-streams  posix_spawn without descriptors 0 to 2, but with actions that make some
 *	many        posix_spawn, system and popen in many threads, and in forks in between
 */

#define THREADS 8
#define ROUNDS 5

static const char *file;

static const char *ending(int status)
{
	static _Thread_local char text[32];

	if (WIFEXITED(status))
		snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
	else
		snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
	return text;
}

static const char *spawned(int error, pid_t pid)
{
	int status;

	if (error)
		return strerrorname_np(error);
	return waitpid(pid, &status, 0) == pid ? ending(status) : "lost";
}

static const char *by_spawn(
	const char *command, const posix_spawn_file_actions_t *actions, char **envp)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
	pid_t pid = -7;
	int r = posix_spawn(&pid, "/bin/sh", actions, NULL, argv, envp);

	if (r && pid != -7)
		return "changed the pid";
	return spawned(r, pid);
}

static const char *by_posix_spawn(const char *command)
{
	return by_spawn(command, NULL, environ);
}

static const char *by_posix_spawnp(const char *command)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
	pid_t pid;
	int r = posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);

	return spawned(r, pid);
}

static const char *by_system(const char *command)
{
	int status = system(command);

	return status < 0 ? strerrorname_np(errno) : ending(status);
}

static const char *by_popen(const char *command)
{
	FILE *stream = popen(command, "w");

	return stream ? ending(pclose(stream)) : strerrorname_np(errno);
}

/* ---- what goes with it ---- */

static const char *shell(const char *command)
{
	(void)command;
	return system(NULL) ? "there is one" : "there is none";
}

static const char *missing(const char *command)
{
	char *const argv[] = {(char *)command, NULL};
	pid_t pid;
	int r = posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ);

	return spawned(r, pid);
}

static const char *with_input(const char *command)
{
	posix_spawn_file_actions_t actions;
	const char *outcome;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, file, O_RDONLY, 0);
	outcome = by_spawn(command, &actions, environ);
	posix_spawn_file_actions_destroy(&actions);
	return outcome;
}

static const char *elsewhere(const char *command)
{
	posix_spawn_file_actions_t actions;
	const char *outcome;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	outcome = by_spawn(command, &actions, environ);
	posix_spawn_file_actions_destroy(&actions);
	return outcome;
}

static const char *without_environment(const char *command)
{
	char *entries[] = {(char *)"A=1", (char *)"B", (char *)"A=2", NULL};

	return by_spawn(command, NULL, entries);
}

static const char *forgetful(const char *command)
{
	if (unlink(file) < 0)
		return "could not";
	return by_posix_spawn(command);
}

/* What the sandbox needs itself may get the numbers that are free here. */
static const char *without_streams(const char *command)
{
	posix_spawn_file_actions_t actions;
	const char *outcome;
	int out = fcntl(1, F_DUPFD_CLOEXEC, 10);

	for (int fd = 0; fd < 10; fd++)
		close(fd);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, 3);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 3, 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	outcome = by_spawn(command, &actions, environ);
	dup2(out, 1);
	posix_spawn_file_actions_destroy(&actions);
	return outcome;
}

/* ---- many ---- */

static const char *command_of_many;
static char expected[32];
static _Atomic int in_threads, in_forks;

static int same(const char *outcome)
{
	return strcmp(outcome, expected) == 0;
}

static int all_ways(void)
{
	return same(by_posix_spawn(command_of_many)) + same(by_system(command_of_many)) +
	       same(by_popen(command_of_many));
}

static void *work(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		in_threads += all_ways();
	return arg;
}

static void *fork_in_between(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(all_ways());
		waitpid(pid, &status, 0);
		in_forks += WEXITSTATUS(status);
	}
	return arg;
}

/* "all": the same outcome in each of them, as the first one here. */
static const char *many(const char *command)
{
	pthread_t threads[THREADS];

	command_of_many = command;
	strcpy(expected, by_posix_spawn(command));
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, i % 4 ? work : fork_in_between, NULL) != 0)
			return "no threads";
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%d of %d in threads, %d of %d in forks: ", in_threads, 3 * THREADS / 4 * 3 * ROUNDS,
		in_forks, THREADS / 4 * 3 * ROUNDS);
	return expected;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		const char *(*start)(const char *command);
	} ways[] = {{"posix_spawn", by_posix_spawn}, {"posix_spawnp", by_posix_spawnp},
		{"system", by_system}, {"popen", by_popen}, {"shell", shell}, {"missing", missing},
		{"input", with_input}, {"elsewhere", elsewhere}, {"without", without_environment},
		{"forget", forgetful}, {"no-streams", without_streams}, {"many", many}};

	if (argc < 3)
		return 99;
	file = argc > 3 ? argv[3] : "";
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
		if (strcmp(argv[1], ways[i].name) == 0) {
			printf("%s\n", ways[i].start(argv[2]));
			return 0;
		}
	return 99;
}
