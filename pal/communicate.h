/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_COMMUNICATE_H
#define PROCMESH_PAL_COMMUNICATE_H

#include <pal/child.h>
#include <pal/deadline.h>
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
	pal_deadline deadline;   /* 0 as PAL_DEADLINE_NONE; for all of it */
	int64_t drain_ms;        /* 0: PAL_COMMUNICATE_DRAIN_MS; see pal_child_communicate */
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
};

/*
 * Feeds the child's stdin and closes it, collects stdout and stderr - what of
 * these is a PAL_STDIO_PIPE - and waits for the end, all at once: no order of
 * reading and writing on either side can block. A child that does not read all
 * of its input is no error, and no SIGPIPE.
 *
 * A grandchild may have inherited the pipes and hold them open: when the child
 * itself has ended, what arrives within `drain_ms` is still read, then the call
 * returns with cut_off. 0 on success, and *ret is the caller's, for pal_output_clear.
 * -ETIMEDOUT, -EOVERFLOW (more than max_output), -ENOMEM, errors of pal_child_wait:
 * the child is killed and reaped then, and nothing is returned. The pipes are
 * closed in any case; the handle stays the caller's. A handle belongs to one thread at a time.
 */
PAL_EXPORT int pal_child_communicate(struct pal_child *child, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error) PAL_MUST_CHECK;

/* pal_builder_spawn, pal_child_communicate and pal_child_free in one. Streams as the builder has them. */
PAL_EXPORT int pal_communicate(struct pal_builder *builder, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error) PAL_MUST_CHECK;

PAL_EXPORT void pal_output_clear(struct pal_output *output);

PAL_END_DECLS

#endif
