/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_VALUE_PRIV_H
#define PROCMESH_PAL_PROFILE_VALUE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

/* What values consist of, as systemd.syntax(7) has it. 0, or a negative errno: -EINVAL, -ERANGE. */

/*
 * The next word of *at, quotes and escapes resolved in place: 1, 0 at the end, or -EINVAL.
 * "%%" is one '%'; other specifiers are -EOPNOTSUPP.
 */
int pal_profile__word(char **at, char **ret);

int pal_profile__bool(const char *text, bool *ret);
int pal_profile__integer(const char *text, long least, long most, long *ret);
int pal_profile__octal(const char *text, unsigned most, unsigned *ret);

/* A count, or bytes with K, M, G, T, P, E to the base of 1024. No "infinity". */
int pal_profile__bytes(const char *text, uint64_t *ret);
int pal_profile__count(const char *text, uint64_t *ret);
/* "1min 20s" in microseconds; a number alone is in `unit` microseconds. */
int pal_profile__time(const char *text, uint64_t unit, uint64_t *ret);

/* "EPERM" or a number from 1 to 4095. */
int pal_profile__errno(const char *text, int *ret);

/* Absolute, without "..": else -EINVAL. */
int pal_profile__check_path(const char *path);
/* "A1_b", as Environment= wants names. */
bool pal_profile__is_name(const char *text, size_t length);

#endif
