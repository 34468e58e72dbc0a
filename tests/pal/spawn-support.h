/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_SPAWN_SUPPORT_H
#define PROCMESH_TESTS_SPAWN_SUPPORT_H

#include <pal/builder.h>
#include <pal/child.h>
#include <stdbool.h>

/*
 * Every spawn behaves the same with shared and with copied memory: such tests
 * are loop tests over `_i`.
 */
enum { MODE_VFORK, MODE_COPY, MODES };

/* A builder for a program of tests/helpers. */
struct pal_builder *builder_for(const char *helper, int mode);

/* Spawns, which must succeed, and frees the builder. */
struct pal_child *spawn_take(struct pal_builder *builder);

/*
 * Spawns with a pipe as stdout, reads it to the end, waits for exit 0 and frees
 * everything. The text is valid until the next call.
 */
const char *output_of(struct pal_builder *builder);

/* Reads `fd` to its end into the same text. */
const char *read_to_end(int fd);

/* A file of its own, close-on-exec; at that number. */
int new_file(void);
int new_file_at(int number);

/* Whether a line of show-fds says that the child's `number` is our file `fd`. */
bool shows(const char *text, int number, int fd);
int count_lines(const char *text);

/* Waits for the end, and frees the child. */
struct pal_status wait_take(struct pal_child *child);

/* SIGKILL to a child that has no handle. */
void kill_and_reap(pid_t pid);

/* A fork with the number `wanted`, if that can be arranged before others take it; else -1. */
pid_t fork_with_number(pid_t wanted);

/*
 * A filter on this whole test process, which its children inherit. `number` meets
 * `action` (SECCOMP_RET_), the rest is allowed.
 */
void filter_calls(unsigned number, unsigned action);

/* Asserts that this spawn fails so; frees the builder. */
#define ck_assert_spawn_fails(builder, code_, stage_, index_) \
	do { \
		struct pal_error fails_error_ = {0}; \
		struct pal_builder *fails_builder_ = (builder); \
		struct pal_child *fails_child_ = (void *)-1; \
		ck_assert_int_eq(pal_builder_spawn(fails_builder_, &fails_child_, &fails_error_), code_); \
		ck_assert_ptr_eq(fails_child_, (void *)-1); \
		ck_assert_int_eq(fails_error_.code, code_); \
		ck_assert_str_eq(pal_stage_name(fails_error_.stage), pal_stage_name(stage_)); \
		ck_assert_int_eq(fails_error_.index, index_); \
		pal_builder_free(fails_builder_); \
	} while (0)

/* A builder for helpers/say.c, which says `what` it is asked for on pipes; and what it writes of letters. */
struct pal_builder *builder_saying(const char *what, size_t count);
void check_said(const char *text, size_t size);

#endif
