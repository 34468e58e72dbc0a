/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

int pal_profile__refuse(struct pal_error *error, const char *name, unsigned line, const char *key,
	int code, const char *format, ...)
{
	char text[PAL_ERROR_TEXT_SIZE];
	int stage = code == -ENOMEM ? PAL_STAGE_MEMORY : PAL_STAGE_PROFILE;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	pal_error_set(error, stage, code, "%s:%u: %s=: %s", name, line, key, text);
	if (error)
		error->index = (int)line;
	return code;
}

int pal_profile__list_add(struct pal_profile__list *list, const char *item, unsigned line)
{
	unsigned *lines;
	char **items;

	if (list->count >= PAL_PROFILE__MOST)
		return -E2BIG;
	items = reallocarray(list->items, list->count + 1, sizeof *items);
	if (!items)
		return -ENOMEM;
	list->items = items;
	lines = reallocarray(list->lines, list->count + 1, sizeof *lines);
	if (!lines)
		return -ENOMEM;
	list->lines = lines;
	lines[list->count] = line;
	items[list->count] = strdup(item);
	if (!items[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

void pal_profile__list_clear(struct pal_profile__list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	free(list->lines);
	*list = (struct pal_profile__list){0};
}

int pal_profile__place_add(struct pal_profile__places *places, struct pal_profile__place place)
{
	struct pal_profile__place *items = NULL;
	bool too_many = places->count >= PAL_PROFILE__MOST_PLACES;

	if (!too_many && place.path && (place.kind != PAL_PROFILE__BIND || place.source))
		items = reallocarray(places->items, places->count + 1, sizeof *items);
	if (!items) {
		free(place.path);
		free(place.source);
		return too_many ? -E2BIG : -ENOMEM;
	}
	places->items = items;
	items[places->count++] = place;
	return 0;
}

void pal_profile__places_clear(struct pal_profile__places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		free(places->items[i].path);
		free(places->items[i].source);
	}
	free(places->items);
	*places = (struct pal_profile__places){0};
}

static void clear_stage(struct pal_profile__stage *stage)
{
	for (size_t i = 0; i < stage->filter.calls.count; i++)
		free(stage->filter.calls.items[i].name);
	free(stage->filter.calls.items);
	for (size_t i = 0; i < PAL_PROFILE__ACCESSES; i++)
		pal_profile__list_clear(&stage->landlock.paths[i]);
	free(stage->landlock.connect);
	free(stage->landlock.bind);
	pal_profile_free(stage->base);
}

void pal_profile__settings_clear(struct pal_profile__settings *settings)
{
	clear_stage(&settings->stage);
	clear_stage(&settings->finalize);
	pal_profile__places_clear(&settings->files.places);
	free(settings->files.root);
	free(settings->process.user_name);
	free(settings->process.home);
	free(settings->process.groups);
	free(settings->process.cwd);
	pal_profile__list_clear(&settings->process.environment);
	pal_profile__list_clear(&settings->process.unset);
	pal_profile__list_clear(&settings->process.pass);
	*settings = (struct pal_profile__settings){0};
}
