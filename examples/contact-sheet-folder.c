/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "contact-sheet: %s: %s\n", what, why);
	exit(1);
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void set_label(struct picture *picture, enum picture_state state, const char *format, ...)
{
	va_list args;

	picture->state = state;
	va_start(args, format);
	vsnprintf(picture->label, sizeof picture->label, format, args);
	va_end(args);
	make_printable(picture->label);
}

int open_picture(const char *folder, struct picture *picture)
{
	char path[PATH_MAX];
	struct stat info;
	int fd;

	if (snprintf(path, sizeof path, "%s/%s", folder, picture->name) >= (int)sizeof path)
		fail(folder, strerror(ENAMETOOLONG));
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
		info.st_size <= (off_t)MAX_FILE)
		return fd;
	set_label(picture, PICTURE_REFUSED, "refused: %s",
		fd < 0 ? strerror(errno) : "not a regular file of at most 64 MB");
	if (fd >= 0)
		close(fd);
	return -1;
}

size_t list_pictures(const char *folder, struct picture **ret)
{
	struct dirent **entries;
	int all = scandir(folder, &entries, NULL, versionsort);
	struct picture *pictures = all < 0 ? NULL : calloc((size_t)all, sizeof *pictures);
	size_t count = 0;

	if (!pictures)
		fail(folder, strerror(errno));
	for (int i = 0; i < all; i++) {
		if (entries[i]->d_name[0] != '.') {
			strcpy(pictures[count].name, entries[i]->d_name);
			strcpy(pictures[count].caption, entries[i]->d_name);
			make_printable(pictures[count++].caption);
		}
		free(entries[i]);
	}
	free(entries);
	if (count == 0)
		fail(folder, "no files in it");
	*ret = pictures;
	return count;
}
