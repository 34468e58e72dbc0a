/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_TASK_STATUS_PRIV_H
#define PROCMESH_PAL_TASK_STATUS_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * The threads of this process as /proc shows them. Raw system calls and memory
 * of the caller only: usable while other threads are stopped anywhere.
 */

struct pal__task_status {
	bool gone;        /* ended, or a thread-group leader that waits for the others (a zombie) */
	bool blocks;      /* the signal asked about */
	char name[32];    /* comm, escaped */
};

/* A descriptor of /proc/self/task, or a negative errno. */
int pal__task_open(void);
/* 0, or a negative errno; a thread that does not exist is `gone`. */
int pal__task_status(int task_fd, pid_t tid, int signal, struct pal__task_status *ret);
/* Calls `visit` with every thread until it returns other than 0, and returns that. */
int pal__task_for_each(int task_fd, int (*visit)(pid_t tid, void *arg), void *arg);

#endif
