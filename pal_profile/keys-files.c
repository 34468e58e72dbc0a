/* SPDX-License-Identifier: MIT */
#include <pal_profile/keys-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>
#include <pal_profile/value-priv.h>

/* Keys about what files the child sees, and where it may write. */

#define FILES(member) offsetof(struct pal_profile__settings, files.member)

static struct pal_profile__places *places_of(struct pal_profile__context *context)
{
	return &context->settings->files.places;
}

/* Forgets the places of one kind; BIND: also those that are read-only. */
static void forget(struct pal_profile__places *places, enum pal_profile__place_kind kind)
{
	size_t kept = 0;

	for (size_t i = 0; i < places->count; i++) {
		struct pal_profile__place *place = &places->items[i];

		if (place->kind == kind) {
			free(place->path);
			free(place->source);
		} else {
			places->items[kept++] = *place;
		}
	}
	places->count = kept;
}

/* "-" at the beginning: it may be missing; "+" behind it: it begins in RootDirectory=. */
static int add_path(
	struct pal_profile__context *context, const struct pal_profile__key *key, const char *word)
{
	struct pal_profile__place place = {
		.kind = (enum pal_profile__place_kind)key->argument,
		.key = key->name,
		.line = context->line,
		.optional = *word == '-',
	};
	const char *path = word + place.optional;
	int r;

	place.in_root = *path == '+';
	path += place.in_root;
	r = pal_profile__check_path(path);

	if (r < 0)
		return pal_profile__bad(context, r, "%s", word);
	place.path = strdup(path);
	return pal_profile__bad(
		context, pal_profile__place_add(places_of(context), place), "%s", word);
}

static int read_paths(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	char *word;
	int r;

	if (!*value)
		forget(places_of(context), (enum pal_profile__place_kind)key->argument);
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = add_path(context, key, word);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- "source:path:rbind" ---- */

static int add_bind(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *word)
{
	struct pal_profile__place place = {.kind = PAL_PROFILE__BIND,
		.key = key->name,
		.line = context->line,
		.in_root = true,
		.optional = *word == '-',
		.read_only = key->argument,
		.devices = true};
	char *source = word + place.optional;
	char *path = strchr(source, ':'), *options = path ? strchr(path + 1, ':') : NULL;
	int r;

	if (path)
		*path++ = 0;
	if (options)
		*options++ = 0;
	if (options && strcmp(options, "rbind") != 0)
		return pal_profile__bad(context, strcmp(options, "norbind") ? -EINVAL : -EOPNOTSUPP,
			"%s: binds are recursive here", options);
	r = pal_profile__check_path(source);
	if (r < 0)
		return pal_profile__bad(context, r, "%s", source);
	r = path ? pal_profile__check_path(path) : 0;
	if (r < 0)
		return pal_profile__bad(context, r, "%s", path);
	place.source = strdup(source);
	place.path = strdup(path ? path : source);
	return pal_profile__bad(
		context, pal_profile__place_add(places_of(context), place), "%s", source);
}

static int read_binds(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	char *word;
	int r;

	if (!*value)
		forget(places_of(context), PAL_PROFILE__BIND);
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = add_bind(context, key, word);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- "path:size=10%,mode=0700,ro" ---- */

static int read_size(const char *text, uint64_t *ret)
{
	size_t length = strlen(text);
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t number;
	char digits[8];
	char unit;
	int r;

	if (length && length < sizeof digits && text[length - 1] == '%') {
		memcpy(digits, text, length);
		digits[length - 1] = 0;
		r = pal_profile__count(digits, &number);
		if (r >= 0 && (!number || number > 100))
			r = -ERANGE;
		if (r >= 0)
			*ret = (uint64_t)pages * (uint64_t)page / 100 * number;
		return r;
	}
	if (!length || length > 20)
		return -EINVAL;
	unit = text[length - 1];
	if (unit >= 'a' && unit <= 'z') { /* as the kernel has it: 10m */
		char upper[24];

		snprintf(upper, sizeof upper, "%.*s%c", (int)length - 1, text, unit - 'a' + 'A');
		r = pal_profile__bytes(upper, &number);
	} else {
		r = pal_profile__bytes(text, &number);
	}
	if (r >= 0 && !number)
		r = -ERANGE; /* to the kernel 0 means no limit */
	if (r >= 0)
		*ret = number;
	return r;
}

static int read_option(struct pal_profile__place *place, const char *option)
{
	static const char *const as_it_is[] = {"rw", "nodev", "nosuid", "exec", "strictatime"};

	if (!strncmp(option, "size=", 5))
		return read_size(option + 5, &place->size);
	if (!strncmp(option, "mode=", 5))
		return pal_profile__octal(option + 5, 07777, &place->mode);
	if (!strcmp(option, "ro"))
		place->read_only = true;
	else if (!strcmp(option, "noexec"))
		place->no_exec = true;
	else if (!strcmp(option, "dev"))
		place->devices = true;
	else {
		for (size_t i = 0; i < PAL_ARRAY_LENGTH(as_it_is); i++)
			if (!strcmp(as_it_is[i], option))
				return 0;
		return -EINVAL;
	}
	return 0;
}

static int add_tmpfs(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *word)
{
	struct pal_profile__place place = {.kind = PAL_PROFILE__TMPFS,
		.key = key->name,
		.line = context->line,
		.in_root = true,
		.mode = 0755};
	char *options = strchr(word, ':'), *option;
	int r;

	if (options)
		*options++ = 0;
	r = pal_profile__check_path(word);
	if (r < 0)
		return pal_profile__bad(context, r, "%s", word);
	while ((option = options ? strsep(&options, ",") : NULL)) {
		r = read_option(&place, option);
		if (r < 0)
			return pal_profile__bad(context, r, "option %s", option);
	}
	place.path = strdup(word);
	return pal_profile__bad(
		context, pal_profile__place_add(places_of(context), place), "%s", word);
}

static int read_tmpfs(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	char *word;
	int r;

	if (!*value)
		forget(places_of(context), PAL_PROFILE__TMPFS);
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = add_tmpfs(context, key, word);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- whole areas ---- */

static int read_protect(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	enum pal_profile__protect *place = pal_profile__place_of(context, key);
	bool is_home = key->argument, on = false;

	if (!strcmp(value, is_home ? "read-only" : "full"))
		*place = PAL_PROFILE__PROTECT_FULL;
	else if (!strcmp(value, is_home ? "tmpfs" : "strict"))
		*place = PAL_PROFILE__PROTECT_STRICT;
	else if (!*value || pal_profile__bool(value, &on) >= 0)
		*place = on ? PAL_PROFILE__PROTECT_YES : PAL_PROFILE__PROTECT_NO;
	else
		return pal_profile__bad(context, -EINVAL, "%s: there are yes, no, %s", value,
			is_home ? "read-only, tmpfs" : "full, strict");
	return 0;
}

static int read_root(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	char **root = &context->settings->files.root, *word = NULL;
	int r = pal_profile__next(context, &value, &word);

	(void)key;
	if (r < 0)
		return r;
	free(*root);
	*root = NULL;
	if (r == 0)
		return 0;
	r = *value ? -EINVAL : pal_profile__check_path(word);
	if (r < 0)
		return pal_profile__bad(context, r, "%s", word);
	context->settings->files.root_line = context->line;
	*root = strdup(word);
	return *root ? 0 : pal_profile__bad(context, -ENOMEM, "%s", word);
}

const struct pal_profile__key pal_profile__files_keys[] = {
	{"ReadWritePaths", read_paths, 0, PAL_PROFILE__READ_WRITE, false},
	{"ReadOnlyPaths", read_paths, 0, PAL_PROFILE__READ_ONLY, false},
	{"InaccessiblePaths", read_paths, 0, PAL_PROFILE__HIDE, false},
	{"ExecPaths", read_paths, 0, PAL_PROFILE__EXEC, false},
	{"NoExecPaths", read_paths, 0, PAL_PROFILE__NO_EXEC, false},
	{"BindPaths", read_binds, 0, false, false},
	{"BindReadOnlyPaths", read_binds, 0, true, false},
	{"TemporaryFileSystem", read_tmpfs, 0, 0, false},
	{"RootDirectory", read_root, 0, 0, false},
	{"ProtectSystem", read_protect, FILES(system), false, false},
	{"ProtectHome", read_protect, FILES(home), true, false},
	{"PrivateTmp", pal_profile__read_bool, FILES(tmp), 0, false},
	{"PrivateDevices", pal_profile__read_bool, FILES(devices), 0, false},
	{"PrivateMounts", pal_profile__read_bool, FILES(mounts), 0, false},
	{"ProtectKernelTunables", pal_profile__read_bool, FILES(kernel_tunables), 0, false},
	{"ProtectKernelModules", pal_profile__read_bool, FILES(kernel_modules), 0, false},
	{"ProtectKernelLogs", pal_profile__read_bool, FILES(kernel_logs), 0, false},
	{"ProtectControlGroups", pal_profile__read_bool, FILES(control_groups), 0, false},
	{0},
};
