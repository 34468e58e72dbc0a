/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SANDBOX_PRIV_H
#define PROCMESH_PAL_SANDBOX_PRIV_H

#include <linux/filter.h>
#include <pal/report-priv.h>
#include <pal/sandbox.h>
#include <stdbool.h>

/*
 * What a builder has been told about the sandbox, ready to be applied: filters
 * are compiled, rulesets are made. Embedded in struct pal_builder, read-only
 * while a child is being made.
 */
struct pal__sandbox {
	bool no_new_privs;
	bool set_capabilities;
	struct pal_capabilities capabilities;
	bool only_narrow;          /* refuse capabilities that this thread does not have already */
	unsigned last_capability;  /* of the running kernel, looked up in the parent */
	int landlock_fd;           /* -1: none; a duplicate of the ruleset, owned */
	int border_fd;             /* -1: none; pal__landlock_border, stacks with the former; owned */
	struct sock_fprog seccomp; /* len 0: none; owned copy */
	unsigned long exec_key;    /* 4th argument of execve: pal_seccomp_allow_first_exec */
};
#define PAL__SANDBOX_INIT {.landlock_fd = -1, .border_fd = -1}

/* A child's processes cannot reach those outside: see pal__landlock_border. 0 or a negative errno. */
int pal__builder_border(struct pal_builder *builder, struct pal_error *error);

void pal__sandbox_clear(struct pal__sandbox *sandbox);

/*
 * In the child, after descriptors, cwd and rlimits: capabilities, no_new_privs,
 * Landlock. `landlock_fd` and `border_fd` are the rulesets' numbers in the
 * child, and are closed here: a filter may forbid that later. Async-signal-safe
 * (sandbox-child.c). 0, or a negative errno with stage and index in the report,
 * whose stage is kept up to date on the way.
 */
int pal__sandbox_enter(const struct pal__sandbox *sandbox, int landlock_fd, int border_fd,
	struct pal__report *report);

/* The last step of the sandbox: what follows is filtered. */
int pal__sandbox_filter(const struct pal__sandbox *sandbox, struct pal__report *report);

/* All but the filter, and without closing: what a thread of a running process does to itself. */
int pal__sandbox_enter_unfiltered(const struct pal__sandbox *sandbox, int landlock_fd,
	struct pal__report *report);

#endif
