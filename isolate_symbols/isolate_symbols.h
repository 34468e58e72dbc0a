/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_SYMBOLS_ISOLATE_SYMBOLS_H
#define PROCMESH_ISOLATE_SYMBOLS_ISOLATE_SYMBOLS_H

#include <isolate/crash.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

/*
 * isolate_symbols: the places of a crash report by debugging information, with elfutils' libdw:
 * static functions, inlined ones, file and line. A library of its own, so that isolate
 * needs no libdw.
 */
struct isolate_symbols;

/*
 * Knows the program and the libraries that are loaded now. Their debugging information is found
 * in them and, by build id, where distributions put it (/usr/lib/debug); with DEBUGINFOD_URLS
 * in the environment elfutils asks those servers for it, and may take long. It is read when an
 * address needs it, and kept. 0, -ENOMEM, or the errno of reading /proc/self/maps, else
 * -EBADMSG.
 */
PAL_EXPORT int isolate_symbols_new(struct isolate_symbols **ret, struct pal_error *error) PAL_MUST_CHECK;
/* Takes NULL; keeps errno. */
PAL_EXPORT void isolate_symbols_free(struct isolate_symbols *symbols);

/*
 * For isolate_crash_text and isolate_crash_print, with the object as its userdata:
 *
 *	isolate_crash_print(result.crash, isolate_symbols_resolve, symbols, stderr);
 *
 * The object belongs to one thread at a time. The strings stay good until the next call.
 */
PAL_EXPORT size_t isolate_symbols_resolve(
	uintptr_t address, struct isolate_place *ret, size_t max, void *symbols);

PAL_END_DECLS

#endif
