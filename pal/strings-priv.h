/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_STRINGS_PRIV_H
#define PROCMESH_PAL_STRINGS_PRIV_H

#include <stddef.h>

/* A growing list of owned strings. Zeroes are the empty list. */
struct pal__strings {
	char **items;
	size_t count;
	size_t capacity;
};

/* Takes `string`, also on failure. NULL is the failed allocation of the caller. 0 or -ENOMEM. */
int pal__strings_take(struct pal__strings *strings, char *string);
int pal__strings_add(struct pal__strings *strings, const char *string);
void pal__strings_clear(struct pal__strings *strings);

#endif
