/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_WARM_PRIV_H
#define PROCMESH_ISOLATE_WARM_PRIV_H

#include <isolate/forks-priv.h>
#include <pal/private.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Memory that carries one long result after the other: a memfd whose pages are there
 * already, and the private mapping of it that the caller reads from. New pages, and new
 * entries of page tables for them, cost more than all the copying does.
 *
 * Whose it is, in time:
 *
 *	kept        nobody has it open for writing, and no fork has the mapping
 *	under way   a child has the descriptor that isolate__warm_open made
 *	lent        nobody has it open for writing; the caller, and forks of his, have the mapping
 *
 * No child of ours has `fd`: with it a function could get a descriptor to write by, later than
 * the kernel was asked. Only the kernel knows whether a process that a function left behind still has the
 * descriptor. It is asked for a lease (fcntl(2), F_SETLEASE), which it gives for reading
 * where no file description is open for writing.
 */
struct isolate__warm {
	struct pal_private private; /* of `fd`; not added: there is none */
	int fd; /* read-only, to open the memfd anew, and to ask by; -1: there is none */
	dev_t device;
	ino_t inode;
	struct pal_private_file file; /* the same */
	unsigned char *view; /* MAP_PRIVATE; NULL: not mapped yet */
	size_t view_size;
	uint64_t owner; /* pal_process_mark */
	size_t lent;                 /* bytes of the result; 0: it is not lent */
	struct isolate__forks since; /* when it was lent, or came back */

	/* cache.c's */
	unsigned too_large; /* how many calls in a row needed less than half of it */
	uint64_t put_at;    /* the count of givings back */
};

/*
 * Of a new memfd, which is to be closed before anything is asked: the kernel does not count
 * its first description. NULL: it cannot be opened anew, or no memory.
 */
struct isolate__warm *isolate__warm_new(int memfd);
/*
 * Without a memfd: memory for a short result, of ISOLATE__BUFFER_SIZE. What malloc(3) gives is
 * in every fork, and so costs a page fault for each page that is written after one.
 */
struct isolate__warm *isolate__warm_new_buffer(void);
/* Frees it, with all that it has in this process. Takes NULL; keeps errno. */
void isolate__warm_free(struct isolate__warm *warm);

/*
 * A descriptor to write to it, or -1 and errno: then it is of no use any more. Between
 * pal_private_begin and _end.
 */
int isolate__warm_open(const struct isolate__warm *warm, struct stat *ret);
/* Whether nobody has it open for writing. */
bool isolate__warm_is_read_only(const struct isolate__warm *warm);
/* Maps `size` bytes for the caller. 0 or a negative errno. */
int isolate__warm_lend(struct isolate__warm *warm, size_t size);
/* What was lent comes back. Whether it can serve again: neither has the caller written to it, nor can a fork by others have it. */
bool isolate__warm_take_back(struct isolate__warm *warm);
/* Whether no fork of ours has it any more: a function may read what its caller had. */
bool isolate__warm_has_rested(const struct isolate__warm *warm);
/* Bytes of the memfd; 0: there are none, or another file has the number by now. */
size_t isolate__warm_size(const struct isolate__warm *warm);

#endif
