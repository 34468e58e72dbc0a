/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LOG_H
#define PROCMESH_PAL_LOG_H

#include <pal/export.h>

PAL_BEGIN_DECLS

enum pal_log_level { PAL_LOG_ERROR, PAL_LOG_WARNING, PAL_LOG_INFO, PAL_LOG_DEBUG };

/* `text` has no newline and is valid only during the call. May be called from any thread, with no lock held. */
typedef void (*pal_log_fn)(enum pal_log_level level, const char *text, void *userdata);

/*
 * Where the libraries of this toolkit log to; NULL (the initial state) turns
 * logging off. Call it before other threads use the toolkit.
 */
PAL_EXPORT void pal_log_set(pal_log_fn fn, void *userdata);

/* For the toolkit's own libraries: formats and passes on, or does nothing. Keeps errno. Never called after fork. */
PAL_EXPORT void pal_log(enum pal_log_level level, const char *format, ...) PAL_PRINTF(2, 3);

PAL_END_DECLS

#endif
