/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LANDLOCK_H
#define PROCMESH_PAL_LANDLOCK_H

#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * Landlock: landlock(7), Linux 5.13. A ruleset denies what it handles, except
 * where a rule allows it; what it does not handle is as without it. It is made
 * in the parent, and costs a child one system call, however many rules it has.
 * Rulesets stack: a child of a child is under both, up to 16 deep (-E2BIG).
 */
struct pal_landlock;

/* The kernel's ABI (1..), or -ENOSYS / -EOPNOTSUPP. Any thread. */
PAL_EXPORT int pal_landlock_abi(void);

/*
 * Everything that the running kernel's Landlock can restrict is handled, the
 * scopes below too: new rights of later ABIs as soon as the kernel and this
 * library know them.
 */
PAL_EXPORT int pal_landlock_new(struct pal_landlock **ret, struct pal_error *error) PAL_MUST_CHECK;

/* ---- rights on files ---- */

#define PAL_LANDLOCK_READ 1u    /* read files, list folders */
#define PAL_LANDLOCK_WRITE 2u   /* write, create, remove, rename, truncate; no device nodes */
#define PAL_LANDLOCK_EXECUTE 4u

/* What those consist of, and what they leave out. The numbers are ABI's of Landlock. */
#define PAL_LANDLOCK_WRITE_FILE (1u << 9)
#define PAL_LANDLOCK_READ_FILE (1u << 10)
#define PAL_LANDLOCK_READ_DIR (1u << 11)
#define PAL_LANDLOCK_REMOVE_DIR (1u << 12)
#define PAL_LANDLOCK_REMOVE_FILE (1u << 13)
#define PAL_LANDLOCK_MAKE_CHAR (1u << 14)
#define PAL_LANDLOCK_MAKE_DIR (1u << 15)
#define PAL_LANDLOCK_MAKE_REG (1u << 16)
#define PAL_LANDLOCK_MAKE_SOCK (1u << 17)
#define PAL_LANDLOCK_MAKE_FIFO (1u << 18)
#define PAL_LANDLOCK_MAKE_BLOCK (1u << 19)
#define PAL_LANDLOCK_MAKE_SYM (1u << 20)
#define PAL_LANDLOCK_REFER (1u << 21)     /* ABI 2; rename and link between folders, which ABI 1 never allows */
#define PAL_LANDLOCK_TRUNCATE (1u << 22)  /* ABI 3 */
#define PAL_LANDLOCK_IOCTL_DEV (1u << 23) /* ABI 5; of devices opened afterwards */
#define PAL_LANDLOCK_ALL_FILE_RIGHTS (PAL_LANDLOCK_EXECUTE | (0xffffu << 8 & ~(1u << 8)))

/* ---- rights on TCP ports, ABI 4 ---- */

#define PAL_LANDLOCK_BIND 1u
#define PAL_LANDLOCK_CONNECT 2u

/* ---- what of this process and others is out of reach; no rule allows it again. ABI 6 ---- */

#define PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS 1u /* connect to one that was made outside */
#define PAL_LANDLOCK_SCOPE_SIGNALS 2u          /* signal a process outside */

struct pal_landlock_rights {
	uint64_t files;  /* or-ed rights of the three kinds above */
	uint64_t ports;
	uint64_t scopes;
};

/*
 * A ruleset that handles just this. A right that the kernel does not know is
 * -EOPNOTSUPP - with best effort it is left out, and pal_landlock_missing says
 * so; without any Landlock in the kernel such a ruleset does nothing.
 */
#define PAL_LANDLOCK_BEST_EFFORT 1u
/* Which denials become audit records, ABI 7. By default: those of the program, not of programs that it executes. */
#define PAL_LANDLOCK_NO_AUDIT 2u            /* not those of the program itself */
#define PAL_LANDLOCK_AUDIT_EXECUTED 4u      /* also those of what it executes */
#define PAL_LANDLOCK_NO_AUDIT_SUBDOMAINS 8u /* not those of rulesets that stack on this one */
PAL_EXPORT int pal_landlock_new_handling(uint64_t files, uint64_t ports, uint64_t scopes, unsigned flags,
	struct pal_landlock **ret, struct pal_error *error) PAL_MUST_CHECK;

/* Whether something that was asked for is not enforced; *ret (may be NULL) is then what. Only with best effort. */
PAL_EXPORT bool pal_landlock_missing(const struct pal_landlock *ruleset, struct pal_landlock_rights *ret);

/* ---- rules ---- */

/*
 * A folder with all that is in it, or one file: not its name, so symbolic links are followed now.
 * Rights that the ruleset does not handle are not denied, and pass. -ENOTDIR: rights that only
 * folders have, on something else.
 */
PAL_EXPORT int pal_landlock_allow_path(struct pal_landlock *ruleset, const char *path, unsigned access,
	struct pal_error *error) PAL_MUST_CHECK;
/* The same for an open file or folder, also one opened with O_PATH. Borrowed, for the length of the call. */
PAL_EXPORT int pal_landlock_allow_fd(struct pal_landlock *ruleset, int fd, unsigned access,
	struct pal_error *error) PAL_MUST_CHECK;
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

PAL_END_DECLS

#endif
