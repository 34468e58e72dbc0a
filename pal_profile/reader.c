/* SPDX-License-Identifier: MIT */
#include <pal_profile/reader-priv.h>

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

/*
 * libinih finds sections, keys and values. How it was built decides what else it does: Debian's
 * takes lines for two that are longer than 200 bytes, " ;" for the beginning of a comment, ':'
 * for '=' and an indented line for more of the value before, and its switches are variables
 * of the whole process, which are not a library's to change. Each of these would
 * quietly make another sandbox of the text. So it gets lines here in which nothing of that can
 * happen: checked, joined, without white space in values, and long values in pieces, each
 * between two marks. What comes back without its marks is an error.
 */
#define MARK '\003'
#define SPACE '\001'
#define TAB '\002'
#define INDENTED ' ' /* begins the second and later pieces */

#define MAX_KEY 48 /* libinih has room for 49 */

struct reader {
	const char *at, *end;
	const char *name;
	unsigned line;      /* of `at` */
	unsigned this_line; /* where the line began that is being given away */
	char *joined;       /* the line; owned */
	char *rest;         /* of the value, not given away yet; NULL: all is */
	bool first;         /* the next piece is the first one */
	char key[MAX_KEY + 1];
	char *value; /* what came back so far; owned, with room for all of the line */
	size_t value_size;
	pal_profile__assign assign;
	void *userdata;
	int code;
	struct pal_error *error;
};

static char *refuse(struct reader *reader, int code, const char *what)
{
	if (!reader->code)
		reader->code = pal_error_set(reader->error, PAL_STAGE_PROFILE, code, "%s:%u: %s",
			reader->name, reader->this_line, what);
	if (reader->error)
		reader->error->index = (int)reader->this_line;
	return NULL;
}

/* ---- lines of the text ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static char *strip(char *text)
{
	char *end;

	while (is_space(*text))
		text++;
	end = text + strlen(text);
	while (end > text && is_space(end[-1]))
		*--end = 0;
	return text;
}

/* Whether the line begins, behind white space, with one of these. */
static bool begins_with(const char *line, const char *end, const char *characters)
{
	while (line < end && is_space(*line))
		line++;
	return line < end && strchr(characters, *line);
}

/* Appends the next line to `to`; whether the one behind it belongs to it. Comments in between do not count. */
static bool take_line(struct reader *reader, char **to)
{
	const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
	const char *line = reader->at, *end = newline ? newline : reader->end;

	reader->at = newline ? newline + 1 : reader->end;
	reader->line++;
	if (begins_with(line, end, "#;"))
		return true; /* only asked for in the middle of a line */
	memcpy(*to, line, (size_t)(end - line));
	*to += end - line;
	**to = 0;
	if (end == line || end[-1] != '\\')
		return false;
	(*to)[-1] = ' ';
	return true;
}

static void skip_comments(struct reader *reader)
{
	while (reader->at < reader->end) {
		const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
		const char *end = newline ? newline : reader->end;

		if (!begins_with(reader->at, end, "#;"))
			break;
		reader->at = newline ? newline + 1 : reader->end;
		reader->line++;
	}
}

static bool has_control_character(const char *line)
{
	for (; *line; line++)
		if (iscntrl((unsigned char)*line) && *line != '\t')
			return true;
	return false;
}

/* The next line that says something, joined, in reader->joined; NULL at the end. */
static char *next_line(struct reader *reader)
{
	for (;;) {
		char *to = reader->joined, *line;

		skip_comments(reader);
		if (reader->at == reader->end)
			return NULL;
		reader->this_line = reader->line;
		while (take_line(reader, &to) && reader->at < reader->end)
			;
		if (has_control_character(reader->joined))
			return refuse(reader, -EINVAL, "control character");
		line = strip(reader->joined);
		if (*line)
			return line;
	}
}

/* ---- lines for libinih ---- */

static char *give_section(struct reader *reader, const char *line, char *to, size_t room)
{
	size_t length = strlen(line);

	if (line[length - 1] != ']' || strcspn(line, "]") != length - 1)
		return refuse(reader, -EINVAL, "section without ]");
	if (strcmp(line, "[Service]") != 0 && strcmp(line, "[Finalize]") != 0)
		return refuse(reader, -EINVAL, "unknown section");
	snprintf(to, room, "%s\n", line);
	return to;
}

/* Up to the '=' it is the key; white space of the value is hidden. */
static char *begin_value(struct reader *reader, char *line)
{
	char *equals = strchr(line, '='), *key;

	if (!equals)
		return refuse(reader, -EINVAL, "line without =");
	*equals = 0;
	key = strip(line);
	if (!*key ||
		key[strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")])
		return refuse(reader, -EINVAL, "what stands before = is no key");
	if (strlen(key) > MAX_KEY)
		return refuse(reader, -EINVAL, "unknown key");
	memcpy(reader->key, key, strlen(key) + 1);
	reader->rest = strip(equals + 1);
	reader->first = true;
	reader->value_size = 0;
	for (char *c = reader->rest; *c; c++)
		*c = *c == ' ' ? SPACE : *c == '\t' ? TAB : *c;
	return reader->rest;
}

static char *give_piece(struct reader *reader, char *to, size_t room)
{
	size_t length = strlen(reader->rest), key = reader->first ? strlen(reader->key) : 0;
	char *at = to;

	if (room < key + 8)
		return refuse(reader, -EOPNOTSUPP, "libinih has no room for the line");
	if (length > room - key - 6)
		length = room - key - 6;
	if (reader->first) {
		memcpy(at, reader->key, key);
		at += key;
		*at++ = '=';
	} else {
		*at++ = INDENTED;
	}
	*at++ = MARK;
	memcpy(at, reader->rest, length);
	at += length;
	*at++ = MARK;
	memcpy(at, "\n", sizeof "\n");
	reader->first = false;
	reader->rest = reader->rest[length] ? reader->rest + length : NULL;
	return to;
}

/* libinih's fgets. */
static char *give_line(char *to, int room, void *stream)
{
	struct reader *reader = stream;

	if (reader->code || room < 16)
		return reader->code ? NULL : refuse(reader, -EOPNOTSUPP, "libinih has no room");
	if (!reader->rest) {
		char *line = next_line(reader);

		if (!line)
			return NULL;
		if (*line == '[')
			return give_section(reader, line, to, (size_t)room);
		if (!begin_value(reader, line))
			return NULL;
	}
	return give_piece(reader, to, (size_t)room);
}

/* ---- what comes back ---- */

static bool keep_piece(struct reader *reader, const char *piece)
{
	size_t length = strlen(piece);

	if (length < 2 || piece[0] != MARK || piece[length - 1] != MARK)
		return false;
	for (size_t i = 1; i < length - 1; i++) {
		char c = piece[i];

		reader->value[reader->value_size++] = c == SPACE ? ' ' : c == TAB ? '\t' : c;
	}
	reader->value[reader->value_size] = 0;
	return true;
}

/* libinih's handler: 0 is a failure. Built with line numbers it has one more argument, which is not looked at. */
static int take_piece(void *userdata, const char *section, const char *key, const char *piece)
{
	struct reader *reader = userdata;
	int r;

	if (reader->code)
		return 0;
	if (!key || !piece || strcmp(key, reader->key) || !keep_piece(reader, piece)) {
		refuse(reader, -EINVAL, "libinih reads this line in another way");
		return 0;
	}
	if (reader->rest)
		return 1;
	r = reader->assign(reader->userdata, section, key, reader->value, reader->this_line);
	if (r < 0)
		reader->code = r;
	return r >= 0;
}

static unsigned line_of_nul(const char *text)
{
	unsigned line = 1;

	for (; *text; text++)
		line += *text == '\n';
	return line;
}

int pal_profile__read(const char *text, size_t size, const char *name, pal_profile__assign assign,
	void *userdata, struct pal_error *error)
{
	PAL_CLEANUP_FREE char *joined = malloc(size + 1), *value = malloc(size + 1);
	struct reader reader = {.at = text,
		.end = text + size,
		.name = name,
		.line = 1,
		.this_line = 1,
		.joined = joined,
		.value = value,
		.assign = assign,
		.userdata = userdata,
		.error = error};
	int r;

	if (!joined || !value)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "%s", name);
	if (memchr(text, 0, size)) {
		reader.this_line = line_of_nul(text);
		refuse(&reader, -EINVAL, "NUL character");
		return reader.code;
	}
	r = ini_parse_stream(give_line, &reader, take_piece, &reader);
	if (reader.code)
		return reader.code;
	if (r == -2)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "%s", name);
	if (r) {
		refuse(&reader, -EINVAL, "libinih cannot read this line");
		return reader.code;
	}
	return 0;
}
