/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_LEAKS_H
#define PROCMESH_TESTS_LEAKS_H

/*
 * What a test left behind in its process: descriptors, children, mappings.
 *
 * Descriptors and named or shared mappings (files, memfds, System V segments,
 * anonymous shared memory) are compared with what was there before. Private
 * anonymous mappings cannot be compared like that, because glibc keeps its own:
 * the heap grows, arenas and the stacks of ended threads stay. Those never go
 * through the mmap symbol, so leaks.c defines that symbol for the test program
 * and remembers who mapped and did not unmap. A sanitizer's runtime owns the
 * symbol: under ASan and TSan private anonymous mappings are not checked.
 */

#include <stddef.h>

/* Remembers what is there now. */
void leaks_mark(void);

/*
 * Describes what was added since leaks_mark, one line each, into `text`.
 * Returns how many there are.
 */
size_t leaks_describe(char *text, size_t size);

#endif
