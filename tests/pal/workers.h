/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PAL_WORKERS_H
#define PROCMESH_TESTS_PAL_WORKERS_H

/* Threads that wait in some way and say afterwards what they are allowed to do. */

#include <pal/sandbox.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct worker {
	pthread_t thread;
	void (*wait)(struct worker *worker);
	bool blocks;       /* pal_threads_signal() */
	int fds[2];        /* a byte in the pipe ends the wait */
	atomic_bool go;    /* this too, for those that do not read */
	sem_t started;
	pid_t tid;

	/* found out after the wait */
	int no_new_privs;
	int read_result; /* of a file that everybody may read: 0 or the errno */
	int permitted;   /* 1: has a capability */
};

/* Ways to wait. */
#define WAITS 5
extern void (*const waits[WAITS])(struct worker *worker);
void wait_in_read(struct worker *worker);

/* In attempts (sandboxed.h): 0, or 255 with a line on stderr. */
int start_worker(struct worker *worker, void (*wait)(struct worker *));
int end_worker(struct worker *worker);
bool is_restricted(const struct worker *worker);
bool is_free(const struct worker *worker);

int try_read(const char *path);
/* Everything but reading /proc, so that a restricted process can be restricted again. */
int restrict_all(const struct pal_seccomp *filter, struct pal_error *error);
bool signal_is_default(void);

#endif
