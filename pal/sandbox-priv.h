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
	unsigned last_capability;  /* of the running kernel, looked up in the parent */
	int landlock_fd;           /* -1: none; a duplicate of the ruleset, owned */
	struct sock_fprog seccomp; /* len 0: none; owned copy */
};
#define PAL__SANDBOX_INIT {.landlock_fd = -1}

void pal__sandbox_clear(struct pal__sandbox *sandbox);

/*
 * In the child, after descriptors, cwd and rlimits: capabilities, no_new_privs,
 * Landlock, seccomp. `landlock_fd` is the ruleset's number in the child. Async-signal-safe
 * (sandbox-child.c). 0, or a negative errno with stage and index in the report.
 */
int pal__sandbox_enter(const struct pal__sandbox *sandbox, int landlock_fd, struct pal__report *report);

#endif
