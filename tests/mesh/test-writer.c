/* SPDX-License-Identifier: MIT */

/* The writer when it is used wrongly. What it writes when it is used well: test-encoding.c, test-vectors.c. */

#include <mesh/encoding.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

#include <pal/util-priv.h>

#include "support.h"
#include "vectors.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void write_field_0(struct mesh_writer *writer)
{
	mesh_writer_varint(writer, 0, 1);
}
static void write_field_too_large(struct mesh_writer *writer)
{
	mesh_writer_bytes(writer, 536870912, "x", 1);
}
static void begin_field_0(struct mesh_writer *writer)
{
	mesh_writer_begin(writer, 0);
	mesh_writer_end(writer);
}
static void begin_only(struct mesh_writer *writer)
{
	mesh_writer_begin(writer, 1);
}
static void end_only(struct mesh_writer *writer)
{
	mesh_writer_end(writer);
	mesh_writer_begin(writer, 1);
	mesh_writer_end(writer);
}
static void bytes_from_nowhere(struct mesh_writer *writer)
{
	mesh_writer_bytes(writer, 1, NULL, 1);
}
static void no_port(struct mesh_writer *writer)
{
	mesh_writer_put_port(writer, 1, NULL);
}
static void no_descriptor(struct mesh_writer *writer)
{
	mesh_writer_put_fd(writer, 1, -1);
}
static void two_mistakes(struct mesh_writer *writer)
{
	mesh_writer_put_fd(writer, 1, -1);
	mesh_writer_varint(writer, 0, 1);
}
static void resource_in_field_0(struct mesh_writer *writer)
{
	mesh_writer_put_fd(writer, 0, some_fd());
}
static void more_than_there_is_memory(struct mesh_writer *writer)
{
	mesh_writer_bytes(writer, 1, "", PTRDIFF_MAX / 2);
}
static void more_than_can_be_counted(struct mesh_writer *writer)
{
	mesh_writer_bytes(writer, 1, "", SIZE_MAX);
}

static const struct misuse {
	void (*call)(struct mesh_writer *writer);
	int result;
} misuses[] = {{write_field_0, -EINVAL}, {write_field_too_large, -EINVAL}, {begin_field_0, -EINVAL},
        {begin_only, -EINVAL}, {end_only, -EINVAL}, {bytes_from_nowhere, -EINVAL},
        {no_port, -EINVAL}, {no_descriptor, -EBADF}, {two_mistakes, -EBADF},
        {resource_in_field_0, -EINVAL}, {more_than_there_is_memory, -ENOMEM},
        {more_than_can_be_counted, -ENOMEM}};

START_TEST(the_first_mistake_is_reported_at_the_end_and_nothing_is_kept)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message = NULL;
	int before = some_fd(), after = some_fd();

	mesh_writer_put_fd(writer, 1, before);
	misuses[_i].call(writer);
	mesh_writer_put_fd(writer, 1, after);
	mesh_writer_put_port(writer, 1, some_port());
	mesh_writer_varint(writer, 1, 1);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), misuses[_i].result);
	ck_assert_ptr_null(message);
	ck_assert(!is_open(before) && !is_open(after));
}
END_TEST

START_TEST(without_memory_for_a_writer_resources_are_closed_all_the_same)
{
	struct mesh_message *message = NULL;
	int fd = some_fd();

	mesh_writer_varint(NULL, 1, 1);
	mesh_writer_begin(NULL, 1);
	mesh_writer_put_fd(NULL, 1, fd);
	mesh_writer_put_port(NULL, 1, some_port());
	mesh_writer_end(NULL);
	ck_assert_int_eq(mesh_writer_finish(NULL, &message), -ENOMEM);
	ck_assert_ptr_null(message);
	ck_assert(!is_open(fd));
	mesh_writer_free(NULL);
}
END_TEST

START_TEST(freeing_a_writer_closes_what_was_put_and_keeps_errno)
{
	struct mesh_writer *writer = mesh_writer_new();
	int fd = some_fd();

	mesh_writer_put_fd(writer, 1, fd);
	mesh_writer_begin(writer, 1);
	errno = ENOTTY;
	mesh_writer_free(writer);
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert(!is_open(fd));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/writer");
	TCase *misuse = support_tcase(suite, "misuse");

	tcase_add_loop_test(misuse, the_first_mistake_is_reported_at_the_end_and_nothing_is_kept, 0,
	        PAL_ARRAY_LENGTH(misuses));
	tcase_add_test(misuse, without_memory_for_a_writer_resources_are_closed_all_the_same);
	tcase_add_test(misuse, freeing_a_writer_closes_what_was_put_and_keeps_errno);
	return suite;
}
SUPPORT_MAIN(make_suite)
