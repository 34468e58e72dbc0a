/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_READER_PRIV_H
#define PROCMESH_PAL_PROFILE_READER_PRIV_H

#include <pal/error.h>
#include <stddef.h>

/* One assignment of a text, white space around the value removed. "": no section yet. */
typedef int (*pal_profile__assign)(
	void *userdata, const char *section, const char *key, char *value, unsigned line);

/*
 * Gives each assignment of a text to `assign`, until that returns something negative, which is returned
 * then. `name` is for errors in the form, which begin with "name:line". The form is that of
 * systemd.syntax(7): comments begin with # or ;, a backslash at the end of a line joins the next.
 */
int pal_profile__read(const char *text, size_t size, const char *name, pal_profile__assign assign,
	void *userdata, struct pal_error *error);

#endif
