/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PROFILED_H
#define PROCMESH_TESTS_PROFILED_H

#include <pal/pal.h>
#include <pal_profile/text.h>

#include "../pal/sandboxed.h"

/* A text that must be right. */
struct pal_profile *profile_of(const char *text);

/* What `attempt` returns, or DIED + the signal, in a child under the text. */
int under(const char *text, int (*attempt)(void *arg), const void *arg);

/* The stage at which spawning under the text fails, which it must. */
int stage_refused(const char *text);

/* For texts that mount or make namespaces: the same with a user namespace where that is needed. */
#define AS_ANYBODY "PrivateUsers=yes\n"

/* Of a text that is wrong: the code; the message must contain `part`. */
int refused(const char *text, const char *part);

#endif
