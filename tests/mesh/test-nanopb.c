/* SPDX-License-Identifier: MIT */

/*
 * mesh_nanopb_encode and _decode with schemas as users write them. Linked with
 * the shared library: it must have the same descriptor of mesh.Resource as the
 * program.
 */

#include <mesh/encoding.h>

#include <errno.h>
#include <fcntl.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>
#include <tests/mesh/strict.pb.h>
#include <tests/mesh/users.pb.h>

#include "support.h"

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* A message that only carries `count` descriptors; their numbers go to `fds`, which may be NULL. */
static struct mesh_message *carrier(size_t count, int *fds)
{
	struct mesh_message *message = mesh_message_new(NULL, 0);

	for (size_t i = 0; i < count; i++) {
		int fd = some_fd();

		if (fds)
			fds[i] = fd;
		ck_assert_int_eq(mesh_message_put_fd(message, fd), 0);
	}
	return message;
}

static struct mesh_message *message_of(const void *bytes, size_t size, size_t fds)
{
	struct mesh_message *message = mesh_message_new(bytes, size);

	for (size_t i = 0; i < fds; i++)
		ck_assert_int_eq(mesh_message_put_fd(message, some_fd()), 0);
	return message;
}

static void check_bytes(struct mesh_message *message, const char *bytes, size_t size)
{
	ck_assert_uint_eq(mesh_message_size(message), size);
	ck_assert_mem_eq(mesh_message_data(message), bytes, size);
}
#define BYTES(text) text, sizeof text - 1

/* ---- encoding ---- */

START_TEST(resources_travel_in_the_order_of_the_bytes)
{
	const users_Task task = {.name = "t",
	        .has_image = true,
	        .image = {4},
	        .outputs_count = 2,
	        .outputs = {{2}, {6}},
	        .has_nested = true,
	        .nested = {7, true, {1}},
	        .which_how = users_Task_log_tag,
	        .log = {3},
	        .list_count = 2,
	        .list = {{1}, {2, true, {5}}},
	        .number = -1};
	static const size_t order[] = {4, 2, 6, 1, 3, 5}; /* by the fields' numbers */
	struct mesh_message *message;
	int fds[6];

	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Task_fields, &task, carrier(6, fds), 0, &message), 0);
	check_bytes(message,
	        BYTES("\x0a\x01t\x17\x1f\x1f\x26\x01\x03\x08\x07\x17\x2f\x3a\x02\x08\x01\x3e\x01\x03\x08\x02\x17\xa0\x06\x01"));
	for (size_t i = 0; i < 6; i++) {
		int fd = mesh_message_take_fd(message, i);

		ck_assert_int_eq(fd, fds[order[i] - 1]);
		close(fd);
	}
	mesh_message_free(message);
}
END_TEST

START_TEST(what_was_encoded_is_decoded)
{
	const users_Task task = {.name = "task",
	        .has_image = true,
	        .image = {1},
	        .outputs_count = 3,
	        .outputs = {{2}, {3}, {4}},
	        .has_nested = true,
	        .nested = {7, true, {5}},
	        .which_how = users_Task_log_tag,
	        .log = {6},
	        .list_count = 2,
	        .list = {{1}, {2, true, {7}}},
	        .blob = {3, {1, 2, 3}},
	        .number = INT64_MIN};
	users_Task *back = calloc(1, sizeof *back);
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Task_fields, &task, carrier(7, NULL), 0, &message), 0);
	ck_assert_int_eq(mesh_nanopb_decode(users_Task_fields, back, mesh_reader_of(message)), 0);
	ck_assert_mem_eq(back, &task, sizeof task);
	mesh_message_free(message);
	free(back);
}
END_TEST

START_TEST(without_resources_it_is_plain_protobuf)
{
	const users_Task task = {.name = "t", .has_nested = true, .nested = {7}};
	struct mesh_message *message;

	ck_assert_int_eq(mesh_nanopb_encode(users_Task_fields, &task, NULL, 0, &message), 0);
	check_bytes(message, BYTES("\x0a\x01t\x22\x02\x08\x07"));
	mesh_message_free(message);
}
END_TEST

START_TEST(an_envelope_is_put_around)
{
	const users_Nested nested = {7, true, {1}}, empty = {0};
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Nested_fields, &nested, carrier(1, NULL), 3, &message), 0);
	check_bytes(message, BYTES("\x1e\x01\x03\x08\x07\x17"));
	mesh_message_free(message);
	ck_assert_int_eq(mesh_nanopb_encode(users_Nested_fields, &empty, NULL, 1, &message), 0);
	check_bytes(message, BYTES("\x0a\x00"));
	mesh_message_free(message);
	ck_assert_int_eq(mesh_nanopb_encode(users_Nested_fields, &nested, carrier(1, NULL),
	                         536870912, &message),
	        -EINVAL);
}
END_TEST

START_TEST(index_0_leaves_an_optional_resource_out)
{
	const users_Nested nested = {7, true, {0}};
	const strict_Needs needs = {.fd = {1}, .has_other = true, .other = {0}};
	struct mesh_message *message;

	ck_assert_int_eq(mesh_nanopb_encode(users_Nested_fields, &nested, NULL, 0, &message), 0);
	check_bytes(message, BYTES("\x08\x07"));
	mesh_message_free(message);
	ck_assert_int_eq(
	        mesh_nanopb_encode(strict_Needs_fields, &needs, carrier(1, NULL), 0, &message), 0);
	check_bytes(message, BYTES("\x0f"));
	mesh_message_free(message);
}
END_TEST

static const struct wrong_index {
	users_Task task;
	size_t resources;
} wrong_indices[] = {
        {{.has_image = true, .image = {1}}, 0}, /* there is none */
        {{.has_image = true, .image = {3}}, 2}, /* not so many */
        {{.has_image = true, .image = {UINT32_MAX}}, 2},
        {{.has_image = true, .image = {1}}, 2}, /* the second is not named */
        {{.name = "t"}, 1},
        {{.has_image = true, .image = {1}, .outputs_count = 1, .outputs = {{1}}}, 1}, /* twice */
        {{.outputs_count = 2, .outputs = {{1}, {0}}}, 1},   /* a gap in a list */
        {{.which_how = users_Task_log_tag, .log = {0}}, 0}, /* a variant without value */
};

START_TEST(each_resource_must_be_named_exactly_once)
{
	const struct wrong_index *wrong = &wrong_indices[_i];
	struct mesh_message *message = NULL;
	int fds[2];

	ck_assert_int_eq(mesh_nanopb_encode(users_Task_fields, &wrong->task,
	                         carrier(wrong->resources, fds), 0, &message),
	        -EINVAL);
	ck_assert_ptr_null(message);
	for (size_t i = 0; i < wrong->resources; i++) /* consumed */
		ck_assert_int_lt(fcntl(fds[i], F_GETFD), 0);
}
END_TEST

START_TEST(a_required_resource_must_be_there)
{
	const strict_Needs needs = {.fd = {0}};
	strict_Needs back;
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(strict_Needs_fields, &needs, NULL, 0, &message), -EINVAL);
	message = message_of(BYTES("\x17"), 1);
	ck_assert_int_eq(
	        mesh_nanopb_decode(strict_Needs_fields, &back, mesh_reader_of(message)), -EBADMSG);
	mesh_message_free(message);
}
END_TEST

START_TEST(what_nanopb_refuses_is_refused)
{
	users_Task task = users_Task_init_zero;
	struct mesh_message *message;

	memset(task.name, 'x', sizeof task.name); /* a string without an end */
	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Task_fields, &task, carrier(1, NULL), 0, &message),
	        -EINVAL);
}
END_TEST

START_TEST(pointer_fields_are_encoded)
{
	users_Nested nested = {7, true, {2}};
	mesh_Resource fd = {1};
	char text[] = "text";
	const users_Pointers pointers = {&nested, &fd, text};
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Pointers_fields, &pointers, carrier(2, NULL), 0, &message),
	        0);
	check_bytes(message, BYTES("\x0e\x01\x03\x08\x07\x17\x17\x1a\x04text"));
	mesh_message_free(message);
}
END_TEST

/* ---- callbacks, and types that contain themselves ---- */

static bool encode_label(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	return pb_encode_tag_for_field(stream, field) &&
	       pb_encode_string(stream, *arg, strlen(*arg));
}

static bool encode_child(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	return pb_encode_tag_for_field(stream, field) &&
	       pb_encode_submessage(stream, users_Tree_fields, *arg);
}

static bool decode_label(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	char *label = *arg;

	(void)field;
	label[stream->bytes_left] = 0;
	return pb_read(stream, (pb_byte_t *)label, stream->bytes_left);
}

static bool decode_child(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	(void)field;
	return pb_decode(stream, users_Tree_fields, *arg);
}

START_TEST(callbacks_see_resources_too)
{
	char label[16] = "", text[] = "root";
	users_Tree leaf = {.has_fd = true, .fd = {1}};
	users_Tree root = {.has_fd = true,
	        .fd = {2},
	        .child = {{.encode = encode_child}, &leaf},
	        .label = {{.encode = encode_label}, text}};
	users_Tree leaf_back = users_Tree_init_zero;
	users_Tree root_back = {.child = {{.decode = decode_child}, &leaf_back},
	        .label = {{.decode = decode_label}, label}};
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Tree_fields, &root, carrier(2, NULL), 0, &message), 0);
	check_bytes(message, BYTES("\x0f\x16\x01\x01\x0f\x1a\x04root"));
	ck_assert_int_eq(
	        mesh_nanopb_decode(users_Tree_fields, &root_back, mesh_reader_of(message)), 0);
	ck_assert(root_back.has_fd && leaf_back.has_fd);
	ck_assert_uint_eq(root_back.fd.index, 1);
	ck_assert_uint_eq(leaf_back.fd.index, 2);
	ck_assert_str_eq(label, "root");
	mesh_message_free(message);
}
END_TEST

/* A tree of `depth` children within one another. */
static struct mesh_message *deep_tree(size_t depth)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;

	for (size_t i = 0; i < depth; i++)
		mesh_writer_begin(writer, users_Tree_child_tag);
	mesh_writer_put_fd(writer, users_Tree_fd_tag, some_fd());
	for (size_t i = 0; i < depth; i++)
		mesh_writer_end(writer);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	return message;
}

/* S143 */
START_TEST(nesting_is_bounded)
{
	static const struct {
		size_t depth;
		int decoded, encoded;
	} cases[] = {{1, 0, 0}, {64, 0, 0}, {65, -EBADMSG, -EINVAL}, {3000, -EBADMSG, -EINVAL}};
	size_t depth = cases[_i].depth;
	struct mesh_message *message = deep_tree(depth);
	users_Tree back = users_Tree_init_zero, *trees = calloc(depth + 1, sizeof *trees);

	ck_assert_int_eq(mesh_nanopb_decode(users_Tree_fields, &back, mesh_reader_of(message)),
	        cases[_i].decoded);
	mesh_message_free(message);

	for (size_t i = 0; i < depth; i++)
		trees[i].child = (pb_callback_t){{.encode = encode_child}, &trees[i + 1]};
	trees[depth] = (users_Tree){.has_fd = true, .fd = {1}};
	ck_assert_int_eq(
	        mesh_nanopb_encode(users_Tree_fields, &trees[0], carrier(1, NULL), 0, &message),
	        cases[_i].encoded);
	if (cases[_i].encoded == 0)
		mesh_message_free(message);
	free(trees);
}
END_TEST

START_TEST(an_unknown_field_may_be_as_deep_as_it_likes)
{
	struct mesh_writer *writer = mesh_writer_new();
	users_Nested back = users_Nested_init_zero;
	struct mesh_message *message;

	for (size_t i = 0; i < 3000; i++)
		mesh_writer_begin(writer, 9);
	mesh_writer_put_fd(writer, 1, some_fd());
	for (size_t i = 0; i < 3000; i++)
		mesh_writer_end(writer);
	mesh_writer_varint(writer, users_Nested_id_tag, 5);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	ck_assert_int_eq(
	        mesh_nanopb_decode(users_Nested_fields, &back, mesh_reader_of(message)), 0);
	ck_assert_uint_eq(back.id, 5);
	mesh_message_free(message);
}
END_TEST

/* ---- decoding ---- */

START_TEST(indices_count_in_the_whole_message)
{
	struct mesh_message *message = message_of(BYTES("\x0f\x16\x02\x02\x17\x2f\x1f"), 4);
	struct mesh_reader reader = mesh_reader_of(message);
	users_Nested nested = users_Nested_init_zero;
	struct mesh_field field;

	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
	ck_assert_int_eq(mesh_nanopb_decode(users_Nested_fields, &nested, field.inner), 0);
	ck_assert(nested.has_fd);
	ck_assert_uint_eq(nested.fd.index, 2);
	mesh_message_free(message);
}
END_TEST

START_TEST(unknown_fields_are_skipped_with_their_resources)
{
	/* field 9: a resource; field 10: a message with two; then the image; field 11: a number; 12: a string */
	struct mesh_message *message =
	        message_of(BYTES("\x4f\x56\x02\x01\x0f\x17\x58\x05\x62\x01x"), 5);
	users_Task task = users_Task_init_zero;

	ck_assert_int_eq(mesh_nanopb_decode(users_Task_fields, &task, mesh_reader_of(message)), 0);
	ck_assert(task.has_image);
	ck_assert_uint_eq(task.image.index, 4);
	mesh_message_free(message);
}
END_TEST

START_TEST(resources_stay_in_the_message)
{
	struct mesh_message *message = message_of(BYTES("\x17"), 1);
	users_Task task = users_Task_init_zero, again = users_Task_init_zero;
	int fd;

	ck_assert_int_eq(mesh_nanopb_decode(users_Task_fields, &task, mesh_reader_of(message)), 0);
	ck_assert_int_eq(mesh_nanopb_decode(users_Task_fields, &again, mesh_reader_of(message)), 0);
	fd = mesh_message_take_fd(message, task.image.index - 1);
	ck_assert_int_ge(fd, 0);
	close(fd);
	mesh_message_free(message);
}
END_TEST

static const struct bad {
	const char *what, *bytes;
	size_t size, resources;
} bad[] = {
        {"a forged index", BYTES("\x12\x02\x08\x01"), 1},
        {"a forged index in a sub-message", BYTES("\x22\x04\x12\x02\x08\x01"), 1},
        {"a forged index in a sub-message with resources", BYTES("\x26\x01\x04\x12\x02\x08\x01"),
                1},
        {"a forged index in a list", BYTES("\x1f\x1a\x02\x08\x01"), 1},
        {"a number for a resource", BYTES("\x10\x01"), 1},
        {"a message with resources for a resource", BYTES("\x16\x01\x02\x08\x01"), 1},
        {"a resource for a number", BYTES("\xa7\x06"), 1},
        {"a resource for a string", BYTES("\x0f"), 1},
        {"a resource for bytes", BYTES("\x47"), 1},
        {"a resource for a message", BYTES("\x27"), 1},
        {"a string with resources", BYTES("\x0e\x01\x01x"), 1},
        {"a string with no resources, but the wire type", BYTES("\x0e\x00\x01x"), 1},
        {"a number in place of a message", BYTES("\x20\x01"), 0},
        {"more of a list than there is room for", BYTES("\x1f\x1f\x1f\x1f\x1f"), 5},
        {"a string that is too long", BYTES("\x0a\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), 0},
        {"no such resource", BYTES("\x17"), 0},
        {"a count of more than there are", BYTES("\x26\x02\x01\x17"), 1},
        {"a resource of the parent", BYTES("\x22\x01\x17"), 1},
        {"cut off", BYTES("\x22\x05\x08"), 0},
        {"a group", BYTES("\x0b"), 0},
};

START_TEST(what_does_not_fit_the_schema_is_refused)
{
	struct mesh_message *message = message_of(bad[_i].bytes, bad[_i].size, bad[_i].resources);
	users_Task task = users_Task_init_zero;

	ck_assert_msg(
	        mesh_nanopb_decode(users_Task_fields, &task, mesh_reader_of(message)) == -EBADMSG,
	        "%s", bad[_i].what);
	mesh_message_free(message);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/nanopb");
	TCase *encoding = support_tcase(suite, "encoding"),
	      *decoding = support_tcase(suite, "decoding");
	TCase *callbacks = support_tcase(suite, "callbacks");

	tcase_add_test(encoding, resources_travel_in_the_order_of_the_bytes);
	tcase_add_test(encoding, what_was_encoded_is_decoded);
	tcase_add_test(encoding, without_resources_it_is_plain_protobuf);
	tcase_add_test(encoding, an_envelope_is_put_around);
	tcase_add_test(encoding, index_0_leaves_an_optional_resource_out);
	tcase_add_loop_test(encoding, each_resource_must_be_named_exactly_once, 0,
	        PAL_ARRAY_LENGTH(wrong_indices));
	tcase_add_test(encoding, a_required_resource_must_be_there);
	tcase_add_test(encoding, what_nanopb_refuses_is_refused);
	tcase_add_test(encoding, pointer_fields_are_encoded);
	tcase_add_test(callbacks, callbacks_see_resources_too);
	tcase_add_loop_test(callbacks, nesting_is_bounded, 0, 4);
	tcase_add_test(callbacks, an_unknown_field_may_be_as_deep_as_it_likes);
	tcase_add_test(decoding, indices_count_in_the_whole_message);
	tcase_add_test(decoding, unknown_fields_are_skipped_with_their_resources);
	tcase_add_test(decoding, resources_stay_in_the_message);
	tcase_add_loop_test(
	        decoding, what_does_not_fit_the_schema_is_refused, 0, PAL_ARRAY_LENGTH(bad));
	return suite;
}
SUPPORT_MAIN(make_suite)
