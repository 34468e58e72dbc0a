/* SPDX-License-Identifier: MIT */
#include <pal_profile/keys-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal_profile/value-priv.h>

/*
 * What systemd has no key for: Landlock, and the ready-made profiles. systemd passes over keys
 * that begin with X-. What X-LandlockRestrict= names is denied, but for what the others allow.
 */

static int read_restrict(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__landlock *landlock = &context->stage->landlock;
	char *word;
	int r;

	(void)key;
	landlock->files_line = context->line;
	if (!*value)
		landlock->restrict_files = landlock->restrict_ports = landlock->scope_signals =
			landlock->scope_sockets = false;
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		if (!strcmp(word, "files"))
			landlock->restrict_files = true;
		else if (!strcmp(word, "tcp"))
			landlock->restrict_ports = true;
		else if (!strcmp(word, "signals"))
			landlock->scope_signals = true;
		else if (!strcmp(word, "abstract-sockets"))
			landlock->scope_sockets = true;
		else
			return pal_profile__bad(context, -EINVAL,
				"%s: there are files, tcp, signals, abstract-sockets", word);
	}
	return r;
}

static int check_path(const char *word)
{
	return pal_profile__check_path(word + (*word == '-'));
}

static int read_paths(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__landlock *landlock = &context->stage->landlock;

	landlock->files_line = context->line;
	return pal_profile__read_list(context, &landlock->paths[key->argument], value, check_path);
}

static int add_port(uint16_t **ports, size_t *count, uint16_t port)
{
	uint16_t *grown;

	if (*count >= PAL_PROFILE__MOST)
		return -E2BIG;
	grown = reallocarray(*ports, *count + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	*ports = grown;
	grown[(*count)++] = port;
	return 0;
}

static int read_ports(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__landlock *landlock = &context->stage->landlock;
	bool bind = key->argument == PAL_LANDLOCK_BIND;
	uint16_t **ports = bind ? &landlock->bind : &landlock->connect;
	size_t *count = bind ? &landlock->bind_count : &landlock->connect_count;
	char *word;
	long port;
	int r;

	if (!*value)
		*count = 0;
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = pal_profile__integer(word, 0, UINT16_MAX, &port);
		if (r < 0)
			return pal_profile__bad(context, r, "port %s", word);
		r = add_port(ports, count, (uint16_t)port);
		if (r < 0)
			return pal_profile__bad(context, r, "port %s", word);
	}
	return r;
}

/* ---- ready-made profiles ---- */

static int make_base(struct pal_profile__context *context, const struct pal_profile__list *words,
	struct pal_profile **ret)
{
	const char *name = words->items[0];
	const char *const *parameters = (const char *const *)words->items + 1;

	return pal_profile_by_name(name, parameters, words->count - 1, ret, context->error);
}

static int check_nothing(const char *word)
{
	(void)word;
	return 0;
}

static int read_profile(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__list words = {0};
	struct pal_profile *base = NULL;
	int r = pal_profile__read_list(context, &words, value, check_nothing);

	(void)key;
	if (r >= 0 && words.count) {
		struct pal_error why = {0};
		struct pal_profile__context quiet = *context;

		quiet.error = &why;
		r = make_base(&quiet, &words, &base);
		if (r < 0)
			r = pal_profile__bad(context, r, "%s", pal_error_text(&why));
	}
	if (r >= 0) {
		pal_profile_free(context->settings->stage.base);
		context->settings->stage.base = base;
		context->settings->stage.base_line = context->line;
	}
	pal_profile__list_clear(&words);
	return r < 0 ? r : 0;
}

const struct pal_profile__key pal_profile__landlock_keys[] = {
	{"X-Profile", read_profile, 0, 0, false},
	{"X-LandlockRestrict", read_restrict, 0, 0, true},
	{"X-LandlockBestEffort", pal_profile__read_bool,
		offsetof(struct pal_profile__stage, landlock.best_effort), 0, true},
	{"X-LandlockRead", read_paths, 0, PAL_PROFILE__READ, true},
	{"X-LandlockWrite", read_paths, 0, PAL_PROFILE__WRITE, true},
	{"X-LandlockExecute", read_paths, 0, PAL_PROFILE__EXECUTE, true},
	{"X-LandlockConnect", read_ports, 0, PAL_LANDLOCK_CONNECT, true},
	{"X-LandlockBind", read_ports, 0, PAL_LANDLOCK_BIND, true},
	{0},
};
