/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_EXPORT_H
#define PROCMESH_PAL_EXPORT_H

/* Marks what a shared library exports; everything else is hidden. */
#define PAL_EXPORT __attribute__((visibility("default")))
#define PAL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define PAL_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
#define PAL_BEGIN_DECLS extern "C" {
#define PAL_END_DECLS }
#else
#define PAL_BEGIN_DECLS
#define PAL_END_DECLS
#endif

#endif
