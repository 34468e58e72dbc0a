/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "support.h"

/* A port whose other end is closed: only its identity matters here. */
static struct mesh_port *some_port(void)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	mesh_port_free(b);
	return a;
}

static struct mesh_message *message_with_ports(const void *data, size_t size, size_t ports)
{
	struct mesh_message *message = mesh_message_new(data, size);

	ck_assert_ptr_nonnull(message);
	for (size_t i = 0; i < ports; i++)
		ck_assert_int_eq(mesh_message_put_port(message, some_port()), 0);
	return message;
}

/* T as bytes with some ports, and the whole as the wire's specification shows it. */
static const struct vector {
	const char *t, *whole;
	size_t t_size, whole_size, ports;
} vectors[] = {
#define BYTES(t, ports, whole)                                                                     \
	{                                                                                          \
		t, whole, sizeof t - 1, sizeof whole - 1, ports                                    \
	}
	BYTES("", 0, "\x0e\x01\x01\x0f"),
	BYTES("\x08\x05", 0, "\x0e\x01\x05\x0f\x12\x02\x08\x05"),
	BYTES("\x0f", 1, "\x0e\x02\x05\x0f\x16\x01\x01\x0f"),
	BYTES("\x0f\x17", 2, "\x0e\x03\x06\x0f\x16\x02\x02\x0f\x17"),
};

START_TEST(the_bytes_are_those_of_the_wire)
{
	const struct vector *vector = &vectors[_i];
	struct mesh_message *init = message_with_ports(vector->t, vector->t_size, vector->ports),
			    *whole;

	ck_assert_int_eq(mesh_process__initial_encode(some_port(), init, &whole), 0);
	ck_assert_uint_eq(mesh_message_size(whole), vector->whole_size);
	ck_assert_mem_eq(mesh_message_data(whole), vector->whole, vector->whole_size);
	ck_assert_uint_eq(mesh_message_resource_count(whole), 1 + vector->ports);
	mesh_message_free(whole);
}
END_TEST

START_TEST(what_was_put_together_comes_apart_again)
{
	const struct vector *vector = &vectors[_i];
	struct mesh_message *whole, *init;
	struct mesh_port *requests;

	whole = message_with_ports(vector->whole, vector->whole_size, 1 + vector->ports);
	ck_assert_int_eq(mesh_process__initial_decode(whole, &requests, &init), 0);
	ck_assert_uint_eq(mesh_message_size(init), vector->t_size);
	ck_assert(!memcmp(mesh_message_data(init), vector->t, vector->t_size));
	ck_assert_uint_eq(mesh_message_resource_count(init), vector->ports);
	mesh_port_free(requests);
	mesh_message_free(init);
	mesh_message_free(whole);
}
END_TEST

START_TEST(a_t_of_any_size_goes_through)
{
	static const size_t sizes[] = {1, 127, 128, 16383, 16384, 3000000};
	size_t size = sizes[_i];
	struct mesh_message *init = mesh_message_new_sized(size), *whole, *back;
	struct mesh_port *requests;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), taken;

	memset(mesh_message_data(init), 'x', size);
	for (int i = 0; i < 60; i++)
		ck_assert_int_eq(mesh_message_dup_fd(init, fd), 0);
	ck_assert_int_eq(mesh_message_put_fd(init, fd), 0);
	ck_assert_int_eq(mesh_process__initial_encode(some_port(), init, &whole), 0);
	ck_assert_int_eq(mesh_process__initial_decode(whole, &requests, &back), 0);
	ck_assert_uint_eq(mesh_message_size(back), size);
	ck_assert_int_eq(((char *)mesh_message_data(back))[size - 1], 'x');
	ck_assert_uint_eq(mesh_message_resource_count(back), 61);
	taken = mesh_message_take_fd(back, 60);
	ck_assert_int_eq(taken, fd);
	ck_assert_int_eq(mesh_message_put_fd(back, taken), 0);
	mesh_port_free(requests);
	mesh_message_free(back);
	mesh_message_free(whole);
}
END_TEST

static void refuse(const void *data, size_t size, size_t ports)
{
	struct mesh_message *whole = message_with_ports(data, size, ports), *init;
	struct mesh_port *requests;

	ck_assert_int_eq(mesh_process__initial_decode(whole, &requests, &init), -EBADMSG);
	mesh_message_free(whole);
}

/* S167: whatever a leader sends, it is an error and no crash. */
START_TEST(a_message_that_was_cut_is_refused)
{
	const struct vector *vector = &vectors[3];

	for (size_t size = 0; size < vector->whole_size; size++)
		refuse(vector->whole, size, 3);
}
END_TEST

START_TEST(a_message_of_another_form_is_refused)
{
	refuse("\x0f", 1, 1);                 /* a port where the message is due */
	refuse("\x08\x01", 2, 0);             /* a number */
	refuse("\x0e\x01\x01\x17", 4, 1);     /* T is a port, and no requests */
	refuse("\x0e\x02\x02\x0f\x17", 5, 2); /* T is a port */
	refuse("\x0a\x01\x0f", 3, 1);         /* a port in a message that says it has none */
	refuse("\x0e\x01\x01\x0f", 4, 0);     /* a port that did not come */
	refuse("\x0e\x02\x02\x0f\x0f", 5, 0); /* ... */
	refuse("\x0e\x02\x05\x0f\x16\x02\x01\x0f", 8, 2); /* T has more resources than there are */
	refuse("\x12\x00", 2, 0);                         /* nothing known */
}
END_TEST

START_TEST(a_descriptor_is_not_a_port)
{
	struct mesh_message *whole = mesh_message_new("\x0e\x01\x01\x0f", 4), *init;
	struct mesh_port *requests;

	ck_assert_int_eq(mesh_message_dup_fd(whole, 2), 0);
	ck_assert_int_eq(mesh_process__initial_decode(whole, &requests, &init), -EBADMSG);
	mesh_message_free(whole);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/initial");
	TCase *bytes = support_tcase(suite, "bytes"), *refused = support_tcase(suite, "refused");

	tcase_add_loop_test(bytes, the_bytes_are_those_of_the_wire, 0, 4);
	tcase_add_loop_test(bytes, what_was_put_together_comes_apart_again, 0, 4);
	tcase_add_loop_test(bytes, a_t_of_any_size_goes_through, 0, 6);
	tcase_add_test(refused, a_message_that_was_cut_is_refused);
	tcase_add_test(refused, a_message_of_another_form_is_refused);
	tcase_add_test(refused, a_descriptor_is_not_a_port);
	return suite;
}
SUPPORT_MAIN(make_suite)
