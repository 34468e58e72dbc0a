/* SPDX-License-Identifier: MIT */
#include <pal/strings-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

int pal__strings_take(struct pal__strings *strings, char *string)
{
	PAL_CLEANUP_FREE char *owned = string;

	if (!owned)
		return -ENOMEM;
	if (strings->count == strings->capacity) {
		size_t capacity = strings->capacity ? 2 * strings->capacity : 8;
		char **items = reallocarray(strings->items, capacity, sizeof *items);

		if (!items)
			return -ENOMEM;
		strings->items = items;
		strings->capacity = capacity;
	}
	strings->items[strings->count++] = PAL_TAKE_POINTER(owned);
	return 0;
}

int pal__strings_add(struct pal__strings *strings, const char *string)
{
	return pal__strings_take(strings, strdup(string));
}

void pal__strings_clear(struct pal__strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct pal__strings){0};
}
