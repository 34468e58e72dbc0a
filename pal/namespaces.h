/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_NAMESPACES_H
#define PROCMESH_PAL_NAMESPACES_H

#include <pal/export.h>
#include <stdbool.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * Which views of the system a builder's children have to themselves: see
 * namespaces(7). Setters as in builder.h; a step that fails in the child fails
 * the spawn, nothing here is best effort. Stages: PAL_STAGE_NAMESPACE (index: the
 * PAL_NS_ bit of a join, else 0), PAL_STAGE_ID_MAP, PAL_STAGE_HOSTNAME,
 * PAL_STAGE_LOOPBACK.
 *
 * All this comes right after the cgroup in the order of process.h, in this order:
 * joins and the user namespace with its maps, the other namespaces, hostname,
 * loopback, no more user namespaces, mounts (root.h). For maps, and for
 * forbid_user_namespaces(), /proc of this process's mount namespace must be a procfs
 * (-ENOENT, -ENODEV), whichever mount namespace is joined. What follows - descriptors,
 * user and groups, capabilities, Landlock, seccomp - happens inside: uid() and
 * gid() are numbers of the new user namespace.
 */
#define PAL_NS_USER 1u
#define PAL_NS_MOUNT 2u
#define PAL_NS_PID 4u
#define PAL_NS_IPC 8u
#define PAL_NS_UTS 16u
#define PAL_NS_NET 32u
#define PAL_NS_CGROUP 64u
#define PAL_NS_TIME 128u

/*
 * New namespaces, or-ed; adds to what was asked before. All but USER need
 * CAP_SYS_ADMIN, -EPERM else: with USER the child has it in there.
 */
PAL_EXPORT void pal_builder_namespaces(struct pal_builder *builder, unsigned flags);

/*
 * Of PAL_NS_USER: `count` ids from `inside` on are those from `outside` on, as
 * seen by this process. Each call adds a line, 340 at most, unless the same one is there
 * already. None given: the effective id to itself. A child whose own id is in no line begins as the first
 * line's first id, without supplementary groups unless keep_groups() or groups()
 * says otherwise. uid() with the number that the own id has inside is the same user,
 * who keeps the groups. Without CAP_SETUID (CAP_SETGID) the kernel allows one
 * line with one id, the own, and groups only with deny_setgroups: -EPERM. To a
 * process that is not dumpable (prctl(2)) and not root its maps are closed: -EACCES.
 */
PAL_EXPORT void pal_builder_map_uid(
	struct pal_builder *builder, uid_t inside, uid_t outside, unsigned count);
PAL_EXPORT void pal_builder_map_gid(
	struct pal_builder *builder, gid_t inside, gid_t outside, unsigned count);
/*
 * Whether setgroups(2) is refused in the new user namespace. By default where this
 * process has no CAP_SETGID: there the kernel wants it.
 */
PAL_EXPORT void pal_builder_deny_setgroups(struct pal_builder *builder, bool on);

/*
 * Enters an existing namespace in place of a new one; `which` is one PAL_NS_ bit,
 * `fd` (any number, 0 too) is borrowed and must be open at every spawn. Spawn looks
 * at what it is: -EINVAL for another kind, -EPERM for one that belongs to a user
 * namespace of somebody who is neither the effective user nor root - what such a
 * one has prepared is not entered. A user namespace is entered first, or
 * last where this process has CAP_SYS_ADMIN. uid() and gid() are numbers of it; said
 * neither, the child must have its own ids in there, -EPERM (PAL_STAGE_UID, PAL_STAGE_GID): it
 * would be somebody of the host, whom root of the namespace can trace. Every uid() counts
 * as another user: no groups, and -EPERM (PAL_STAGE_GROUPS) where setgroups(2) is
 * denied, unless keep_groups() is said. Nobody in a user or pid namespace can trace a child that
 * comes, before it executes its program; a function of pal_fork cannot be traced
 * at all, as after uid(), because it keeps this process's memory.
 */
PAL_EXPORT void pal_builder_join_namespace(struct pal_builder *builder, unsigned which, int fd);

/*
 * Of PAL_NS_PID, new or joined. Off: the program is process 1 of its namespace; signals
 * that it has no handler for do not reach it from inside, orphans are its children. On:
 * process 1 is a small reaper, and the program its child; it ends when the
 * program ends, and the kernel kills whatever is left. The handle is the
 * reaper's: pal_child_wait returns the program's status, signals included, and
 * signals for it are passed on (SIGKILL kills all; SIGSTOP stops only the reaper;
 * a signal for a whole process group reaches the program twice). Whoever takes
 * the pid with pal_child_steal_pid sees an exit code of 128 + signal. The reaper
 * holds a copy-on-write copy of this process's memory, no descriptor, and the
 * sandbox of the program but for the seccomp filter; it cannot be traced. It shows inside: /proc/1/cmdline is
 * this process's command line, so nothing secret belongs in that; and it counts for RLIMIT_NPROC, so that
 * a user who may have 1 process gets no program (-EAGAIN). SIGHUP of a terminal that
 * is gone is passed on, too.
 * pal_fork always has one, also if this is off.
 */
PAL_EXPORT void pal_builder_pid_init(struct pal_builder *builder, bool on);

/* Implies PAL_NS_UTS; at most 64 bytes. */
PAL_EXPORT void pal_builder_hostname(struct pal_builder *builder, const char *name);
/* "lo" is up. Implies PAL_NS_NET: without this a new network namespace has no address at all. */
PAL_EXPORT void pal_builder_loopback(struct pal_builder *builder, bool on);

/*
 * The child and its descendants can make no user namespace, and so not get at the
 * parts of the kernel that only root of one reaches. Of PAL_NS_USER (-EINVAL
 * without): its limit is set to 0, and CAP_SYS_RESOURCE, with which it could be
 * raised again, leaves every set. Elsewhere a seccomp filter can refuse unshare(2),
 * clone3(2) and clone(2) with CLONE_NEWUSER.
 */
PAL_EXPORT void pal_builder_forbid_user_namespaces(struct pal_builder *builder, bool on);

PAL_END_DECLS

#endif
