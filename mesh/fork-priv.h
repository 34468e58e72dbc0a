/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_FORK_PRIV_H
#define PROCMESH_MESH_FORK_PRIV_H

/*
 * A child of fork(2) has copies of the nodes and ports, but none of the threads: a lock may be taken by one of those
 * for ever, and lists be in the middle of a change; and the sockets are the parent's. So whoever made a node or a port
 * notes after how many forks that was, and where that is another number nothing of it is touched.
 *
 * Forks are counted by a handler of pthread_atfork(3), which costs those that look nothing but a comparison.
 * It is run for every fork that libc makes. (_Fork(3) and clone(2) without CLONE_VM go unseen.)
 */

#include <stdbool.h>
#include <stdint.h>

/* How many lie between the program's first process and this one. Changes while there is one thread only. */
extern uint16_t mesh__forks;

/* Whether what was made after so many is the copy of another process's. */
static inline bool mesh__is_inherited(uint16_t made_after)
{
	return __builtin_expect(made_after != mesh__forks, 0);
}

#endif
