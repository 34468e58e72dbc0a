/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SANDBOX_H
#define PROCMESH_PAL_SANDBOX_H

#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * The parts that sandboxes are made of. Each can be set on a builder, for a
 * child, or enforced on this process itself (pal_self_*), for a program that
 * tightens itself after its initialisation. A part that cannot be applied fails
 * the spawn or the call: nothing here is silently weaker than asked.
 *
 * In a child the order is: rlimits, bounding set, capabilities, no_new_privs,
 * Landlock, seccomp last.
 */

/* ---- no_new_privs: prctl(2) PR_SET_NO_NEW_PRIVS, Linux 3.5 ---- */

PAL_EXPORT void pal_builder_no_new_privs(struct pal_builder *builder, bool on);

/* ---- capabilities(7) ---- */

/* Masks of 1 << CAP_x. */
struct pal_capabilities {
	uint64_t bounding;
	uint64_t permitted;
	uint64_t effective;
	uint64_t inheritable;
	uint64_t ambient;
};
#define PAL_CAPABILITIES_NONE ((struct pal_capabilities){0, 0, 0, 0, 0})

/*
 * The five sets of the child. Capabilities that this process does not have
 * cannot be given (-EPERM at PAL_STAGE_CAPABILITIES); a change of user (process.h)
 * takes none away from what can be asked for here. Leaving the bounding set
 * narrower than now needs CAP_SETPCAP, and without it the bounding set is left
 * alone if and only if no_new_privs is set too, which makes it moot.
 * Numbers above the running kernel's last capability are ignored. The bounding
 * set is a limit and is only ever narrowed: UINT64_MAX leaves it as it is.
 *
 * What exec makes of the sets is in capabilities(7). For user 0 without
 * no_new_privs it makes everything in the bounding set permitted and effective
 * again: narrow that set too, or set no_new_privs.
 */
PAL_EXPORT void pal_builder_capabilities(struct pal_builder *builder, const struct pal_capabilities *sets);

/* "net_bind_service", "cap_sys_admin": the mask of one name, 0 if libcap does not know it. Any thread. */
PAL_EXPORT uint64_t pal_capability_from_name(const char *name);

/* ---- Landlock: landlock(7), Linux 5.13 ---- */

/*
 * A ruleset under construction: everything that the running kernel's Landlock
 * can restrict is denied except what is allowed here. New rights of later ABIs
 * are denied as soon as the kernel and this library know them.
 */
struct pal_landlock;

#define PAL_LANDLOCK_READ 1u    /* read files, list folders */
#define PAL_LANDLOCK_WRITE 2u   /* write, create, remove, truncate */
#define PAL_LANDLOCK_EXECUTE 4u

/* The kernel's ABI (1..), or -ENOSYS / -EOPNOTSUPP. Any thread. */
PAL_EXPORT int pal_landlock_abi(void);
PAL_EXPORT int pal_landlock_new(struct pal_landlock **ret, struct pal_error *error) PAL_MUST_CHECK;
/* A folder with all that is in it, or one file: not its name, so symbolic links are followed now. */
PAL_EXPORT int pal_landlock_allow_path(struct pal_landlock *ruleset, const char *path, unsigned access,
	struct pal_error *error) PAL_MUST_CHECK;

#define PAL_LANDLOCK_BIND 1u
#define PAL_LANDLOCK_CONNECT 2u

/* A TCP port. Kernels before ABI 4 restrict no ports, so that this does nothing there. */
PAL_EXPORT int pal_landlock_allow_port(struct pal_landlock *ruleset, uint16_t port, unsigned access,
	struct pal_error *error) PAL_MUST_CHECK;
PAL_EXPORT void pal_landlock_free(struct pal_landlock *ruleset);

/*
 * The ruleset may be freed afterwards; rules that are added to it afterwards
 * count for this builder too. A second call replaces the first. Needs
 * no_new_privs or CAP_SYS_ADMIN in the child: spawn fails with -EPERM.
 */
PAL_EXPORT void pal_builder_landlock(struct pal_builder *builder, const struct pal_landlock *ruleset);

/* ---- seccomp(2), compiled by libseccomp in the parent ---- */

struct pal_seccomp;

/* What happens on a system call. */
#define PAL_SECCOMP_ALLOW 0
#define PAL_SECCOMP_KILL (-1)         /* SIGSYS to the whole process; the status shows it */
#define PAL_SECCOMP_ERRNO(number) (number) /* positive errno: the call fails with it */

/*
 * A filter in which every call that has no rule meets `otherwise`. Foreign
 * architectures (i386, x32 on x86-64) kill the process. Calls that this kernel's
 * libc probes for and can do without (clone3, rseq, ...) should get
 * PAL_SECCOMP_ERRNO(ENOSYS) where they are not allowed.
 */
PAL_EXPORT int pal_seccomp_new(int otherwise, struct pal_seccomp **ret, struct pal_error *error) PAL_MUST_CHECK;

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
 * A rule that applies where the masked argument number `arg` (0..5) equals
 * `value`. Arguments that are an int must be masked to 32 bits: what is above
 * them in the register is not the kernel's to look at, but the caller's.
 */
PAL_EXPORT int pal_seccomp_rule_masked(struct pal_seccomp *filter, int action, const char *name, unsigned arg,
	uint64_t mask, uint64_t value, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Allows the execve(2) by which spawn starts the program, and no other, which
 * kills the process: spawn passes a secret number in a register that execve does
 * not use and that the filter looks at. The number is not in the program's memory,
 * but in that of this process, as long as the filter and builders with it exist
 * (and libseccomp does not wipe what it frees). So it is a secret from a program
 * that cannot read this process's memory, through ptrace(2) or /proc/PID/mem: of
 * another user, or under any Landlock ruleset. With pal_fork it is none: there
 * the child has a copy of this process's memory.
 */
PAL_EXPORT int pal_seccomp_allow_first_exec(struct pal_seccomp *filter, struct pal_error *error) PAL_MUST_CHECK;
PAL_EXPORT void pal_seccomp_free(struct pal_seccomp *filter);

/*
 * Compiles and copies the filter now; a second call replaces the first. It must
 * allow rt_sigprocmask and the program's own exec, see above; for pal_fork
 * rt_sigprocmask, write, close and exit_group. A filter without no_new_privs
 * needs CAP_SYS_ADMIN: spawn fails with -EACCES.
 */
PAL_EXPORT void pal_builder_seccomp(struct pal_builder *builder, const struct pal_seccomp *filter);

/* ---- on this process ---- */

/* What pal_self_restrict enforces; members that are NULL or false are left out. */
struct pal_self_restrictions {
	size_t size; /* sizeof(struct pal_self_restrictions); too small is -EINVAL, more than is known here -E2BIG */
	bool no_new_privs;
	const struct pal_capabilities *capabilities; /* no set may gain anything */
	const struct pal_landlock *landlock;
	const struct pal_seccomp *seccomp;
};

/*
 * Enforces all of it on *every thread* of this process, in the order above, or
 * fails. seccomp reaches the threads by SECCOMP_FILTER_FLAG_TSYNC; no_new_privs,
 * capabilities and Landlock are per thread (Landlock has no all-threads flag
 * before ABI 8), so each thread is interrupted with the real-time signal
 * pal_threads_signal() and does it to itself. That needs /proc, the signal at
 * its default disposition and not blocked in any thread: -EBUSY
 * (PAL_STAGE_THREADS) names the thread that cannot be reached. With this stage
 * nothing has been applied, because all threads are stopped before the first
 * one changes. In the other threads calls such as poll and epoll_wait may return
 * EINTR. A failure with another stage may leave a process that is partly
 * restricted: it should end. Must not be called from two threads at once.
 */
PAL_EXPORT int pal_self_restrict(const struct pal_self_restrictions *restrictions, struct pal_error *error)
	PAL_MUST_CHECK;

/* The signal that pal_self_restrict uses: a thread with other signals blocked must leave this one open. Any thread. */
PAL_EXPORT int pal_threads_signal(void);

PAL_END_DECLS

#endif
