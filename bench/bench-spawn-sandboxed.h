/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_BENCH_SPAWN_SANDBOXED_H
#define PROCMESH_BENCH_SPAWN_SANDBOXED_H

#include <linux/filter.h>
#include <stdbool.h>
#include <sys/resource.h>

/*
 * The sandbox that all candidates put the same program into, each in its own
 * words: no_new_privs, a filter that allows 60 calls, a Landlock ruleset that allows to read and execute
 * what is in 10 folders and nothing else, no capabilities, three limits.
 */
extern const char *const sandboxed_calls[61];   /* NULL at the end, as below */
extern const char *const sandboxed_folders[11];
extern const struct sandboxed_limit {
	int resource;
	const char *key; /* in a profile's text */
	rlim_t value;
} sandboxed_limits[3];

/* Besides that, in user, mount and pid namespaces of its own; and there in a root of its own, of these. */
enum sandboxed_in {
	IN_NOTHING,
	IN_NAMESPACES,
	IN_ROOT,
};
extern const char *const sandboxed_binds[5];

/* bench-spawn-raw.c: the plain system calls, by hand. */

void run_raw(unsigned count);
void run_raw_namespaces(unsigned count);
void run_raw_sharing(unsigned count); /* the same in our memory, which is not safe */
void run_raw_root(unsigned count);
/* What the sandbox takes to be made: the ruleset, in a descriptor. */
int raw_ruleset(void);

/* What libseccomp makes of the calls, in its own order or as a binary tree: a file to be read, and what is in it. */
int libseccomp_file(bool tree);
struct sock_fprog libseccomp_program(bool tree);

/* bench-spawn-bwrap.c: bubblewrap, where configure has found it. */

void run_bwrap_namespaces(unsigned count);
void run_bwrap_root(unsigned count);

#endif
