/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_ROOT_H
#define PROCMESH_PAL_ROOT_H

#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * Which files a builder's children see, by mounts in a mount namespace of their
 * own: all of this implies PAL_NS_MOUNT (namespaces.h), and needs CAP_SYS_ADMIN or
 * PAL_NS_USER. Linux 5.12. Nothing propagates between that namespace and this
 * process's, in either direction.
 *
 * The mounts are made in the order of the calls; a failure is PAL_STAGE_MOUNT with
 * index = the n-th call, from 0, or the number of calls for entering the root.
 * Targets are absolute, without ".."; "/" is one only in a private root, and for
 * remount_read_only. Descriptors that the child is given lead
 * where they led before, whatever is mounted. The working directory does not: without a
 * private root it is looked up again by its path when all is mounted, and the
 * child sees there what is mounted there. One that is hidden, that has been removed or that the child may
 * not reach fails the spawn (PAL_STAGE_CHDIR) unless cwd() with an absolute path, or cwd_fd(), says another.
 *
 * All this is undone by who may mount: a child that has CAP_SYS_ADMIN in the user namespace that the
 * mounts belong to can unmount a cover, and make writable what is read-only. Root has it, and whoever is mapped to 0 in a new
 * user namespace has it there. Take it with capabilities() (capabilities.h), and keep it away: set
 * no_new_privs, or leave it out of the bounding set, because user 0 gets it back from there at exec.
 */

/*
 * The root is an empty tmpfs, entered by pivot_root(2); the old one is detached,
 * and only what is mounted below is in it. It is read-only itself, once that is
 * done. The working directory is "/", or cwd() in there. Targets and the folders to
 * them are made where they are missing: in the root and in the first 127 tmpfs() of this
 * builder, never in a folder of the host that is bound. A
 * target that leads through a symbolic link is -ELOOP. What is bound to "/" is
 * the root in place of that tmpfs; it must be the first of the calls (-EINVAL), because it
 * covers what was mounted before.
 * -EINVAL in a process that has another root than its mount namespace, after chroot(2): what is around
 * that could not be detached. Without PAL_NS_USER this needs CAP_SYS_CHROOT, too.
 */
PAL_EXPORT void pal_builder_private_root(struct pal_builder *builder, bool on);

#define PAL_MOUNT_READ_ONLY 1u
#define PAL_MOUNT_NO_EXEC 2u
#define PAL_MOUNT_DEVICES 4u  /* device files work */
#define PAL_MOUNT_OPTIONAL 8u /* of bind: a missing source is skipped */

/*
 * The file or folder `source`, as this process sees it, with all that is mounted
 * in it; flags count for all of that, and set-user-ID programs never gain anything.
 */
PAL_EXPORT void pal_builder_bind(
	struct pal_builder *builder, const char *source, const char *target, unsigned flags);
/* An empty tmpfs; 0: the kernel's limit, half of the memory. */
PAL_EXPORT void pal_builder_tmpfs(struct pal_builder *builder, const char *target, size_t max_bytes,
	mode_t mode, unsigned flags);
/*
 * Of PAL_NS_PID, new or joined (-EINVAL without): its processes. Read-only as a whole: settings of the
 * kernel (core_pattern, sysrq-trigger) are files that user 0 of the host may write without
 * any capability. So a process cannot write to its own files either: oom_score_adj, the
 * maps of a user namespace. What the kernel says there about the machine can be read. bind() of "/proc" is
 * the host's, writable: for who needs that.
 */
PAL_EXPORT void pal_builder_mount_proc(struct pal_builder *builder, const char *target);
/*
 * A read-only folder with null, zero, full, random, urandom, tty, an empty writable
 * shm, pts with terminals of its own, ptmx, fd, stdin, stdout, stderr.
 */
PAL_EXPORT void pal_builder_mount_dev(struct pal_builder *builder, const char *target);
/* A symbolic link `path` that says `content`; of a private root (-EINVAL without). */
PAL_EXPORT void pal_builder_symlink(
	struct pal_builder *builder, const char *content, const char *path);

/*
 * For paths that exist (-ENOENT), with or without a private root, and which may lead through
 * symbolic links. Read-only: itself, and with `recursive` also what is mounted in it; "/" is
 * -EINVAL where it is no mount, after chroot(2).
 * Hidden: an empty folder without rights, or a file that nobody can open. A cover is on the file or folder that was
 * there at spawn: when the host puts another one in its place, as editors and package managers replace files by
 * rename(2), the cover is gone. Hide the folder in which that happens.
 */
PAL_EXPORT void pal_builder_remount_read_only(
	struct pal_builder *builder, const char *path, bool recursive);
PAL_EXPORT void pal_builder_hide(struct pal_builder *builder, const char *path);

/*
 * For a profile that looks whether a file is there: whether the child may find something else
 * at `path` (absolute) than this process does, because a bind asked for so far, at it or above
 * it, has a source of another name. Also where memory runs out.
 */
PAL_EXPORT bool pal_builder_binds_another(const struct pal_builder *builder, const char *path);

PAL_END_DECLS

#endif
