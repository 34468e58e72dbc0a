/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PROCESS_SUPPORT_H
#define PROCMESH_TESTS_PROCESS_SUPPORT_H

#include <pal/builder.h>
#include <pal/process.h>
#include <sys/types.h>

/*
 * What a child is, by what /proc says about it. All three kinds of children are
 * made of the same plan: such tests are loop tests over `_i`.
 */
enum { KIND_VFORK, KIND_COPY, KIND_FORK, KINDS };

#define NOBODY 65534

/* For tests of ids: skips where only root could, and has the supplementary groups 7, 8 and 9. */
void process_need_root(void);

/* For a child that shows its /proc/self/status and stat. */
struct pal_builder *process_builder(int kind);
/* Runs it, frees the builder. The text is valid until the next call. */
const char *process_text(struct pal_builder *builder, int kind);

/* The line "Uid" of such a text, with single blanks between its words. Valid until the next call. */
const char *process_line(const char *text, const char *name);

/* Fields of the second file, numbered as in proc(5). */
enum { STAT_PID = 1, STAT_GROUP = 5, STAT_SESSION, STAT_TTY, STAT_NICE = 19, STAT_PRIORITY = 40, STAT_POLICY };
long process_stat(const char *text, int field);

/* Asserts that this builder's child fails so, and that neither a program nor the function ran; frees the builder. */
void assert_refused(struct pal_builder *builder, int kind, int code, int stage, int index);

/*
 * Runs `fn` in a process of its own, as user and group `id` (0: as it is) without other groups; what it
 * asserts counts.
 */
void run_as(uid_t id, void (*fn)(int arg), int arg);

#endif
