/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PRIVATE_H
#define PROCMESH_PAL_PRIVATE_H

#include <pal/builder.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

/*
 * Descriptors that a library holds for its own ends, and that no function in a forked child
 * is to have: with a copy it could change flags, read counts away, or shut down what others
 * rely on. The child of a pal_fork closes those of all other calls and handles before it does
 * anything else, and sets the variables of its copy to -1. A fork by others, and what they
 * start with it, is not concerned.
 *
 * An object that holds such descriptors has a struct pal_private in it, and says once where
 * beside that its descriptors are. From pal_private_add to pal_private_remove each of them is
 * opened and closed between pal_private_begin and pal_private_end, together with the change of its
 * variable: then a fork in another thread finds it open and known, or not at all. Between
 * them nothing is allocated and no other lock taken: a fork of another thread waits for the end.
 */

struct pal_private_layout {
	size_t count;
	const ptrdiff_t *
		places; /* of variables of type int, -1: none; counted from the struct pal_private */
	/*
	 * Where a struct pal_private_file is, 0: none. Then there is one descriptor, and it is closed
	 * only if it still is that file: a program that closes what it does not own may have another
	 * one at its number. For objects that ask this themselves before each use; the variable stays
	 * as it is in the child, which saves it a page.
	 */
	ptrdiff_t file;
};
struct pal_private_file {
	uint64_t inode;
	uint32_t major, minor; /* of its device */
};
#define PAL_PRIVATE_PLACE(type, node, fd)                                                          \
	((ptrdiff_t)offsetof(type, fd) - (ptrdiff_t)offsetof(type, node))

struct pal_private { /* all zero: not added */
	const struct pal_private_layout *layout;
	struct pal_private *next, **link;
	uint64_t owner;
};

/*
 * Returns what pal_private_end is to be given. Not nested, and not in a handler of a signal. The
 * thread is not cancelled in between.
 */
PAL_EXPORT bool pal_private_begin(void);
PAL_EXPORT void pal_private_end(bool held);

/* Not between begin and end. The object must stay where it is. */
PAL_EXPORT void pal_private_add(struct pal_private *node, const struct pal_private_layout *layout);
/* Of no effect on what was not added, and in a fork of the process that has added it. */
PAL_EXPORT void pal_private_remove(struct pal_private *node);
/*
 * In a fork of the process that has added it: sets its variables to -1 and closes nothing, because
 * the fork may have files of its own at these numbers by now. For what frees a copy, before
 * it closes. Of no effect elsewhere, and on objects that are asked (`file`).
 */
PAL_EXPORT void pal_private_disown(struct pal_private *node);

/* Closes *fd, if it is not -1, and sets it to -1. Any thread; not between begin and end. */
PAL_EXPORT void pal_private_close(int *fd);

/*
 * The children of further pal_forks with this builder do have those of `node`, if they have others'
 * at all (pal_builder_close_others). NULL, the default: of none. `node` is only compared with.
 */
PAL_EXPORT void pal_builder_keep_private(
	struct pal_builder *builder, const struct pal_private *node);

PAL_END_DECLS

#endif
