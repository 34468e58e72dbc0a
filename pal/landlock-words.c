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

static const char *file_words(unsigned access)
{
	static const char *const words[] = {"nothing", "read", "write", "read, write", "execute",
		"read, execute", "write, execute", "read, write, execute"};
	const unsigned coarse = PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE | PAL_LANDLOCK_EXECUTE;

	return access & ~coarse ? NULL : words[access];
}

int pal__landlock_words_add(
	struct pal__landlock_words *words, const char *path, int port, unsigned access)
{
	const char *allowed = port < 0 ? file_words(access) : NULL;
	char *line;
	int r;

	if (port >= 0)
		r = asprintf(&line, "%s%s%s: TCP port %d",
			access & PAL_LANDLOCK_CONNECT ? "connect" : "",
			access == (PAL_LANDLOCK_CONNECT | PAL_LANDLOCK_BIND) ? ", " : "",
			access & PAL_LANDLOCK_BIND ? "bind" : "", port);
	else if (allowed)
		r = asprintf(&line, "%s: %s", allowed, path);
	else
		r = asprintf(&line, "rights %#x: %s", access, path);
	return r < 0 ? -ENOMEM : pal__strings_take(&words->lines, line);
}
