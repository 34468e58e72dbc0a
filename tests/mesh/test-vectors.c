/* SPDX-License-Identifier: MIT */
/* Every vector of mesh-vectors.txt, by the writer, by the reader and through nanopb: whole, and broken. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mesh/encoding.h>
#include <mesh/message-priv.h>
#include <mesh/protobuf-priv.h>
#include <pal/util-priv.h>
#include <tests/mesh/vectors.pb.h>

#include "support.h"
#include "vector-rows.h"
#include "vectors.h"

/* How the decoder of the other implementation judged messages for WantedChannel. */
static const struct judgement {
	const char *name, *bytes;
	size_t size;
	const char *resources;
} judgements[] = {
#define BYTES(text) text, sizeof text - 1
        {"WT6 1 port", BYTES("\x0e\x01\x01\x0f"), "p"},
        {"WT2 with WT7 inside", BYTES("\x0a\x01\x0f"), "p"},
        {"WT6 n=0 with WT7 inside", BYTES("\x0e\x00\x01\x0f"), "p"},
        {"WT6 n=2 but one consumed", BYTES("\x0e\x02\x01\x0f"), "pp"},
        {"WT6 n=2 but list has 1", BYTES("\x0e\x02\x01\x0f"), "p"},
        {"unknown field 5 WT7 first (consumes a resource)", BYTES("\x0e\x02\x02\x2f\x0f"), "fp"},
        {"missing required port", BYTES("\x0a\x00"), ""},
        {"extra trailing resources", BYTES("\x0e\x01\x01\x0f"), "ppp"},
        {"unknown variant 3", BYTES("\x1a\x00"), ""},
        {"group wt 3", BYTES("\x0b"), ""},
};

/* ---- the language ---- */

struct word {
	char kind;
	uint32_t field;
	const char *value;
	size_t length;
};

/* Reads the next word and moves *at behind it; false at the end. */
static bool next_word(const char **at, struct word *ret)
{
	char *end;

	*at += strspn(*at, " ");
	if (!**at)
		return false;
	ret->kind = **at;
	ret->field = (uint32_t)strtoul(*at + 1, &end, 10);
	ret->value = *end == '=' ? end + 1 : end;
	ret->length = strcspn(ret->value, " ");
	*at = ret->value + ret->length;
	return true;
}

/* The bytes that b, x and i stand for. */
static size_t bytes_of(const struct word *word, uint8_t out[64])
{
	unsigned first;

	ck_assert_uint_lt(word->length, 64);
	switch (word->kind) {
	case 'b':
		memcpy(out, word->value, word->length);
		return word->length;
	case 'x':
		for (size_t i = 0; i < word->length / 2; i++)
			ck_assert_int_eq(sscanf(word->value + 2 * i, "%2hhx", &out[i]), 1);
		return word->length / 2;
	default:
		ck_assert_int_eq(sscanf(word->value, "%x", &first), 1);
		for (unsigned i = 0; i < 16; i++)
			out[i] = (uint8_t)(first + i);
		return 16;
	}
}

static void write_word(struct mesh_writer *writer, const struct word *word)
{
	uint8_t bytes[64];

	switch (word->kind) {
	case '{':
		mesh_writer_begin(writer, word->field);
		break;
	case '}':
		mesh_writer_end(writer);
		break;
	case 'v':
		mesh_writer_varint(writer, word->field, strtoull(word->value, NULL, 10));
		break;
	case 's':
		mesh_writer_sint(writer, word->field, strtoll(word->value, NULL, 10));
		break;
	case 'f':
		mesh_writer_put_fd(writer, word->field, some_fd());
		break;
	case 'p':
		mesh_writer_put_port(writer, word->field, some_port());
		break;
	default:
		mesh_writer_bytes(writer, word->field, bytes, bytes_of(word, bytes));
	}
}

static void check_value(const struct mesh_field *field, const struct word *word, size_t *resource)
{
	uint8_t bytes[64];
	size_t size;

	switch (word->kind) {
	case 'v':
		ck_assert_uint_eq(field->wire_type, MESH__WIRE_VARINT);
		ck_assert_uint_eq(field->value, strtoull(word->value, NULL, 10));
		break;
	case 's':
		ck_assert_uint_eq(field->wire_type, MESH__WIRE_VARINT);
		ck_assert_int_eq(mesh_field_sint(field), strtoll(word->value, NULL, 10));
		break;
	case 'f':
	case 'p':
		ck_assert_uint_eq(field->wire_type, MESH__WIRE_RESOURCE);
		ck_assert_uint_eq(field->resource, (*resource)++);
		break;
	default:
		size = bytes_of(word, bytes);
		ck_assert_uint_eq(field->wire_type, MESH__WIRE_BYTES);
		ck_assert_uint_eq(field->inner.end - field->inner.at, size);
		ck_assert_mem_eq(field->inner.at, bytes, size);
	}
}

/* Checks the words up to the end of this (sub-)message. */
static const char *check_words(const char *at, struct mesh_reader reader, size_t *resource)
{
	struct mesh_field field;
	struct word word;

	while (next_word(&at, &word) && word.kind != '}') {
		ck_assert_int_eq(mesh_reader_next(&reader, &field), 1);
		ck_assert_uint_eq(field.number, word.field);
		if (word.kind == '{') {
			size_t before = *resource;

			at = check_words(at, field.inner, resource);
			ck_assert_uint_eq(field.wire_type,
			        *resource > before ? MESH__WIRE_MESSAGE : MESH__WIRE_BYTES);
			ck_assert_uint_eq(field.inner.resource, before);
			ck_assert_uint_eq(field.inner.resource_end, *resource);
		} else {
			check_value(&field, &word, resource);
		}
	}
	ck_assert_int_eq(mesh_reader_next(&reader, &field), 0);
	return at;
}

/* ---- the file and the tables ---- */

static const struct vector_row *row_of(const char *name)
{
	for (size_t i = 0; i < vector_row_count; i++)
		if (!strcmp(vector_rows[i].name, name))
			return &vector_rows[i];
	return NULL;
}

static bool has_judgement(const char *name)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(judgements); i++)
		if (!strcmp(judgements[i].name, name))
			return true;
	return false;
}

START_TEST(each_vector_has_a_row_and_each_row_a_vector)
{
	for (size_t i = 0; i < vector_count(); i++) {
		const struct vector *vector = vector_at(i);

		ck_assert_msg(
		        vector->judged ? has_judgement(vector->name) : row_of(vector->name) != NULL,
		        "\"%s\" is not tested", vector->name);
	}
	ck_assert_uint_eq(vector_count(), vector_row_count + PAL_ARRAY_LENGTH(judgements));
}
END_TEST

START_TEST(the_writer_writes_the_vector)
{
	struct mesh_writer *writer = mesh_writer_new();
	const char *at = vector_rows[_i].fields;
	struct mesh_message *message;
	struct word word;

	while (next_word(&at, &word))
		write_word(writer, &word);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	check_is_vector(message, vector_find(vector_rows[_i].name));
	mesh_message_free(message);
}
END_TEST

START_TEST(the_reader_reads_the_vector)
{
	const struct vector *vector = vector_find(vector_rows[_i].name);
	struct mesh_message *message = vector_message(vector);
	size_t resources = 0;

	check_words(vector_rows[_i].fields, mesh_reader_of(message), &resources);
	ck_assert_uint_eq(resources, strlen(vector->resources));
	mesh_message_free(message);
}
END_TEST

/* ---- through nanopb ---- */

START_TEST(nanopb_encodes_the_vector)
{
	const struct vector *vector = vector_find(vector_rows[_i].name);
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(vector_rows[_i].schema, vector_rows[_i].value,
	                message_of(NULL, 0, vector->resources), vector_rows[_i].envelope, &message),
	        0);
	check_is_vector(message, vector);
	mesh_message_free(message);
}
END_TEST

/* What is inside the envelope, if there is one. */
static struct mesh_reader payload_of(const struct vector_row *row, struct mesh_message *message)
{
	struct mesh_reader reader = mesh_reader_of(message);
	struct mesh_field field;

	if (!row->envelope || mesh_reader_next(&reader, &field) <= 0 || !field.inner.at)
		return reader;
	return field.inner;
}

/* Both structs stand in zeroed memory, so that also their gaps are equal. */
START_TEST(nanopb_decodes_the_vector)
{
	const struct vector_row *row = &vector_rows[_i];
	struct mesh_message *message = vector_message(vector_find(row->name));
	void *value = calloc(1, row->size);

	ck_assert_int_eq(mesh_nanopb_decode(row->schema, value, payload_of(row, message)), 0);
	ck_assert_mem_eq(value, row->value, row->size);
	free(value);
	mesh_message_free(message);
}
END_TEST

START_TEST(the_decoder_judges_as_the_other_one_does)
{
	const struct judgement *judgement = &judgements[_i];
	struct mesh_message *message =
	        message_of(judgement->bytes, judgement->size, judgement->resources);
	vectors_WantedChannel value = vectors_WantedChannel_init_zero;
	int r = mesh_nanopb_decode(vectors_WantedChannel_fields, &value, mesh_reader_of(message));
	bool complete =
	        value.which_payload == vectors_WantedChannel_value_tag && value.value.has_port;

	ck_assert(r == 0 || r == -EBADMSG);
	ck_assert_int_eq(r == 0 && complete, vector_find(judgement->name)->accepted);
	if (r == 0 && complete) {
		size_t index = value.value.port.index - 1;

		ck_assert_int_eq(judgement->resources[index], 'p');
		ck_assert_int_eq(message->resources[index].kind, MESH__RESOURCE_PORT);
	}
	mesh_message_free(message);
}
END_TEST

/* ---- broken vectors ---- */

/* Reads everything that can be read as a message; 0 or -EBADMSG. */
static int walk(struct mesh_reader reader, const uint8_t *end, size_t resources)
{
	struct mesh_field field;
	int r;

	while ((r = mesh_reader_next(&reader, &field)) > 0) {
		ck_assert(reader.at <= end && reader.resource <= resources);
		if (field.wire_type == MESH__WIRE_RESOURCE)
			ck_assert_uint_lt(field.resource, resources);
		if (field.wire_type != MESH__WIRE_BYTES && field.wire_type != MESH__WIRE_MESSAGE)
			continue;
		ck_assert(field.inner.at <= field.inner.end && field.inner.end <= end);
		ck_assert(field.inner.resource <= field.inner.resource_end &&
		          field.inner.resource_end <= resources);
		(void)walk(field.inner, field.inner.end, field.inner.resource_end);
	}
	return r;
}

static void try_bytes(
        const struct vector_row *row, const uint8_t *bytes, size_t size, const char *resources)
{
	struct mesh_message *message = message_of(bytes, size, resources);
	void *value = calloc(1, row->size);
	int r = mesh_nanopb_decode(row->schema, value, payload_of(row, message));

	ck_assert(r == 0 || r == -EBADMSG);
	(void)walk(mesh_reader_of(message), message->data + message->size, message->resource_count);
	for (size_t i = 0; i < message->resource_count; i++)
		ck_assert_int_ne(message->resources[i].kind, MESH__RESOURCE_NONE);
	free(value);
	mesh_message_free(message);
}

/* Where the vector's own fields end, a shorter message is whole; anywhere else it is not. */
START_TEST(cut_at_any_byte_a_vector_is_refused)
{
	const struct vector *vector = vector_find(vector_rows[_i].name);
	bool whole[sizeof vector->bytes + 1] = {true};
	struct mesh_message *message = vector_message(vector);
	struct mesh_reader reader = mesh_reader_of(message);
	struct mesh_field field;

	while (mesh_reader_next(&reader, &field) > 0)
		whole[reader.at - message->data] = true;
	mesh_message_free(message);
	for (size_t size = 0; size < vector->size; size++) {
		message = message_of(vector->bytes, size, vector->resources);
		ck_assert_int_eq(walk(mesh_reader_of(message), message->data + size,
		                         message->resource_count),
		        whole[size] ? 0 : -EBADMSG);
		mesh_message_free(message);
		try_bytes(&vector_rows[_i], vector->bytes, size, vector->resources);
	}
}
END_TEST

START_TEST(with_any_bit_wrong_the_reader_stays_inside)
{
	const struct vector *vector = vector_find(vector_rows[_i].name);

	for (size_t bit = 0; bit < vector->size * 8; bit++) {
		uint8_t bytes[sizeof vector->bytes];

		memcpy(bytes, vector->bytes, vector->size);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		try_bytes(&vector_rows[_i], bytes, vector->size, vector->resources);
	}
}
END_TEST

START_TEST(without_the_last_resource_a_vector_is_refused)
{
	const struct vector *vector = vector_find(vector_rows[_i].name);
	char resources[VECTOR_MAX_RESOURCES + 1];
	struct mesh_message *message;

	if (!vector->resources[0])
		return;
	strcpy(resources, vector->resources);
	resources[strlen(resources) - 1] = 0;
	message = message_of(vector->bytes, vector->size, resources);
	ck_assert_int_eq(walk(mesh_reader_of(message), message->data + message->size,
	                         message->resource_count),
	        -EBADMSG);
	mesh_message_free(message);
	try_bytes(&vector_rows[_i], vector->bytes, vector->size, resources);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/vectors");
	TCase *whole = support_tcase(suite, "whole"), *broken = support_tcase(suite, "broken");

	tcase_add_test(whole, each_vector_has_a_row_and_each_row_a_vector);
	tcase_add_loop_test(whole, the_writer_writes_the_vector, 0, vector_row_count);
	tcase_add_loop_test(whole, the_reader_reads_the_vector, 0, vector_row_count);
	tcase_add_loop_test(whole, nanopb_encodes_the_vector, 0, vector_row_count);
	tcase_add_loop_test(whole, nanopb_decodes_the_vector, 0, vector_row_count);
	tcase_add_loop_test(
	        whole, the_decoder_judges_as_the_other_one_does, 0, PAL_ARRAY_LENGTH(judgements));
	tcase_add_loop_test(broken, cut_at_any_byte_a_vector_is_refused, 0, vector_row_count);
	tcase_add_loop_test(
	        broken, with_any_bit_wrong_the_reader_stays_inside, 0, vector_row_count);
	tcase_add_loop_test(
	        broken, without_the_last_resource_a_vector_is_refused, 0, vector_row_count);
	return suite;
}
SUPPORT_MAIN(make_suite)
