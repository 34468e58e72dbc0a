/* SPDX-License-Identifier: MIT */
#include <mesh/encoding.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mesh/message-priv.h>
#include <mesh/protobuf-priv.h>
#include <pal/util-priv.h>

#include "support.h"
#include "vectors.h"

#define BYTES(text) text, sizeof text - 1

/* A reader over a copy on the heap, without a byte to spare: the sanitizers see a read behind it. */
static struct mesh_reader exact_reader(const void *data, size_t size, uint8_t **ret_copy)
{
	*ret_copy = malloc(size ? size : 1);
	ck_assert_ptr_nonnull(*ret_copy);
	memcpy(*ret_copy, data, size);
	return mesh_reader_over(*ret_copy, size);
}

static struct mesh_message *finish(struct mesh_writer *writer)
{
	struct mesh_message *message;

	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	return message;
}

/* ---- reading ---- */

static const struct scalar {
	const char *bytes;
	size_t size;
	int result;
	unsigned wire_type;
	uint32_t number;
	uint64_t value;
} scalars[] = {
        {BYTES("\x08\x00"), 1, 0, 1, 0},
        {BYTES("\x08\x7f"), 1, 0, 1, 127},
        {BYTES("\x08\x80\x01"), 1, 0, 1, 128},
        {BYTES("\x08\x80\x00"), 1, 0, 1, 0}, /* longer than need be */
        {BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1, 0, 1, UINT64_MAX},
        {BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), 1, 0, 1,
                UINT64_MAX}, /* more than 64 bits */
        {BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), -EBADMSG, 0, 0,
                0}, /* 11 bytes */
        {BYTES("\x08"), -EBADMSG, 0, 0, 0},
        {BYTES("\x08\x80"), -EBADMSG, 0, 0, 0},
        {BYTES("\x80"), -EBADMSG, 0, 0, 0},
        {BYTES("\x88\x00\x05"), 1, 0, 1, 5},    /* a key that is longer than need be */
        {BYTES("\x00\x05"), -EBADMSG, 0, 0, 0}, /* field 0 */
        {BYTES("\xf8\xff\xff\xff\x0f\x05"), 1, 0, 0x1fffffff, 5},
        {BYTES("\x80\x80\x80\x80\x10\x05"), -EBADMSG, 0, 0, 0}, /* field 2^29 */
        {BYTES("\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05"), -EBADMSG, 0, 0, 0},
        {BYTES("\x09\x08\x07\x06\x05\x04\x03\x02\x01"), 1, 1, 1, 0x0102030405060708},
        {BYTES("\x09\x08\x07\x06\x05\x04\x03\x02"), -EBADMSG, 0, 0, 0},
        {BYTES("\x0d\x04\x03\x02\xf1"), 1, 5, 1, 0xf1020304},
        {BYTES("\x0d\x04\x03\x02"), -EBADMSG, 0, 0, 0},
        {BYTES("\x0b"), -EBADMSG, 0, 0, 0}, /* a group */
        {BYTES("\x0c"), -EBADMSG, 0, 0, 0},
};

START_TEST(a_number_is_read)
{
	const struct scalar *scalar = &scalars[_i];
	uint8_t *copy;
	struct mesh_reader reader = exact_reader(scalar->bytes, scalar->size, &copy);
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), scalar->result);
	if (scalar->result == 1) {
		ck_assert_uint_eq(field.wire_type, scalar->wire_type);
		ck_assert_uint_eq(field.number, scalar->number);
		ck_assert_uint_eq(field.value, scalar->value);
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 0);
	}
	free(copy);
}
END_TEST

/* Lengths: 0, all that is left, one more, the largest that there are. S139. */
static const struct length {
	const char *bytes;
	size_t size;
	int result;
	size_t length;
} lengths[] = {
        {BYTES("\x0a\x00"), 1, 0},
        {BYTES("\x0a\x02"), -EBADMSG, 0},
        {BYTES("\x0a\x02"
               "ab"),
                1, 2},
        {BYTES("\x0a\x03"
               "ab"),
                -EBADMSG, 0},
        {BYTES("\x0a\x01"
               "ab"),
                1, 1},
        {BYTES("\x0a\xff\xff\xff\xff\x0f"
               "ab"),
                -EBADMSG, 0},
        {BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
               "ab"),
                -EBADMSG, 0},
        {BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
               "ab"),
                -EBADMSG, 0},
        {BYTES("\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), -EBADMSG, 0},
        {BYTES("\x0a"), -EBADMSG, 0},
        {BYTES("\x0e\x00\x02"
               "ab"),
                1, 2},
        {BYTES("\x0e\x00\x03"
               "ab"),
                -EBADMSG, 0},
        {BYTES("\x0e\x00"), -EBADMSG, 0},
        {BYTES("\x0e"), -EBADMSG, 0},
        {BYTES("\x0e\x01\x02"
               "ab"),
                -EBADMSG, 0}, /* there are no resources */
        {BYTES("\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"
               "ab"),
                -EBADMSG, 0},
        {BYTES("\x0f"), -EBADMSG, 0},
};

START_TEST(a_length_is_checked)
{
	const struct length *length = &lengths[_i];
	uint8_t *copy;
	struct mesh_reader reader = exact_reader(length->bytes, length->size, &copy);
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), length->result);
	if (length->result == 1) {
		ck_assert_uint_eq(field.inner.end - field.inner.at, length->length);
		ck_assert_uint_eq(
		        reader.end - reader.at, length->size - (size_t)(field.inner.end - copy));
	}
	free(copy);
}
END_TEST

START_TEST(a_resource_count_is_checked_against_what_is_left)
{
	static const struct {
		const char *bytes;
		size_t size;
		int result;
	} cases[] = {
	        {BYTES("\x0e\x00\x00"), 1}, {BYTES("\x0e\x02\x00"), 1},
	        {BYTES("\x0e\x03\x00"), 1}, /* all, though it uses none */
	        {BYTES("\x0e\x04\x00"), -EBADMSG},
	        {BYTES("\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), -EBADMSG},
	        {BYTES("\x0e\x81\x80\x80\x80\x10\x00"), -EBADMSG}, /* 2^32 + 1 */
	};
	struct mesh_message *message = message_of(cases[_i].bytes, cases[_i].size, "fff");
	struct mesh_reader reader = mesh_reader_of(message);
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), cases[_i].result);
	mesh_message_free(message);
}
END_TEST

/* Section by section: a resource, a skipped sub-message that owns two, a resource behind it. */
START_TEST(each_range_has_its_own_resources)
{
	struct mesh_message *message = message_of(BYTES("\x0f\x16\x02\x01\x0f\x1f\x1f"), "ffff");
	struct mesh_reader reader = mesh_reader_of(message), inner;
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_uint_eq(field.resource, 0);
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_uint_eq(field.number, 2);
	inner = field.inner;
	ck_assert_int_eq(mesh_reader_next(&inner, &field), 1);
	ck_assert_uint_eq(field.resource, 1);
	ck_assert_int_eq(mesh_reader_next(&inner, &field), 0);
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_uint_eq(field.number, 3);
	ck_assert_uint_eq(
	        field.resource, 3); /* 2 belongs to the sub-message, which did not use it */
	ck_assert_int_eq(mesh_reader_next(&reader, &field), -EBADMSG);
	mesh_message_free(message);
}
END_TEST

START_TEST(a_sub_message_cannot_reach_the_resources_of_its_parent)
{
	struct mesh_message *message = message_of(BYTES("\x0a\x01\x0f\x0f"), "f");
	struct mesh_reader reader = mesh_reader_of(message);
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_int_eq(mesh_reader_next(&field.inner, &(struct mesh_field){0}), -EBADMSG);
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_uint_eq(field.resource, 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(a_failure_moves_nothing)
{
	struct mesh_message *message = message_of(BYTES("\x08\x05\x0e\x01\x05\x0f"), "f");
	struct mesh_reader reader = mesh_reader_of(message), before;
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	before = reader;
	ck_assert_int_eq(mesh_reader_next(&reader, &field), -EBADMSG);
	ck_assert_int_eq(mesh_reader_next(&reader, &field), -EBADMSG);
	ck_assert_mem_eq(&reader, &before, sizeof reader);
	ck_assert_uint_eq(field.value, 5);
	mesh_message_free(message);
}
END_TEST

START_TEST(nothing_is_an_empty_message)
{
	struct mesh_reader over = mesh_reader_over(NULL, 0), of = mesh_reader_of(NULL);
	struct mesh_message *message = mesh_message_new(NULL, 0);
	struct mesh_reader empty = mesh_reader_of(message);
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&over, &field), 0);
	ck_assert_int_eq(mesh_reader_next(&of, &field), 0);
	ck_assert_int_eq(mesh_reader_next(&empty, &field), 0);
	mesh_message_free(message);
}
END_TEST

/* ---- writing, and both ---- */

START_TEST(numbers_go_round)
{
	static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX,
	        (uint64_t)INT64_MAX + 1, UINT64_MAX};
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;
	struct mesh_reader reader;
	struct mesh_field field;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(values); i++) {
		mesh_writer_varint(writer, 1 + (uint32_t)i, values[i]);
		mesh_writer_sint(writer, 536870911 - (uint32_t)i, (int64_t)values[i]);
	}
	message = finish(writer);
	reader = mesh_reader_of(message);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(values); i++) {
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
		ck_assert_uint_eq(field.number, 1 + i);
		ck_assert_uint_eq(field.value, values[i]);
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
		ck_assert_uint_eq(field.number, 536870911 - i);
		ck_assert_int_eq(mesh_field_sint(&field), (int64_t)values[i]);
	}
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(signed_numbers_are_zigzag)
{
	static const struct {
		int64_t value;
		uint64_t wire;
	} pairs[] = {{0, 0}, {-1, 1}, {1, 2}, {-2, 3}, {INT64_MAX, UINT64_MAX - 1},
	        {INT64_MIN, UINT64_MAX}};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(pairs); i++) {
		ck_assert_uint_eq(mesh__zigzag(pairs[i].value), pairs[i].wire);
		ck_assert_int_eq(mesh_field_sint(&(struct mesh_field){.value = pairs[i].wire}),
		        pairs[i].value);
	}
}
END_TEST

/* Where a length takes a byte more, the header grows. */
START_TEST(sub_messages_of_any_length_go_round)
{
	static const size_t sizes[] = {
	        0, 1, 126, 127, 128, 129, 16383, 16384, 16385, 1 << 21, (1 << 21) + 1};
	uint8_t *data = calloc(1, (1 << 21) + 1);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(sizes); i++) {
		struct mesh_writer *writer = mesh_writer_new();
		struct mesh_message *message;
		struct mesh_reader reader;
		struct mesh_field field;

		memset(data, (int)i + 1, sizes[i]);
		mesh_writer_begin(writer, 7);
		mesh_writer_bytes(writer, 8, data, sizes[i]);
		mesh_writer_end(writer);
		message = finish(writer);
		reader = mesh_reader_of(message);
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
		ck_assert_uint_eq(field.number, 7);
		ck_assert_ptr_eq(field.inner.end, message->data + message->size);
		reader = field.inner;
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
		ck_assert_uint_eq(field.number, 8);
		ck_assert_uint_eq(field.inner.end - field.inner.at, sizes[i]);
		ck_assert_mem_eq(field.inner.at, data, sizes[i]);
		mesh_message_free(message);
	}
	free(data);
}
END_TEST

/* S143: 3000 levels with a resource in the innermost. Neither side recurses. */
START_TEST(deep_nesting_goes_round)
{
	enum {
		DEPTH = 3000
	};
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;
	struct mesh_reader reader;
	struct mesh_field field;

	for (int level = 0; level < DEPTH; level++)
		mesh_writer_begin(writer, 1);
	mesh_writer_put_fd(writer, 2, some_fd());
	for (int level = 0; level < DEPTH; level++)
		mesh_writer_end(writer);
	message = finish(writer);
	reader = mesh_reader_of(message);
	for (int level = 0; level < DEPTH; level++) {
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
		ck_assert_uint_eq(field.wire_type, MESH__WIRE_MESSAGE);
		ck_assert_uint_eq(field.inner.resource_end, 1);
		reader = field.inner;
	}
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_uint_eq(field.resource, 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(more_resources_than_a_byte_counts_go_round)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;
	struct mesh_reader reader;
	struct mesh_field field;

	mesh_writer_begin(writer, 1);
	for (int i = 0; i < 200; i++)
		mesh_writer_put_port(writer, 1, some_port());
	mesh_writer_end(writer);
	message = finish(writer);
	reader = mesh_reader_of(message);
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_uint_eq(field.inner.resource_end, 200);
	ck_assert_uint_eq(mesh_message_resource_count(message), 200);
	mesh_message_free(message);
}
END_TEST

START_TEST(the_descriptors_come_out_in_the_order_they_went_in)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;
	int first = some_fd(), second = some_fd();

	mesh_writer_begin(writer, 9);
	mesh_writer_put_fd(writer, 2, first);
	mesh_writer_end(writer);
	mesh_writer_put_fd(writer, 1, second);
	message = finish(writer);
	ck_assert_int_eq(mesh_message_take_fd(message, 0), first);
	ck_assert_int_eq(mesh_message_take_fd(message, 1), second);
	close(first);
	close(second);
	mesh_message_free(message);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/encoding");
	TCase *reading = support_tcase(suite, "reading"),
	      *round = support_tcase(suite, "round trip");

	tcase_add_loop_test(reading, a_number_is_read, 0, PAL_ARRAY_LENGTH(scalars));
	tcase_add_loop_test(reading, a_length_is_checked, 0, PAL_ARRAY_LENGTH(lengths));
	tcase_add_loop_test(reading, a_resource_count_is_checked_against_what_is_left, 0, 6);
	tcase_add_test(reading, each_range_has_its_own_resources);
	tcase_add_test(reading, a_sub_message_cannot_reach_the_resources_of_its_parent);
	tcase_add_test(reading, a_failure_moves_nothing);
	tcase_add_test(reading, nothing_is_an_empty_message);
	tcase_add_test(round, numbers_go_round);
	tcase_add_test(round, signed_numbers_are_zigzag);
	tcase_add_test(round, sub_messages_of_any_length_go_round);
	tcase_add_test(round, deep_nesting_goes_round);
	tcase_add_test(round, more_resources_than_a_byte_counts_go_round);
	tcase_add_test(round, the_descriptors_come_out_in_the_order_they_went_in);
	return suite;
}
SUPPORT_MAIN(make_suite)
