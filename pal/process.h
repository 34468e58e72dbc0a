/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROCESS_H
#define PROCMESH_PAL_PROCESS_H

#include <pal/export.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/select.h> /* sigset_t: in strict C signal.h keeps it to itself */
#include <sys/types.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * What kind of process a builder's children are: user, session, signals,
 * scheduling. Setters as in builder.h: they copy, and the first invalid value is
 * remembered and returned by spawn with its stage. A step that fails in the
 * child fails the spawn with its own stage; nothing here is best effort.
 *
 * The order in the child: dispositions; cgroup; namespaces (namespaces.h), mounts
 * (root.h); descriptors; nice value, scheduler, affinity; session, process group,
 * controlling terminal; umask; rlimits, which may need privilege; groups, group,
 * user; parent-death signal, which a change of user clears; steps (steps.h);
 * close_others; working directory;
 * sandbox (sandbox.h); signal mask; exec.
 */

/* ---- user and groups: setresuid(2), setresgid(2), setgroups(2) ---- */

/*
 * Real, effective and saved user, respectively group. (uid_t)-1: not changed,
 * the default. Where the user changes - also if only one of the three was another -
 * and nothing is said about supplementary groups, the child has none
 * (CVE-2021-41617), and no capability if it is not user 0 (also not those that are ambient), unless
 * keep_capabilities() or capabilities() says otherwise. -EPERM without CAP_SETUID, CAP_SETGID, and
 * where a filter that this process is under has only pretended. The file-system ids follow.
 * The kernel makes such a child undumpable until it executes something; after
 * pal_fork its /proc/self belongs to root, unless it calls prctl(PR_SET_DUMPABLE).
 * A user who has more than RLIMIT_NPROC processes already is -EAGAIN at PAL_STAGE_EXEC:
 * there the kernel looks. With pal_fork nothing does.
 */
PAL_EXPORT void pal_builder_uid(struct pal_builder *builder, uid_t uid);
PAL_EXPORT void pal_builder_gid(struct pal_builder *builder, gid_t gid);
/* Exactly these supplementary groups; `count` 0: none. More than NGROUPS_MAX is -EINVAL. */
PAL_EXPORT void pal_builder_groups(struct pal_builder *builder, const gid_t *groups, size_t count);
/* Keeps the parent's supplementary groups also when the user changes. */
PAL_EXPORT void pal_builder_keep_groups(struct pal_builder *builder);
/*
 * Effective and saved ids become the real ones, as POSIX_SPAWN_RESETIDS: of a
 * set-user-ID parent. Where uid() or gid() is set, that counts.
 */
PAL_EXPORT void pal_builder_reset_ids(struct pal_builder *builder, bool on);

/* ---- session, process group, terminal ---- */

/* setsid(2): a new session and process group without a controlling terminal. */
PAL_EXPORT void pal_builder_setsid(struct pal_builder *builder, bool on);
/*
 * The child leads a new process group (0), joins an existing one of its session
 * (> 0), or stays in the parent's (-1, the default). -EPERM, -ESRCH as setpgid(2):
 * also with setsid, because it leads one already then.
 */
PAL_EXPORT void pal_builder_process_group(struct pal_builder *builder, pid_t group);
/*
 * The child's own descriptor `child_fd` (after the moves) becomes the controlling
 * terminal of the new session, which this asks for as setsid() does. -ENOTTY;
 * -EPERM where another session has the terminal: it is never stolen. -1: off.
 */
PAL_EXPORT void pal_builder_controlling_tty(struct pal_builder *builder, int child_fd);

/* ---- signals ---- */

/*
 * The default: every signal at its default disposition and none blocked,
 * whatever the parent has. Handlers of the parent cannot survive exec; here the
 * rest can be asked for. The mask is a copy; NULL: back to the default. The two
 * signals that libc keeps for itself are passed over.
 */
PAL_EXPORT void pal_builder_signal_mask(struct pal_builder *builder, const sigset_t *blocked);
/* The mask that the calling thread has at spawn. */
PAL_EXPORT void pal_builder_keep_signal_mask(struct pal_builder *builder);
/* These are ignored in the child, whatever is said below (nohup: SIGHUP). SIGKILL and SIGSTOP are -EINVAL. Later calls add. */
PAL_EXPORT void pal_builder_ignore_signals(struct pal_builder *builder, const sigset_t *signals);
/*
 * What execve(2) does by itself: signals that the parent ignores stay ignored, those that
 * it handles get their defaults - except those in `reset` (may be NULL), which get it in any case.
 */
PAL_EXPORT void pal_builder_keep_ignored_signals(struct pal_builder *builder, const sigset_t *reset);

/* ---- scheduling ---- */

/* setpriority(2): the value itself, -20..19, no difference. -EACCES without CAP_SYS_NICE or RLIMIT_NICE. */
PAL_EXPORT void pal_builder_nice(struct pal_builder *builder, int value);
/* sched_setscheduler(2): SCHED_OTHER, _BATCH, _IDLE with priority 0; _FIFO, _RR with 1..99; or-ed SCHED_RESET_ON_FORK. */
PAL_EXPORT void pal_builder_scheduler(struct pal_builder *builder, int policy, int priority);
/* sched_setparam(2): the priority alone, with the policy that the parent has. The later of these two counts. */
PAL_EXPORT void pal_builder_scheduler_priority(struct pal_builder *builder, int priority);
/* sched_setaffinity(2). Copied. `size` of the set in bytes: CPU_ALLOC_SIZE, or sizeof(cpu_set_t). -EINVAL: none of these CPUs exists. */
PAL_EXPORT void pal_builder_affinity(struct pal_builder *builder, const cpu_set_t *cpus, size_t size);

/* ---- the rest ---- */

PAL_EXPORT void pal_builder_umask(struct pal_builder *builder, mode_t mask);

/*
 * The child is born in this cgroup of version 2, an open directory (borrowed,
 * open at every spawn): clone3(2) with CLONE_INTO_CGROUP, Linux 5.7.
 * In pal_fork, elsewhere than on x86-64, and where clone3 is missing or refused, it
 * moves itself there by cgroup.procs before it does anything else of lasting
 * effect: then it is charged to the parent's for a moment. -EACCES, -EBUSY,
 * -EOPNOTSUPP at PAL_STAGE_CGROUP.
 */
PAL_EXPORT void pal_builder_cgroup(struct pal_builder *builder, int directory_fd);
/*
 * The child moves itself by writing to this open cgroup.procs or tasks file before it does anything
 * else of lasting effect: for version 1, and for a kernel without CLONE_INTO_CGROUP. Later calls add, up to
 * PAL_CGROUPS_MAX: version 1 has a hierarchy per controller.
 */
#define PAL_CGROUPS_MAX 16
PAL_EXPORT void pal_builder_cgroup_procs(struct pal_builder *builder, int procs_fd);

/* ---- what was set, for profiles ---- */

/* NULL: for pal_fork. The builder's. */
PAL_EXPORT const char *pal_builder_peek_program(const struct pal_builder *builder);
/* (uid_t)-1, (gid_t)-1: not changed. */
PAL_EXPORT uid_t pal_builder_get_uid(const struct pal_builder *builder);
PAL_EXPORT gid_t pal_builder_get_gid(const struct pal_builder *builder);
/* Whether the child gets `child_fd` by dup_fd or as a standard stream, and no close_fd takes it away. Steps do not count. */
PAL_EXPORT bool pal_builder_has_fd(const struct pal_builder *builder, int child_fd);
PAL_EXPORT bool pal_builder_get_close_others(const struct pal_builder *builder);
/* Also by controlling_tty. */
PAL_EXPORT bool pal_builder_get_setsid(const struct pal_builder *builder);
PAL_EXPORT bool pal_builder_get_no_new_privs(const struct pal_builder *builder);
PAL_EXPORT int pal_builder_get_parent_death(const struct pal_builder *builder);
struct rlimit; /* <sys/resource.h> */
/* Whether the limit was set; then *ret is it. */
PAL_EXPORT bool pal_builder_get_rlimit(const struct pal_builder *builder, int resource, struct rlimit *ret);
/* The value that this builder gives to a variable; NULL: none, whatever the parent's environment has. The builder's. */
PAL_EXPORT const char *pal_builder_peek_env(const struct pal_builder *builder, const char *name);
/* Whether the parent's environment passes to the child, with changes: not after env_clear and env_verbatim. */
PAL_EXPORT bool pal_builder_get_env_inherited(const struct pal_builder *builder);

PAL_END_DECLS

#endif
