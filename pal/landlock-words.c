/* SPDX-License-Identifier: MIT */
#include <pal/landlock-words-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <pal/landlock.h>
#include <pal/util-priv.h>

struct pal__landlock_words *pal__landlock_words_new(void)
{
	struct pal__landlock_words *words = calloc(1, sizeof *words);

	if (words)
		atomic_init(&words->refs, 1);
	return words;
}

struct pal__landlock_words *pal__landlock_words_ref(struct pal__landlock_words *words)
{
	if (words)
		atomic_fetch_add(&words->refs, 1);
	return words;
}

struct pal__landlock_words *pal__landlock_words_unref(struct pal__landlock_words *words)
{
	if (words && atomic_fetch_sub(&words->refs, 1) == 1) {
		pal__strings_clear(&words->lines);
		free(words);
	}
	return NULL;
}

void pal__landlock_file_words(uint64_t access, char to[static PAL__LANDLOCK_WORDS_SIZE])
{
	static const struct {
		unsigned right;
		const char *words;
	} rights[] = {
		{PAL_LANDLOCK_READ, "read"},
		{PAL_LANDLOCK_WRITE, "write"},
		{PAL_LANDLOCK_EXECUTE, "execute"},
		{PAL_LANDLOCK_WRITE_FILE, "write files"},
		{PAL_LANDLOCK_READ_FILE, "read files"},
		{PAL_LANDLOCK_READ_DIR, "list folders"},
		{PAL_LANDLOCK_REMOVE_DIR, "remove folders"},
		{PAL_LANDLOCK_REMOVE_FILE, "remove files"},
		{PAL_LANDLOCK_MAKE_CHAR, "make character devices"},
		{PAL_LANDLOCK_MAKE_DIR, "make folders"},
		{PAL_LANDLOCK_MAKE_REG, "make files"},
		{PAL_LANDLOCK_MAKE_SOCK, "make sockets"},
		{PAL_LANDLOCK_MAKE_FIFO, "make pipes"},
		{PAL_LANDLOCK_MAKE_BLOCK, "make block devices"},
		{PAL_LANDLOCK_MAKE_SYM, "make symbolic links"},
		{PAL_LANDLOCK_REFER, "move and link between folders"},
		{PAL_LANDLOCK_TRUNCATE, "truncate"},
		{PAL_LANDLOCK_IOCTL_DEV, "ioctl of devices"},
	};
	size_t length = 0;

	snprintf(to, PAL__LANDLOCK_WORDS_SIZE, "nothing");
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(rights); i++)
		if (access & rights[i].right)
			length += (size_t)snprintf(to + length, PAL__LANDLOCK_WORDS_SIZE - length,
				"%s%s", length ? ", " : "", rights[i].words);
}

int pal__landlock_words_add(
	struct pal__landlock_words *words, const char *path, int port, unsigned access)
{
	char allowed[PAL__LANDLOCK_WORDS_SIZE], *line;
	int r;

	if (port >= 0) {
		r = asprintf(&line, "%s%s%s: TCP port %d",
			access & PAL_LANDLOCK_CONNECT ? "connect" : "",
			access == (PAL_LANDLOCK_CONNECT | PAL_LANDLOCK_BIND) ? ", " : "",
			access & PAL_LANDLOCK_BIND ? "bind" : "", port);
	} else {
		pal__landlock_file_words(access, allowed);
		r = asprintf(&line, "%s: %s", allowed, path);
	}
	return r < 0 ? -ENOMEM : pal__strings_take(&words->lines, line);
}
