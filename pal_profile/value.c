/* SPDX-License-Identifier: MIT */
#include <pal_profile/value-priv.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

#define SPACES " \t"
#define DIGITS "0123456789"

/* ---- words ---- */

static int digit_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, c | 0x20) : NULL;

	if (c >= '0' && c <= '9')
		return c - '0';
	return found && found - digits >= 10 ? (int)(found - digits) : 99;
}

/* `count` digits to the base; the number, or -EINVAL. */
static long number_at(const char *at, unsigned count, int base)
{
	long number = 0;

	while (count--) {
		int digit = digit_value(*at++);

		if (digit >= base)
			return -EINVAL;
		number = number * base + digit;
	}
	return number;
}

/* Code point as UTF-8; how many bytes, or -EINVAL. */
static int put_utf8(char *to, long point)
{
	if (point <= 0 || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return -EINVAL;
	if (point < 0x80) {
		to[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		to[0] = (char)(0xc0 | point >> 6);
		to[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		to[0] = (char)(0xe0 | point >> 12);
		to[1] = (char)(0x80 | (point >> 6 & 0x3f));
		to[2] = (char)(0x80 | (point & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | point >> 18);
	to[1] = (char)(0x80 | (point >> 12 & 0x3f));
	to[2] = (char)(0x80 | (point >> 6 & 0x3f));
	to[3] = (char)(0x80 | (point & 0x3f));
	return 4;
}

/* What stands behind a backslash; *at is moved behind it and *to behind what it is. */
static int unescape(const char **at, char **to)
{
	static const char names[] = "abfnrtvs\\\"'";
	static const char meanings[] = "\a\b\f\n\r\t\v \\\"'";
	const char *name = **at ? strchr(names, **at) : NULL;
	unsigned digits = **at == 'x' ? 2 : **at == 'u' ? 4 : **at == 'U' ? 8 : 0;
	long number;

	if (name) {
		*(*to)++ = meanings[name - names];
		++*at;
		return 0;
	}
	if (digits > 2) {
		number = number_at(*at + 1, digits, 16);
		digits++;
		number = number < 0 ? number : put_utf8(*to, number);
		if (number < 0)
			return -EINVAL;
		*to += number;
		*at += digits;
		return 0;
	}
	number = digits ? number_at(*at + 1, 2, 16) : number_at(*at, 3, 8);
	if (number <= 0 || number > 255)
		return -EINVAL;
	*(*to)++ = (char)number;
	*at += 3;
	return 0;
}

static int specifier(const char **at, char **to)
{
	if (**at != '%')
		return -EOPNOTSUPP;
	*(*to)++ = *(*at)++;
	return 0;
}

int pal_profile__word(char **at, char **ret)
{
	const char *from = *at + strspn(*at, SPACES);
	char *to, quote = 0;
	int r = 0;

	if (!*from)
		return 0;
	if (*from == '"' || *from == '\'')
		quote = *from++;
	*ret = to = *at;
	while (r >= 0 && *from && (quote ? *from != quote : !strchr(SPACES, *from))) {
		char c = *from++;

		if (c == '\\')
			r = unescape(&from, &to);
		else if (c == '%')
			r = specifier(&from, &to);
		else if (!quote && (c == '"' || c == '\''))
			r = -EINVAL; /* in the middle of a word */
		else
			*to++ = c;
	}
	if (r < 0)
		return r;
	if (quote && *from++ != quote)
		return -EINVAL;
	if (*from && !strchr(SPACES, *from))
		return -EINVAL; /* something right behind a quote */
	*at = (char *)from + (*from != 0);
	*to = 0;
	return 1;
}

/* ---- single values ---- */

int pal_profile__bool(const char *text, bool *ret)
{
	static const char *const words[] = {
		"0", "no", "false", "off", "n", "f", "1", "yes", "true", "on", "y", "t"};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(words); i++)
		if (!strcasecmp(text, words[i])) {
			*ret = i >= PAL_ARRAY_LENGTH(words) / 2;
			return 0;
		}
	return -EINVAL;
}

int pal_profile__integer(const char *text, long least, long most, long *ret)
{
	const char *digits = text + (*text == '-' || *text == '+');
	long number;
	int saved = errno;

	if (!*digits || digits[strspn(digits, DIGITS)])
		return -EINVAL;
	errno = 0;
	number = strtol(text, NULL, 10);
	if (errno || number < least || number > most) {
		errno = saved;
		return -ERANGE;
	}
	errno = saved;
	*ret = number;
	return 0;
}

int pal_profile__octal(const char *text, unsigned most, unsigned *ret)
{
	size_t length = strlen(text);

	if (!length || text[strspn(text, "01234567")])
		return -EINVAL;
	if (length > 10 || strtoul(text, NULL, 8) > most)
		return -ERANGE;
	*ret = (unsigned)strtoul(text, NULL, 8);
	return 0;
}

/* Digits at the beginning; *end is what follows. */
static int leading_number(const char *text, const char **end, uint64_t *ret)
{
	uint64_t number = 0;

	if (!strchr(DIGITS, *text) || !*text)
		return -EINVAL;
	for (; *text && strchr(DIGITS, *text); text++)
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -ERANGE;
	*end = text;
	*ret = number;
	return 0;
}

int pal_profile__count(const char *text, uint64_t *ret)
{
	uint64_t number;
	int r = leading_number(text, &text, &number);

	if (r >= 0 && *text)
		r = -EINVAL;
	if (r >= 0)
		*ret = number;
	return r;
}

int pal_profile__bytes(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "BKMGTPE";
	const char *suffix;
	uint64_t number;
	int r = leading_number(text, &text, &number);

	if (r < 0)
		return r;
	suffix = *text ? strchr(suffixes, *text) : suffixes;
	if (!suffix || (*text && text[1]))
		return -EINVAL;
	if (__builtin_mul_overflow(number, UINT64_C(1) << 10 * (suffix - suffixes), &number))
		return -ERANGE;
	*ret = number;
	return 0;
}

/* ---- spans of time ---- */

static const struct unit {
	const char *names; /* with a space around each */
	uint64_t microseconds;
} units[] = {
	{" us usec µs μs ", 1},
	{" ms msec ", 1000},
	{" s sec second seconds ", 1000000},
	{" m min minute minutes ", UINT64_C(60) * 1000000},
	{" h hr hour hours ", UINT64_C(3600) * 1000000},
	{" d day days ", UINT64_C(86400) * 1000000},
	{" w week weeks ", UINT64_C(604800) * 1000000},
	{" M month months ", UINT64_C(2629800) * 1000000},
	{" y year years ", UINT64_C(31557600) * 1000000},
};

/* 0: no unit of that name. */
static uint64_t unit_of(const char *name, size_t length)
{
	char word[16];

	if (!length || length > sizeof word - 3)
		return 0;
	word[0] = word[length + 1] = ' ';
	memcpy(word + 1, name, length);
	word[length + 2] = 0;
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(units); i++)
		if (strstr(units[i].names, word))
			return units[i].microseconds;
	return 0;
}

int pal_profile__time(const char *text, uint64_t unit, uint64_t *ret)
{
	uint64_t total = 0;

	do {
		uint64_t number, scale = unit;
		int r = leading_number(text + strspn(text, SPACES), &text, &number);
		size_t length;

		if (r < 0)
			return r;
		text += strspn(text, SPACES);
		if (!strchr(DIGITS, text[strspn(text, SPACES)]))
			text += strspn(text, SPACES); /* "2 h" */
		length = strcspn(text, SPACES DIGITS);
		if (length)
			scale = unit_of(text, length);
		if (!scale)
			return -EINVAL;
		if (__builtin_mul_overflow(number, scale, &number) ||
			__builtin_add_overflow(total, number, &total))
			return -ERANGE;
		text += length;
	} while (text[strspn(text, SPACES)]);
	*ret = total;
	return 0;
}

/* ---- names ---- */

int pal_profile__errno(const char *text, int *ret)
{
	long number;
	int r;

	if (*text != 'E') {
		r = pal_profile__integer(text, 1, 4095, &number);
		if (r >= 0)
			*ret = (int)number;
		return r;
	}
	for (int code = 1; code < 4096; code++) {
		const char *name = strerrorname_np(code);

		if (name && !strcmp(name, text)) {
			*ret = code;
			return 0;
		}
	}
	if (strcmp(text, "EWOULDBLOCK") != 0)
		return -EINVAL;
	*ret = EWOULDBLOCK;
	return 0;
}

int pal_profile__check_path(const char *path)
{
	if (*path != '/')
		return -EINVAL;
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	while (*(path += strspn(path, "/"))) {
		size_t length = strcspn(path, "/");

		if (length == 2 && !strncmp(path, "..", 2))
			return -EINVAL;
		path += length;
	}
	return 0;
}

bool pal_profile__is_name(const char *text, size_t length)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_" DIGITS;

	return length && !strchr(DIGITS, *text) && strspn(text, allowed) >= length;
}
