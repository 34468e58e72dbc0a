/* SPDX-License-Identifier: MIT */
#include "leaks.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mappings-priv.h"

#define MAX_FDS 4096
#define MAX_NAMED 512
#define NAME_SIZE 128

struct fd_entry {
	int fd;
	char target[NAME_SIZE]; /* what /proc/self/fd says it is */
};

static struct {
	struct fd_entry fds[MAX_FDS];
	size_t fd_count;
	struct mapping named[MAX_NAMED];
	size_t named_count;
} then, now;

/* ---- text ---- */

struct lines {
	char *text;
	size_t size, used, count;
};

static void add_line(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_line(struct lines *lines, const char *format, ...)
{
	va_list args;

	lines->count++;
	if (lines->used + 1 >= lines->size)
		return;
	if (lines->used)
		lines->text[lines->used++] = '\n';
	va_start(args, format);
	vsnprintf(lines->text + lines->used, lines->size - lines->used, format, args);
	va_end(args);
	lines->used += strlen(lines->text + lines->used);
}

/* ---- descriptors ---- */

static size_t list_fds(struct fd_entry *fds, size_t room)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t count = 0;

	if (!dir)
		abort();
	while ((entry = readdir(dir)) && count < room) {
		struct fd_entry *fd = &fds[count];
		ssize_t length;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		fd->fd = atoi(entry->d_name);
		if (fd->fd == dirfd(dir))
			continue;
		length = readlinkat(dirfd(dir), entry->d_name, fd->target, sizeof fd->target - 1);
		fd->target[length < 0 ? 0 : length] = 0;
		count++;
	}
	closedir(dir);
	return count;
}

static const struct fd_entry *find_fd(const struct fd_entry *fds, size_t count, int fd)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i].fd == fd)
			return &fds[i];
	return NULL;
}

static void describe_fds(struct lines *lines)
{
	for (size_t i = 0; i < now.fd_count; i++) {
		const struct fd_entry *fd = &now.fds[i], *old = find_fd(then.fds, then.fd_count, fd->fd);

		if (!old)
			add_line(lines, "descriptor %d is left open: %s", fd->fd, fd->target);
		else if (strcmp(old->target, fd->target))
			add_line(lines, "descriptor %d was %s and is now %s", fd->fd, old->target, fd->target);
	}
	for (size_t i = 0; i < then.fd_count; i++)
		if (!find_fd(now.fds, now.fd_count, then.fds[i].fd))
			add_line(lines, "descriptor %d was closed: %s", then.fds[i].fd, then.fds[i].target);
}

/* ---- children ---- */

static void describe_child(struct lines *lines, pid_t pid)
{
	char path[64], name[64] = "?", state = '?';
	FILE *stat;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (stat) {
		if (fscanf(stat, "%*d (%63[^)]) %c", name, &state) != 2)
			state = '?';
		fclose(stat);
	}
	add_line(lines, "child %d (%s) is left %s", (int)pid, name, state == 'Z' ? "as a zombie" : "running");
}

static void describe_children_of_thread(struct lines *lines, const char *tid)
{
	char path[PATH_MAX];
	FILE *file;
	int pid;

	snprintf(path, sizeof path, "/proc/self/task/%s/children", tid);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fscanf(file, "%d", &pid) == 1)
		describe_child(lines, pid);
	fclose(file);
}

static void describe_children(struct lines *lines)
{
	size_t before = lines->count;
	siginfo_t info = {0};
	struct dirent *entry;
	DIR *tasks;

	/* __WALL: children that do not send SIGCHLD count too */
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return;
	tasks = opendir("/proc/self/task");
	while (tasks && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			describe_children_of_thread(lines, entry->d_name);
	if (tasks)
		closedir(tasks);
	if (lines->count == before) /* a kernel without CONFIG_PROC_CHILDREN */
		add_line(lines, "a child is left behind, %s", info.si_pid ? "as a zombie" : "running");
}

/* ---- mappings ---- */

static size_t count_named(const struct mapping *named, size_t count, const struct mapping *like)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		if (named[i].shared == like->shared && !strcmp(named[i].name, like->name))
			bytes += named[i].size;
	return bytes;
}

/* By name and bytes, not by address: the kernel merges and splits neighbours. */
static void describe_named(struct lines *lines)
{
	for (size_t i = 0; i < now.named_count; i++) {
		const struct mapping *mapping = &now.named[i];
		size_t had = count_named(then.named, then.named_count, mapping);
		size_t has = count_named(now.named, now.named_count, mapping);

		if (has > had && count_named(now.named, i, mapping) == 0)
			add_line(lines, "%zu bytes are left mapped: %s%s", has - had,
				mapping->shared ? "shared " : "", mapping->name);
	}
}

static void describe_anonymous(struct lines *lines)
{
	struct mapping left[16];
	size_t count = mappings_left(left, 16);

	for (size_t i = 0; i < count; i++)
		add_line(lines, "%zu bytes at %#jx are left mapped: private anonymous memory", left[i].size,
			(uintmax_t)left[i].start);
}

/* ---- all of it ---- */

void leaks_mark(void)
{
	then.named_count = mappings_named(then.named, MAX_NAMED);
	then.fd_count = list_fds(then.fds, MAX_FDS);
	mappings_watch();
}

size_t leaks_describe(char *text, size_t size)
{
	struct lines lines = {.text = text, .size = size};

	text[0] = 0;
	now.fd_count = list_fds(now.fds, MAX_FDS);
	now.named_count = mappings_named(now.named, MAX_NAMED);
	describe_fds(&lines);
	describe_children(&lines);
	describe_named(&lines);
	describe_anonymous(&lines);
	return lines.count;
}
