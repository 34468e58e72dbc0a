/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_ERROR_H
#define PROCMESH_PAL_ERROR_H

#include <pal/export.h>

PAL_BEGIN_DECLS

/*
 * Where something failed. Upper libraries number their own stages from the
 * _BASE constants on, so a stage is unique in the whole toolkit.
 */
enum pal_stage {
	PAL_STAGE_NONE,

	/* in the parent, before a child exists */
	PAL_STAGE_ARGUMENT,    /* a value given to a setter or a call is invalid */
	PAL_STAGE_MEMORY,      /* allocation */
	PAL_STAGE_STDIO,       /* /dev/null, a pipe or a descriptor for a standard stream; index = its number */
	PAL_STAGE_PROFILE,     /* a sandbox profile's own hook */
	PAL_STAGE_STACK,       /* the child's stack and report page */
	PAL_STAGE_CLONE,       /* clone(2), fork(2), pidfd_open(2) */

	/* in the child, before the program or function runs; in this order */
	PAL_STAGE_SIGNALS,     /* dispositions, and last of all before exec the mask */
	PAL_STAGE_CGROUP,      /* index = the n-th cgroup_procs, from 0 */
	PAL_STAGE_NAMESPACE,   /* making or entering one; index = the PAL_NS_ bit of a join */
	PAL_STAGE_ID_MAP,      /* of a user namespace */
	PAL_STAGE_HOSTNAME,
	PAL_STAGE_LOOPBACK,
	PAL_STAGE_MOUNT,       /* index = the n-th call of root.h, from 0 */
	PAL_STAGE_FDS,         /* moving descriptors; index = the n-th dup_fd or close_fd, from 0 */
	PAL_STAGE_NICE,
	PAL_STAGE_SCHEDULER,
	PAL_STAGE_AFFINITY,
	PAL_STAGE_SESSION,     /* setsid(2) */
	PAL_STAGE_PROCESS_GROUP,
	PAL_STAGE_TERMINAL,    /* the controlling terminal */
	PAL_STAGE_RLIMIT,      /* index = the resource */
	PAL_STAGE_GROUPS,      /* supplementary */
	PAL_STAGE_GID,
	PAL_STAGE_UID,
	PAL_STAGE_PARENT_DEATH,
	PAL_STAGE_STEP,        /* index = the n-th step of steps.h, from 0 */
	PAL_STAGE_CLOSE_OTHERS,
	PAL_STAGE_CHDIR,
	PAL_STAGE_CAPABILITIES,
	PAL_STAGE_NO_NEW_PRIVS,
	PAL_STAGE_LANDLOCK,    /* making a ruleset in the parent, or enforcing it */
	PAL_STAGE_SECCOMP,     /* compiling a filter in the parent, or loading it */
	PAL_STAGE_EXEC,

	/* afterwards */
	PAL_STAGE_DIED,        /* the child was killed before or at exec; index = the signal */
	PAL_STAGE_WAIT,
	PAL_STAGE_SIGNAL,
	PAL_STAGE_THREADS,     /* reaching every thread of this process */
	PAL_STAGE_SOCKET,

	PAL_STAGE_ISOLATE_BASE = 0x100,
	PAL_STAGE_MESH_BASE = 0x200,
	PAL_STAGE_MESH_PROCESS_BASE = 0x300
};

#define PAL_ERROR_TEXT_SIZE 244

/*
 * What is known about a failure. Fixed size, no pointers: it may be filled
 * after fork and copied through a pipe. Written only when a call fails.
 */
struct pal_error {
	int code;    /* negative errno, the same as the call's return */
	int stage;   /* enum pal_stage, or an upper library's stage */
	int index;   /* which of several, where the stage says so; else 0 */
	char text[PAL_ERROR_TEXT_SIZE]; /* a sentence for people, without newline */
};

/*
 * "exec pngtopnm: No such file or directory". Never NULL; valid as long as
 * `error` is and not changed. Any thread.
 */
PAL_EXPORT const char *pal_error_text(const struct pal_error *error);

/* "exec", "chdir", ...; "unknown stage" for a number that is not pal's. Any thread. */
PAL_EXPORT const char *pal_stage_name(int stage);

/*
 * Fills `error` (may be NULL) and returns `code`, a negative errno. The text is
 * the formatted message, ": " and the errno's description. Keeps errno. For
 * upper libraries and for profile hooks. Any thread; allocates nothing.
 */
PAL_EXPORT int pal_error_set(struct pal_error *error, int stage, int code, const char *format, ...)
	PAL_PRINTF(4, 5);

PAL_END_DECLS

#endif
