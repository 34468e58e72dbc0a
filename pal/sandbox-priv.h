/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SANDBOX_PRIV_H
#define PROCMESH_PAL_SANDBOX_PRIV_H

#include <linux/filter.h>
#include <pal/landlock-words-priv.h>
#include <pal/report-priv.h>
#include <pal/sandbox.h>
#include <stdbool.h>

/* What pal_profile_describe says of a ruleset. */
struct pal__landlock_view {
	bool files, ports;
	unsigned scopes;
	struct pal_landlock_rights missing; /* best effort: asked for, and not denied */
	struct pal__landlock_words *words; /* owned, NULL: no ruleset */
};

/* Rulesets of profiles that are composed, apart from that of the last one: profile-stack.c. */
#define PAL__STACKED_MAX 4

/*
 * What a builder has been told about the sandbox, ready to be applied: filters
 * are compiled, rulesets are made. Embedded in struct pal_builder, read-only
 * while a child is being made.
 */
struct pal__sandbox {
	bool settled; /* a profile has said something: setters add to it, and replace nothing */
	bool no_new_privs;
	bool set_capabilities;
	struct pal_capabilities capabilities;
	uint64_t
		unless_root; /* what users other than 0 have of these sets, apart from the bounding one */
	bool keep_capabilities;
	bool set_securebits;
	unsigned securebits;
	bool only_narrow;          /* refuse capabilities that this thread does not have already */
	unsigned last_capability;  /* of the running kernel, looked up in the parent */
	uint64_t bounding_seen;    /* in the parent's bounding set then: a hint */
	int landlock_fd;           /* -1: none; a duplicate of the ruleset, owned */
	unsigned landlock_flags;   /* of landlock_restrict_self */
	struct pal__landlock_view landlock_view;
	int stacked_fds[PAL__STACKED_MAX]; /* more rulesets, entered before it; -1: none; owned */
	unsigned stacked_flags[PAL__STACKED_MAX];
	struct pal__landlock_view stacked_views[PAL__STACKED_MAX];
	int border_fd;             /* -1: none; pal__landlock_border, stacks with the former; owned */
	struct sock_fprog seccomp; /* len 0: none; owned copy */
	unsigned long exec_key;    /* 4th argument of execve: pal_seccomp_allow_first_exec */
	unsigned long shared_key;  /* 0: none; what filters from now on have as exec_key, if any */
	unsigned long start_key;   /* 0: none; 6th argument of the calls in sandbox-child.c */
	bool notify;               /* the filter wants a listener, which goes to the parent */
};
#define PAL__SANDBOX_INIT                                                                          \
	{.landlock_fd = -1,                                                                        \
		.stacked_fds = {[0 ... PAL__STACKED_MAX - 1] = -1},                                \
		.border_fd = -1}

/* A child's processes cannot reach those outside: see pal__landlock_border. 0 or a negative errno. */
int pal__builder_border(struct pal_builder *builder, struct pal_error *error);

void pal__sandbox_clear(struct pal__sandbox *sandbox);
/* No descriptor in it is this process's: clear will close none. */
void pal__sandbox_forget(struct pal__sandbox *sandbox);

/* What differs from child to child: numbers in the child, -1: none. All are closed on the way. */
struct pal__sandbox_entry {
	int landlock_fd, border_fd;
	int stacked_fds[PAL__STACKED_MAX];
	int handover_fd;    /* a socket, for the listener of the filter */
	int handover_other; /* its other end, which is not the child's */
	bool user_set;      /* there was a setresuid(2) before this */
};

/*
 * In the child, after descriptors, cwd and rlimits: capabilities, no_new_privs,
 * Landlock. The rulesets are closed here: a filter may forbid that later.
 * Async-signal-safe (sandbox-child.c). 0, or a negative errno with stage and index in
 * the report, whose stage is kept up to date on the way.
 */
int pal__sandbox_enter(const struct pal__sandbox *sandbox, const struct pal__sandbox_entry *entry,
	struct pal__report *report);

/* The last step of the sandbox: what follows is filtered. */
int pal__sandbox_filter(const struct pal__sandbox *sandbox, const struct pal__sandbox_entry *entry,
	struct pal__report *report);

/*
 * From now on pal_self_restrict restricts nothing in the calling thread, but sets what it was asked for on the
 * builder: for pal_profile_describe. NULL: no more. Returns what was there before.
 */
struct pal_builder *pal__self_restrict_instead(struct pal_builder *builder);

/* All but the filter, and without closing: what a thread of a running process does to itself. */
int pal__sandbox_enter_unfiltered(const struct pal__sandbox *sandbox,
	const struct pal__sandbox_entry *entry, struct pal__report *report);

#endif
