/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_STEPS_H
#define PROCMESH_PAL_STEPS_H

#include <pal/export.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * Things for the child to do one after the other, in the order of these calls,
 * with its own descriptor numbers: what posix_spawn_file_actions_*(3) offers, for
 * programs whose order matters or is not theirs to change. Most need only
 * pal_builder_dup_fd and its like, whose order does not matter.
 *
 * The steps come after moves, streams, ids and sessions, and before
 * close_others and cwd(); numbers that they open are left open by close_others.
 * The first one that fails fails the spawn: PAL_STAGE_STEP, whose index is the
 * number of the step from 0, and the errno of its system call. Strings are copied (CVE-2014-4043).
 * A negative descriptor is -EBADF at PAL_STAGE_ARGUMENT.
 */

/* Closes `child_fd`, opens the file, moves it there. Close-on-exec only if `flags` says so. */
PAL_EXPORT void pal_builder_step_open(struct pal_builder *builder, int child_fd, const char *path, int flags, mode_t mode);
/* dup2(2); onto itself it clears close-on-exec. */
PAL_EXPORT void pal_builder_step_dup2(struct pal_builder *builder, int from, int to);
/* No error where it is not open, except beyond RLIMIT_NOFILE (EBADF), as glibc has it. */
PAL_EXPORT void pal_builder_step_close(struct pal_builder *builder, int child_fd);
/*
 * Closes all from this number on: by close_range(2), or where that is refused by
 * going through /proc/self/fd, as closefrom(3) does.
 */
PAL_EXPORT void pal_builder_step_close_from(struct pal_builder *builder, int first);
PAL_EXPORT void pal_builder_step_chdir(struct pal_builder *builder, const char *path);
PAL_EXPORT void pal_builder_step_fchdir(struct pal_builder *builder, int child_fd);
/* Makes the child's process group the foreground one of this terminal: tcsetpgrp(3). */
PAL_EXPORT void pal_builder_step_foreground(struct pal_builder *builder, int child_fd);

PAL_END_DECLS

#endif
