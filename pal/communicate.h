/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_COMMUNICATE_H
#define PROCMESH_PAL_COMMUNICATE_H

#include <pal/child.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct pal_builder;

#define PAL_COMMUNICATE_MAX_OUTPUT ((size_t)64 << 20)
#define PAL_COMMUNICATE_DRAIN_MS 200

struct pal_communicate_options {
	size_t size;             /* sizeof(struct pal_communicate_options), see PAL_COMMUNICATE_OPTIONS_INIT */
	const void *input;       /* for the child's stdin, if that is a pipe; borrowed */
	size_t input_size;
	size_t max_output;       /* bytes of each stream; 0: PAL_COMMUNICATE_MAX_OUTPUT */
	bool truncate;           /* more than that is read and thrown away, instead of an error */
	int64_t deadline_ms;     /* for all of it, from the call on; 0: none */
	int64_t drain_ms;        /* 0: PAL_COMMUNICATE_DRAIN_MS, negative: none; see pal_child_communicate */
};
#define PAL_COMMUNICATE_OPTIONS_INIT .size = sizeof(struct pal_communicate_options)

struct pal_output {
	struct pal_status status;
	char *out;        /* NUL-terminated behind its size; NULL where stdout is no pipe */
	size_t out_size;
	char *err;
	size_t err_size;
	bool truncated;   /* `truncate`, and there was more */
	bool cut_off;     /* the child has ended, and somebody else still held a pipe open */
	bool status_lost; /* as -ECHILD of pal_child_wait; then status.code is -1, and nothing else is in `status` */
};

/*
 * Feeds the child's stdin and closes it, collects stdout and stderr - what of
 * these is a PAL_STDIO_PIPE - and waits for the end, all at once: no order of
 * reading and writing on either side can block. A child that does not read all
 * of its input is no error, and no SIGPIPE.
 *
 * Pipes through which much goes are made to hold 256 KiB, where the kernel allows
 * it: of what a user may have in pipes (pipe-user-pages-soft, 64 MiB by default) that is the 256th part each.
 *
 * A grandchild may have inherited the pipes and hold them open: when the child
 * itself has ended, what arrives within `drain_ms`, and before the deadline, is
 * still read, then the call returns with cut_off.
 *
 * 0 on success, also with a status that is lost - the output is not - and *ret is the caller's, for pal_output_clear. -ETIMEDOUT,
 * -EOVERFLOW (more than max_output; PAL_STAGE_STDIO, index = the
 * stream's number), -ENOMEM, errors of
 * pal_child_wait: the child is killed and reaped then, and nothing is returned. For
 * a killed child that does not end (a tracer, a device) it waits two seconds; one
 * that may not be killed, because it has another user now, runs on. Either is the
 * handle's child still.
 * The pipes are closed in any case but -EINVAL, -E2BIG for `options`, which may
 * be NULL for all defaults, and -ECHILD in a fork (child.h). The handle stays the caller's, and the status with it. A handle
 * belongs to one thread at a time. A cancellation request is not acted on in here.
 */
PAL_EXPORT int pal_child_communicate(struct pal_child *child, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * pal_builder_spawn, pal_child_communicate and pal_child_free in one, with the
 * streams as the builder has them.
 */
PAL_EXPORT int pal_communicate(struct pal_builder *builder, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error) PAL_MUST_CHECK;

/* Frees what is in it, and leaves it empty. Takes NULL. */
PAL_EXPORT void pal_output_clear(struct pal_output *output);

PAL_END_DECLS

#endif
