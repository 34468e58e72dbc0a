/* SPDX-License-Identifier: MIT */

/*
 * A plug-in that uses the library comes and goes: as its only user, which this program is not. The
 * library keeps memory and descriptors for the next call: it must be the same one that makes that.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "isolate-support.h"

typedef enum isolate_answer (*call_fn)(
	isolate_fn fn, void *arg, const struct isolate_options *options, struct isolate_result *result);
typedef void (*clear_fn)(struct isolate_result *result);
typedef void (*trim_fn)(void);
typedef int (*write_fn)(struct isolate_writer *writer, const void *data, size_t size);

static struct plug_in {
	void *library;
	call_fn call;
	clear_fn clear;
	trim_fn trim;
	write_fn write;
	bool is_last; /* who leaves nothing at all */
} plug_in;

static void *find(const char *name)
{
	void *found = dlsym(plug_in.library, name);

	ck_assert_ptr_nonnull(found);
	return found;
}

static bool load(void)
{
	plug_in.library = dlopen(".libs/libprocmesh-isolate.so", RTLD_NOW | RTLD_LOCAL);
	if (!plug_in.library)
		return false;
	plug_in.call = (call_fn)find("isolate_call");
	plug_in.clear = (clear_fn)find("isolate_result_clear");
	plug_in.trim = (trim_fn)find("isolate_trim");
	plug_in.write = (write_fn)find("isolate_write");
	return true;
}

static unsigned char bytes[200000];

static int write_much(struct isolate_writer *out, void *arg)
{
	(void)arg;
	return plug_in.write(out, bytes, sizeof bytes);
}

static void call_some(void)
{
	struct isolate_result result;

	for (int i = 0; i < 3; i++) {
		plug_in.call(write_much, NULL, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_uint_eq(result.size, sizeof bytes);
		plug_in.clear(&result);
	}
	if (plug_in.is_last)
		plug_in.trim();
}

/* Not in the program's thread: that, once it has called, keeps the library loaded. */
static void *live(void *unused)
{
	(void)unused;
	if (load())
		call_some();
	return NULL;
}

/* Whether there is a library. */
static bool come_and_go(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, live, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	if (!plug_in.library)
		return false;
	ck_assert_int_eq(dlclose(plug_in.library), 0);
	return true;
}

static int count_descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	int count = 0;

	ck_assert_ptr_nonnull(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

static int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int c, count = 0;

	ck_assert_ptr_nonnull(maps);
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

#define ROUNDS 12

START_TEST(a_plug_in_that_comes_and_goes_leaves_no_more_each_time)
{
	int descriptors, mappings;

	skip_under_valgrind("its own mappings come and go");
	if (!come_and_go())
		support_skip("there is no shared library: --disable-shared");
	descriptors = count_descriptors();
	mappings = count_mappings();
	for (int i = 0; i < ROUNDS; i++)
		ck_assert(come_and_go());
	ck_assert_int_le(count_descriptors(), descriptors);
	if (!BUILT_WITH_ASAN && !BUILT_WITH_TSAN) /* which have more with each, as malloc has now and then */
		ck_assert_int_lt(count_mappings(), mappings + ROUNDS);
	plug_in.is_last = true;
	ck_assert(come_and_go());
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/unload");
	TCase *plug_ins = isolate_tcase(suite, "plug-ins");

	tcase_add_test(plug_ins, a_plug_in_that_comes_and_goes_leaves_no_more_each_time);
	return suite;
}
SUPPORT_MAIN(make_suite)
