/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

int pal_profile__list_add(struct pal_profile__list *list, const char *item)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof *items);

	if (!items)
		return -ENOMEM;
	list->items = items;
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
	*list = (struct pal_profile__list){0};
}

int pal_profile__place_add(struct pal_profile__places *places, struct pal_profile__place place)
{
	struct pal_profile__place *items = NULL;

	if (place.path && (place.kind != PAL_PROFILE__BIND || place.source))
		items = reallocarray(places->items, places->count + 1, sizeof *items);
	if (!items) {
		free(place.path);
		free(place.source);
		return -ENOMEM;
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
