/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SECCOMP_H
#define PROCMESH_PAL_SECCOMP_H

#include <pal/error.h>
#include <pal/export.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct pal_builder;
struct pal_child;
struct sock_filter; /* <linux/filter.h> */

/*
 * seccomp(2): which system calls a child may make. A filter is a list of rules
 * by name (libseccomp knows the numbers), compiled in the parent, once for all
 * children of a builder.
 */
struct pal_seccomp;

/* ---- what happens on a system call ---- */

#define PAL_SECCOMP_ALLOW 0
#define PAL_SECCOMP_ERRNO(number) (number) /* positive errno: the call fails with it */
#define PAL_SECCOMP_KILL (-1)              /* SIGSYS to the whole process; the status shows it */
#define PAL_SECCOMP_KILL_THREAD (-2)       /* to the thread alone, whose locks stay locked: for programs without */
#define PAL_SECCOMP_TRAP (-3)              /* a SIGSYS that the program may handle */
#define PAL_SECCOMP_LOG (-4)               /* allowed, with an audit record */
#define PAL_SECCOMP_NOTIFY (-5)            /* this process decides: see pal_child_steal_notify */
#define PAL_SECCOMP_TRACE(number) (-0x10000 - (number)) /* a tracer decides (0..65535 for it); without one ENOSYS */

/*
 * A filter in which every call that has no rule meets `otherwise`. Foreign
 * architectures (i386, x32 on x86-64) kill the process. Calls that this kernel's
 * libc probes for and can do without (clone3, rseq, ...) should get
 * PAL_SECCOMP_ERRNO(ENOSYS) where they are not allowed.
 */
PAL_EXPORT int pal_seccomp_new(int otherwise, struct pal_seccomp **ret, struct pal_error *error) PAL_MUST_CHECK;
PAL_EXPORT void pal_seccomp_free(struct pal_seccomp *filter);

/*
 * What calls of a foreign architecture meet, in place of KILL. Their numbers
 * mean other calls, so no rule is about them, and ALLOW, LOG, NOTIFY and TRACE are -EINVAL.
 */
PAL_EXPORT int pal_seccomp_foreign(struct pal_seccomp *filter, int action, struct pal_error *error) PAL_MUST_CHECK;
/*
 * What calls meet, in place of `otherwise`, that are newer than any in a rule and in the
 * group @known. PAL_SECCOMP_ERRNO(ENOSYS) lets a newer libc fall back to older calls.
 */
PAL_EXPORT int pal_seccomp_newer(struct pal_seccomp *filter, int action, struct pal_error *error) PAL_MUST_CHECK;

/* ---- rules: of several that match a call, the last one added counts ---- */

/*
 * A rule for a system call by name; -EINVAL for a name that libseccomp does not
 * know. A call that only other architectures have needs no rule and is no error.
 */
PAL_EXPORT int pal_seccomp_rule(struct pal_seccomp *filter, int action, const char *name, struct pal_error *error)
	PAL_MUST_CHECK;
/* The same for a NULL-terminated list. */
PAL_EXPORT int pal_seccomp_rules(struct pal_seccomp *filter, int action, const char *const *names,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * Conditions on arguments. An argument that is an int must be masked to 32 bits:
 * what is above them in the register is not the kernel's to look at, but the
 * caller's. What a pointer points to cannot be looked at.
 */
enum pal_seccomp_op {
	PAL_SECCOMP_EQ,
	PAL_SECCOMP_NE,
	PAL_SECCOMP_LT, /* these four: unsigned */
	PAL_SECCOMP_LE,
	PAL_SECCOMP_GT,
	PAL_SECCOMP_GE
};
#define PAL_SECCOMP_MASKED_EQ PAL_SECCOMP_EQ

struct pal_seccomp_compare {
	unsigned arg; /* 0..5 */
	enum pal_seccomp_op op;
	uint64_t value;
	uint64_t mask; /* of the argument, before it is compared; 0: all bits. Bits of `value` outside are -EINVAL */
};
#define PAL_SECCOMP_COMPARE_MAX 6

/* A rule that applies where all of the `count` conditions (up to 6) hold, several for one argument too. */
PAL_EXPORT int pal_seccomp_rule_compare(struct pal_seccomp *filter, int action, const char *name,
	const struct pal_seccomp_compare *conditions, size_t count, struct pal_error *error) PAL_MUST_CHECK;
/* The same for one: the masked argument number `arg` (0..5) equals `value`. */
PAL_EXPORT int pal_seccomp_rule_masked(struct pal_seccomp *filter, int action, const char *name, unsigned arg,
	uint64_t mask, uint64_t value, struct pal_error *error) PAL_MUST_CHECK;

/* ---- groups, with the names and members that systemd.exec(5) gives them ---- */

/*
 * A rule for each call of "@system-service", "@file-system", ... and of the
 * groups in it. -EINVAL for an unknown group. Calls that libseccomp has no number for are
 * left out if the action is ALLOW; else the filter would be weaker than asked: -EOPNOTSUPP.
 */
PAL_EXPORT int pal_seccomp_group(struct pal_seccomp *filter, int action, const char *group, struct pal_error *error)
	PAL_MUST_CHECK;
/* The names of all groups, NULL at the end. Any thread. */
PAL_EXPORT const char *const *pal_seccomp_groups(void);
/* The members of one, NULL at the end; some are groups ("@..."). NULL for an unknown one. Any thread. */
PAL_EXPORT const char *const *pal_seccomp_group_members(const char *group);

/* ---- the first exec ---- */

/*
 * Allows the execve(2) by which spawn starts the program, and no other, which
 * kills the process, whatever the rules say of execve: spawn passes a secret number in
 * a register that execve does not use and that the filter looks at. The number is not in the program's memory,
 * but in that of this process, as long as the filter and builders with it exist.
 * So it is a secret from a program
 * that cannot read this process's memory, through ptrace(2) or /proc/PID/mem: of
 * another user, or under any Landlock ruleset. With pal_fork it is none: there
 * the child has a copy of this process's memory.
 */
PAL_EXPORT int pal_seccomp_allow_first_exec(struct pal_seccomp *filter, struct pal_error *error) PAL_MUST_CHECK;

/* ---- of a builder ---- */

/*
 * Compiles and copies the filter now; a second call (of either) replaces the first. It must
 * allow rt_sigprocmask and the program's own exec, see above; for pal_fork
 * rt_sigprocmask, write, close and exit_group. A filter without no_new_privs
 * needs CAP_SYS_ADMIN: spawn fails with -EACCES.
 */
PAL_EXPORT void pal_builder_seccomp(struct pal_builder *builder, const struct pal_seccomp *filter);
/*
 * The same for a program of one's own, of 1 to 4096 instructions (-EINVAL, -E2BIG). Only the
 * kernel looks at it: spawn fails with what it says, mostly -EINVAL at PAL_STAGE_SECCOMP.
 */
PAL_EXPORT void pal_builder_seccomp_bpf(struct pal_builder *builder, const struct sock_filter *code, size_t count);

/* ---- user notification: seccomp_unotify(2), Linux 5.0 ---- */

/*
 * For a child whose filter has PAL_SECCOMP_NOTIFY (SECCOMP_RET_USER_NOTIF): the
 * descriptor on which its calls arrive and are answered, close-on-exec and for poll; the
 * caller's from now on. -1: there is none, or it was taken already. The child never has it. Where
 * it is closed - here, by pal_child_free, or because this process ends - the calls fail with ENOSYS.
 *
 * The library's own last steps in the child, the first exec included, are let
 * through under such a filter by a secret number like that of
 * pal_seccomp_allow_first_exec: nobody could answer for them.
 */
PAL_EXPORT int pal_child_steal_notify(struct pal_child *child);

PAL_END_DECLS

#endif
