/* SPDX-License-Identifier: MIT */
#include <mesh/message.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <mesh/message-priv.h>

#include "support.h"

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(a_message_is_a_copy_of_the_bytes)
{
	char text[] = "hello";
	struct mesh_message *message = mesh_message_new(text, sizeof text);

	memset(text, 'x', sizeof text);
	ck_assert_uint_eq(mesh_message_size(message), 6);
	ck_assert_str_eq(mesh_message_data(message), "hello");
	ck_assert_uint_eq((uintptr_t)mesh_message_data(message) % _Alignof(max_align_t), 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(a_message_of_no_bytes_is_a_message)
{
	struct mesh_message *message = mesh_message_new(NULL, 0);

	ck_assert_ptr_nonnull(message);
	ck_assert_uint_eq(mesh_message_size(message), 0);
	ck_assert_uint_eq(mesh_message_resource_count(message), 0);
	mesh_message_free(message);
	mesh_message_free(NULL);
}
END_TEST

START_TEST(bytes_that_nobody_filled_are_zero)
{
	struct mesh_message *message = mesh_message_new_sized(1000);

	for (size_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(((uint8_t *)mesh_message_data(message))[i], 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(a_size_that_cannot_be_is_refused)
{
	ck_assert_ptr_null(mesh_message_new("", SIZE_MAX));
	ck_assert_ptr_null(mesh_message_new_sized(SIZE_MAX - 8));
	ck_assert_ptr_null(mesh_message_new_sized(PTRDIFF_MAX));
}
END_TEST

START_TEST(freeing_closes_the_descriptors_that_nobody_took)
{
	struct mesh_message *message = mesh_message_new(NULL, 0);
	int first = some_fd(), second = some_fd();

	ck_assert_int_eq(mesh_message_put_fd(message, first), 0);
	ck_assert_int_eq(mesh_message_put_fd(message, second), 0);
	ck_assert_uint_eq(mesh__message_fd_count(message), 2);
	ck_assert_int_eq(mesh_message_take_fd(message, 1), second);
	ck_assert_uint_eq(mesh__message_fd_count(message), 1);
	errno = EXDEV;
	mesh_message_free(message);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert(!is_open(first));
	ck_assert(is_open(second));
	close(second);
}
END_TEST

START_TEST(a_resource_can_be_taken_once_and_only_as_what_it_is)
{
	struct mesh_message *message = mesh_message_new(NULL, 0);
	int fd;

	ck_assert_int_eq(mesh_message_put_fd(message, some_fd()), 0);
	ck_assert_ptr_null(mesh_message_take_port(message, 0));
	ck_assert_int_eq(mesh_message_take_fd(message, 1), -EINVAL);
	ck_assert_int_eq(mesh_message_take_fd(message, SIZE_MAX), -EINVAL);
	fd = mesh_message_take_fd(message, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(mesh_message_take_fd(message, 0), -EINVAL);
	ck_assert_uint_eq(mesh_message_resource_count(message), 1);
	mesh_message_free(message);
	close(fd);
}
END_TEST

START_TEST(putting_consumes_the_descriptor_also_when_it_fails)
{
	int fd = some_fd();

	ck_assert_int_eq(mesh_message_put_fd(NULL, fd), -EINVAL);
	ck_assert(!is_open(fd));
}
END_TEST

START_TEST(duplicating_leaves_the_callers_descriptor_alone)
{
	struct mesh_message *message = mesh_message_new(NULL, 0);
	int fd = some_fd(), copy;

	ck_assert_int_eq(mesh_message_dup_fd(message, fd), 0);
	copy = mesh_message_take_fd(message, 0);
	ck_assert_int_ne(copy, fd);
	ck_assert_int_eq(fcntl(copy, F_GETFD), FD_CLOEXEC);
	ck_assert(is_open(fd));
	mesh_message_free(message);
	close(copy);
	close(fd);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
	struct mesh_message *message = mesh_message_new(NULL, 0);
	int fd = some_fd();

	close(fd);
	ck_assert_int_eq(mesh_message_put_fd(message, -1), -EBADF);
	ck_assert_int_eq(mesh_message_put_fd(message, fd), -EBADF);
	ck_assert_int_eq(mesh_message_put_fd(NULL, fd), -EBADF);
	ck_assert_int_eq(mesh_message_dup_fd(message, -1), -EBADF);
	ck_assert_int_eq(mesh_message_dup_fd(message, fd), -EBADF);
	ck_assert_int_eq(mesh_message_dup_fd(NULL, fd), -EINVAL);
	ck_assert_int_eq(mesh_message_put_port(message, NULL), -EINVAL);
	ck_assert_uint_eq(mesh_message_resource_count(message), 0);
	ck_assert_int_eq(mesh_message_take_fd(NULL, 0), -EINVAL);
	ck_assert_ptr_null(mesh_message_take_port(NULL, 0));
	ck_assert_ptr_null(mesh_message_data(NULL));
	mesh_message_free(message);
}
END_TEST

START_TEST(a_message_holds_many_resources_in_their_order)
{
	struct mesh_message *message = mesh_message_new("x", 1);
	int fds[200];

	for (size_t i = 0; i < 200; i++) {
		fds[i] = some_fd();
		ck_assert_int_eq(mesh_message_put_fd(message, fds[i]), 0);
	}
	ck_assert_uint_eq(mesh_message_resource_count(message), 200);
	for (size_t i = 0; i < 200; i++) {
		ck_assert_int_eq(mesh_message_take_fd(message, i), fds[i]);
		close(fds[i]);
	}
	mesh_message_free(message);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/message");
	TCase *bytes = support_tcase(suite, "bytes");
	TCase *resources = support_tcase(suite, "resources");

	tcase_add_test(bytes, a_message_is_a_copy_of_the_bytes);
	tcase_add_test(bytes, a_message_of_no_bytes_is_a_message);
	tcase_add_test(bytes, bytes_that_nobody_filled_are_zero);
	tcase_add_test(bytes, a_size_that_cannot_be_is_refused);
	tcase_add_test(resources, freeing_closes_the_descriptors_that_nobody_took);
	tcase_add_test(resources, a_resource_can_be_taken_once_and_only_as_what_it_is);
	tcase_add_test(resources, putting_consumes_the_descriptor_also_when_it_fails);
	tcase_add_test(resources, duplicating_leaves_the_callers_descriptor_alone);
	tcase_add_test(resources, wrong_arguments_are_refused);
	tcase_add_test(resources, a_message_holds_many_resources_in_their_order);
	return suite;
}
SUPPORT_MAIN(make_suite)
