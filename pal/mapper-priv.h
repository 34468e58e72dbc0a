/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_MAPPER_PRIV_H
#define PROCMESH_PAL_MAPPER_PRIV_H

#include <pal/namespaces-priv.h>
#include <pal/report-priv.h>
#include <sys/types.h>

struct pal__child_args;

/*
 * Of a child that is born in a user namespace whose maps only a process outside may
 * write: such a process, which shares this one's memory and descriptors, because this one
 * is going to wait for the child in clone(2). When the child asks for it, whose pidfd is
 * among the descriptors then, it takes a copy of these, writes, and ends; its end is what the
 * child waits for. report->maps is between the two.
 */
struct pal__mapper {
	const struct pal__ns_plan *plan;
	struct pal__report *report; /* the child's; all three see it */
	const int *child;           /* a pidfd, by the time that the child runs */
	pid_t parent;               /* this process, as it sees itself */
	pid_t pid;
	int pidfd; /* -1: there is none */
};
#define PAL__MAPPER_INIT {.pidfd = -1}

/* Before the child is made. `stack` is its end. 0 or a negative errno. */
int pal__mapper_start(struct pal__mapper *mapper, char *stack);
/* When clone(2) has returned, with *mapper->child -1 if there is no child. Keeps errno. */
void pal__mapper_end(struct pal__mapper *mapper);

/* What it runs: mapper-child.c. */
int pal__child_write_maps(void *mapper);
/* The child has it write, and waits for that. 0, or a negative errno that is also in the report. */
int pal__child_await_maps(const struct pal__child_args *args);
/* To the process whose folder in /proc this is. Likewise; namespaces-child.c. */
int pal__child_write_id_maps(
	const struct pal__ns_plan *plan, int process, struct pal__report *report);

#endif
