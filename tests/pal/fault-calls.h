/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_FAULT_CALLS_H
#define PROCMESH_TESTS_FAULT_CALLS_H

#include <stdbool.h>

/*
 * The calls of a spawn that can fail, made to fail one at a time. The linker
 * puts the wrappers of fault-calls.c before libc's functions, in the library's
 * objects too; the state is in memory that children share, whatever their own is.
 */

/* The n-th call from now on fails, counted from 1; 0: none. */
void fault_arm(int n);

/*
 * The n-th call of this name, also of those on the way into namespaces, which
 * fault_arm leaves alone: there several processes make calls at once.
 */
void fault_arm_call(const char *call, int n);

/* That call, a "sys_write", is not made, and says that it has written all. */
void fault_arm_lie(const char *call, int n);

/* The call that was made to fail, "mmap" or "sys_chdir"; NULL: there were fewer calls. */
const char *fault_fired(void);

/* The errno that it was made to fail with. */
int fault_errno(void);

/* How many times another process than the one that armed has called the allocator. S50 */
int fault_stray_allocations(void);

/* How many files another process has opened in the table of the one that armed. */
int fault_stray_opens(void);

/* For wrappers in other files: whether this call of `name` is to fail, with this errno, which is set. */
bool fault_fails(const char *name, int error);

/* Gives the state back. */
void fault_end(void);

#endif
