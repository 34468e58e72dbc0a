/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_ISOLATE_SUPPORT_H
#define PROCMESH_TESTS_ISOLATE_SUPPORT_H

#include <check.h>
#include <errno.h>
#include <isolate/isolate.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

PAL_BEGIN_DECLS
#include "support.h"
PAL_END_DECLS

/* ThreadSanitizer makes a fork many times slower: the counts of calls are divided by this. It has a thread, too. */
#if defined __SANITIZE_THREAD__
#define SLOWNESS 5
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define SLOWNESS 5
#endif
#endif
#ifdef SLOWNESS
#define THREADS_OF_THE_SANITIZER 1
#else
#define THREADS_OF_THE_SANITIZER 0
#define SLOWNESS 1
#endif

/* Whether a child of a process with threads can allocate: fork(3) does not know ASan's locks. */
#if defined __SANITIZE_ADDRESS__
#define ALLOCATOR_SURVIVES_FORK 0
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define ALLOCATOR_SURVIVES_FORK 0
#endif
#endif
#ifndef ALLOCATOR_SURVIVES_FORK
#define ALLOCATOR_SURVIVES_FORK 1
#endif

/* Long enough for any machine: only where the defect under test would be a hang. */
#define A_HANG_MS 30000

#define ck_assert_answer(result_ptr, expected) \
	ck_assert_msg((result_ptr)->answer == (expected), "answer %d: %s (value %d, size %zu)", \
		(int)(result_ptr)->answer, pal_error_text(&(result_ptr)->error), \
		(result_ptr)->value, (result_ptr)->size)

#define ck_assert_failure(result_ptr, expected, expected_stage, expected_code) \
	do { \
		ck_assert_answer(result_ptr, expected); \
		ck_assert_msg((result_ptr)->error.stage == (int)(expected_stage) && \
				(result_ptr)->error.code == (expected_code), \
			"stage %#x, code %d: %s", (unsigned)(result_ptr)->error.stage, \
			(result_ptr)->error.code, pal_error_text(&(result_ptr)->error)); \
		ck_assert_str_ne((result_ptr)->error.text, ""); \
		ck_assert_ptr_null((result_ptr)->data); \
		ck_assert_uint_eq((result_ptr)->size, 0); \
	} while (0)

/* Of the environment; `otherwise` where that has no positive one. */
static inline int number_of_environment(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return value && atoi(value) > 0 ? atoi(value) : otherwise;
}

/* For `.ci/run nightly`: how many times over a test of load goes on, and how long eight threads call. */
static inline int stress(void)
{
	return number_of_environment("PROCMESH_STRESS", 1);
}

static inline int stress_seconds(void)
{
	return number_of_environment("PROCMESH_STRESS_SECONDS", 0);
}

/* What valgrind does on its own account: it has low descriptors, keeps limits, runs one thread at a time. */
#define skip_under_valgrind(why) \
	do { \
		if (getenv("PROCMESH_UNDER_VALGRIND")) \
			support_skip("under valgrind: %s", why); \
	} while (0)

/* As support_tcase, which would take the memory that is kept between calls for a leak. */
static inline TCase *isolate_tcase(Suite *suite, const char *name)
{
	TCase *tcase = support_tcase(suite, name);

	tcase_add_checked_fixture(tcase, NULL, isolate_trim);
	return tcase;
}

/* Memory that parent and child both see: what the child really did, told past the library. */
static inline void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	return memory;
}

/* A byte that depends on its place, with a period that no buffer size divides. */
static inline unsigned char pattern(size_t place)
{
	return (unsigned char)(place % 251 + place / 65536);
}

/* For isolate_call, or to be called by another function: writes the pattern in pieces. */
struct order {
	size_t size;
	size_t chunk; /* bytes per isolate_write */
};

static inline int write_pattern(struct isolate_writer *out, void *arg)
{
	const struct order *order = (const struct order *)arg;
	unsigned char *bytes = (unsigned char *)malloc(order->size + 1);
	int r = 0;

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < order->size; i++)
		bytes[i] = pattern(i);
	for (size_t at = 0; at < order->size && r == 0; at += order->chunk)
		r = isolate_write(out, bytes + at,
			order->size - at < order->chunk ? order->size - at : order->chunk);
	return r;
}

static inline void check_pattern(const struct isolate_result *result, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)result->data;

	ck_assert_answer(result, ISOLATE_RETURNED);
	ck_assert_int_eq(result->value, 0);
	ck_assert_uint_eq(result->size, size);
	ck_assert_int_eq(bytes != NULL, size > 0);
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != pattern(i))
			ck_abort_msg("byte %zu of %zu is wrong", i, size);
}

#endif
