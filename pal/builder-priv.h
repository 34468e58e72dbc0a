/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_BUILDER_PRIV_H
#define PROCMESH_PAL_BUILDER_PRIV_H

#include <pal/builder.h>
#include <pal/environ-priv.h>
#include <pal/namespaces-priv.h>
#include <pal/process-priv.h>
#include <pal/root-priv.h>
#include <pal/sandbox-priv.h>
#include <pal/steps-priv.h>
#include <pal/strings-priv.h>
#include <stddef.h>

/* What one number of the child shall be. */
struct pal__fd_request {
	int child_fd;
	struct pal_stdio from;
	int call; /* the n-th dup_fd or close_fd, from 0; -1: one of the standard streams */
};

struct pal__fd_close {
	int child_fd;
	int call;
};

struct pal__plan;

/* The stack of a child that shares our memory, kept for the next one. Zeroes: none yet. */
struct pal__stack {
	char *base; /* a guard page, then the stack */
	size_t size;
};

struct pal_builder {
	struct pal_error first_error; /* of a setter; code 0: none */
	/*
	 * What the last spawn worked out, for the next one; NULL: nothing yet. `changed` is
	 * set by every setter of what is worked out: arguments, environment, descriptors.
	 */
	struct pal__plan *plan;
	bool changed;
	struct pal__stack stack;
	struct pal__sandbox sandbox;

	char *program;   /* NULL: for pal_fork only */
	unsigned search; /* PAL_SEARCH_ */
	char *arg0;      /* NULL: the program */
	struct pal__strings args;
	struct pal__environ env;
	char *cwd;  /* NULL: the parent's, or cwd_fd */
	int cwd_fd; /* -1: none */

	struct pal__fd_request *fds; /* one per number of the child; 0, 1 and 2 are always there */
	size_t fd_count;
	char *stream_paths[3]; /* those of `fds` that are PAL_STDIO_KIND_FILE */
	int *owned_fds; /* of take_fd; closed with the builder */
	size_t owned_count;
	struct pal__fd_close *closes;
	size_t close_count;
	int fd_calls; /* dup_fd and close_fd so far */
	bool close_others;
	struct pal__steps steps;

	struct pal__namespaces namespaces;
	struct pal__root root;
	struct pal__process process;
	struct pal__signals signals;
	struct rlimit limits[RLIM_NLIMITS];
	bool limit_set[RLIM_NLIMITS];
	int parent_death; /* 0: off */
	bool death_of_process; /* that, and not of a thread, also with pal_fork */
	bool vfork;
	pal_deadline start_deadline; /* of pal_fork */
	void *fork_memory; /* the caller's; NULL: none */
	bool fork_unwaited;
};

/* What `plan` and `stack` hold. Take NULL, respectively zeroes. */
void pal__plan_free(struct pal__plan *plan);
void pal__stack_free(struct pal__stack *stack);

/* Remembers the first failure of a setter. `builder` may be NULL. Formats as pal_error_set. */
void pal__builder_fail(struct pal_builder *builder, int stage, int code, const char *format, ...) PAL_PRINTF(4, 5);

/* For setters that can be given nonsense or run out of memory; 0 passes. The text names what was given. */
void pal__builder_check(struct pal_builder *builder, int code, const char *format, ...) PAL_PRINTF(3, 4);
/* Puts a copy of `with` in the place of *string. 0, -ENOMEM, or -EINVAL for NULL. */
int pal__builder_replace(char **string, const char *with);
/* In place of what was asked for the same number. 0 or -ENOMEM. */
int pal__builder_put_fd(struct pal_builder *builder, struct pal__fd_request request);

/* Whether the child gets `child_fd` and no close_fd takes it away. */
bool pal__builder_gives_fd(const struct pal_builder *builder, int child_fd);
/*
 * Whether a child runs in the parent's memory until exec. The kernel makes memory undumpable
 * in which a process changes its user or group: that must not be the parent's.
 */
bool pal__builder_shares_memory(const struct pal_builder *builder);
/* Whether the child makes the setting of its parent-death signal itself: else a lifeline does it, or nobody. */
bool pal__builder_arms_death(const struct pal_builder *builder, bool program);
/* Whether pal_fork does not wait for its child. */
bool pal__builder_leaves_fork(const struct pal_builder *builder);

#endif
