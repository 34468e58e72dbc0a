/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool has_line(const char *tid, const char *file, const char *wanted)
{
	char path[300], line[256] = "";
	bool found = false;
	FILE *stream;

	snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, file);
	stream = fopen(path, "re");
	if (!stream)
		return false; /* it has just ended */
	while (!found && fgets(line, sizeof line, stream))
		found = !strncmp(line, wanted, strlen(wanted));
	fclose(stream);
	return found;
}

static int count_threads(const char *file, const char *wanted)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	while (tasks && (entry = readdir(tasks)))
		count += entry->d_name[0] != '.' && has_line(entry->d_name, file, wanted);
	if (tasks)
		closedir(tasks);
	return count;
}

int support_count_threads(const char *name)
{
	return count_threads("comm", name);
}

int support_count_threads_with(const char *status)
{
	return count_threads("status", status);
}

void support_send_every_signal(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (BUILT_WITH_TSAN)
		sigdelset(&all, SIGSYS); /* a thread of its own has this one open */
	for (int number = 1; number <= SIGRTMAX; number++)
		if (sigismember(&all, number) > 0 && number != SIGKILL && number != SIGSTOP)
			kill(getpid(), number);
}
