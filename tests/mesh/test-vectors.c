/* SPDX-License-Identifier: MIT */

/*
 * Every vector of mesh-vectors.txt, by the writer, by the reader and through
 * nanopb. What a message holds is written in a small language, one word for
 * each field:
 *
 *	v1=5 varint    s1=-1 zigzag    b1=text    x1=0102 bytes    i1=10 an id that counts up from 0x10
 *	f1 descriptor  p1 port         {1 ... }  sub-message
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mesh/encoding.h>
#include <mesh/message-priv.h>
#include <mesh/protobuf-priv.h>
#include <mesh/wire.pb.h>
#include <pal/util-priv.h>
#include <tests/mesh/vectors.pb.h>

#include "support.h"
#include "vectors.h"

struct row {
	const char *name, *fields;
	/* its schema, the value, and the field of the envelope or 0 */
	const pb_msgdesc_t *schema;
	const void *value;
	size_t size;
	uint32_t envelope;
};

/* clang-format off */
#define UUID(first) {{first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7, \
	first + 8, first + 9, first + 10, first + 11, first + 12, first + 13, first + 14, first + 15}}
#define ID(first) {UUID(first)}
#define ADDRESSES {ID(0x10), ID(0x30)}, {ID(0x50), ID(0x70)}

#define NODE_10 "{1 {1 i1=10 } }"
#define ADDRESS(node, port) "{1 {1 i1=" node " } } {2 {1 i1=" port " } }"
#define INVITATION_ADDRESS "{1 " ADDRESS("10", "30") " } {2 " ADDRESS("50", "70") " }"

#define ROW(name, envelope, type, fields, ...) \
	{name, fields, &type##_msg, &(const type){__VA_ARGS__}, sizeof(type), envelope}

static const struct row rows[] = {
	/* addressing */
	ROW("NodeId", 0, mesh_wire_NodeId, "{1 i1=10 }", UUID(0x10)),
	ROW("Address", 0, mesh_wire_Address, ADDRESS("10", "30"), ID(0x10), ID(0x30)),
	ROW("InvitationAddress", 0, mesh_wire_InvitationAddress, INVITATION_ADDRESS, ADDRESSES),
	ROW("mesh_remote::Invitation", 0, mesh_wire_Invitation, "{1 " INVITATION_ADDRESS " } f2",
		.address = {ADDRESSES}, .fd = {1}),
	ROW("EnvInvitation", 0, mesh_wire_EnvironmentInvitation, "b1=host1 {2 " INVITATION_ADDRESS " } s3=3",
		.has_node_name = true, .node_name = {5, "host1"}, .address = {ADDRESSES},
		.has_socket_fd = true, .socket_fd = 3),

	/* leader */
	ROW("oneshot(InitialMessage)", 0, mesh_wire_InitialEnvelope, "{1 p1 p2 p3 }",
		.value = {.requests = {1}, .orders = {2}, .user = {3}}),
	ROW("chan(LeaderRequest::Connect)", 0, mesh_wire_LeaderRequestEnvelope, "{1 {1 " NODE_10 " } }",
		.which_payload = 1, .value = {.which_request = 1, .connect = {ID(0x10)}}),
	ROW("chan(LeaderRequest::Invite)", 0, mesh_wire_LeaderRequestEnvelope, "{1 {2 p1 p2 } }",
		.which_payload = 1, .value = {.which_request = 2, .invite = {.user = {1}, .reply = {2}}}),
	ROW("chan(FollowerRequest::Connect Some)", 0, mesh_wire_FollowerRequestEnvelope, "{1 {1 " NODE_10 " f2 } }",
		.which_payload = 1, .value = {.which_request = 1, .connect = {ID(0x10), true, {1}}}),
	ROW("chan(FollowerRequest::Connect None)", 0, mesh_wire_FollowerRequestEnvelope, "{1 {1 " NODE_10 " } }",
		.which_payload = 1, .value = {.which_request = 1, .connect = {ID(0x10)}}),
	ROW("chan(Invitation)", 0, mesh_wire_InvitationEnvelope, "{1 {1 " INVITATION_ADDRESS " } f2 }",
		.which_payload = 1, .value = {.address = {ADDRESSES}, .fd = {1}}),
	ROW("chan(Followers[2])", 1, vectors_Followers,
		"{1 {1 " NODE_10 " p2 p3 } {1 {1 {1 i1=20 } } p2 p3 } }", 2,
		{{true, ID(0x10), true, {1}, true, {2}}, {true, ID(0x20), true, {3}, true, {4}}}),
	ROW("chan(Followers[0])", 1, vectors_Followers, "{1 }", 0),
	ROW("LeadershipOffer", 0, vectors_LeadershipOffer, "p1", true, {1}),
	ROW("chan(LeadershipOffer)", 1, vectors_LeadershipOffer, "{1 p1 }", true, {1}),
	ROW("chan((NodeId,Sender<Followers>))", 1, vectors_NewLeader, "{1 " NODE_10 " p2 }", true, ID(0x10), true, {1}),

	/* host */
	ROW("oneshot(HostInit<u32>=7)", 1, vectors_HostInit, "{1 p1 v2=7 }", true, {1}, 7),
	ROW("oneshot(HostInit<u32>=0)", 1, vectors_HostInit, "{1 p1 }", true, {1}, 0),
	ROW("oneshot(HostInit<()>)", 1, vectors_HostInit, "{1 p1 }", true, {1}),
	ROW("oneshot(HostInit<Receiver<String>>)", 1, vectors_HostInitPort, "{1 p1 p2 }", true, {1}, true, {2}),
	ROW("chan(HostRequest::Crash)", 1, vectors_HostRequest, "{1 {2 } }",
		.which_request = vectors_HostRequest_crash_tag),
	ROW("chan(HostRequest::Inspect)", 1, vectors_HostRequest,
		"{1 {1 {1 b1=tasks v3=3 p4 {5 {3 } } {6 {1 } } {7 {1 } } } } }",
		.which_request = vectors_HostRequest_inspect_tag,
		.inspect = {true, {.path = "tasks", .depth = 3, .has_node = true, .node = {1},
			.has_sensitivity = true, .sensitivity = {.which_level = vectors_Sensitivity_sensitive_tag},
			.has_parent_sensitivity = true,
			.parent_sensitivity = {.which_level = vectors_Sensitivity_safe_tag},
			.has_number_format = true,
			.number_format = {.which_format = vectors_NumberFormat_decimal_tag}}}),
	ROW("oneshot(InternalNode::Ignored)", 1, vectors_InternalNode, "{1 {6 } }",
		.which_node = vectors_InternalNode_ignored_tag),
	ROW("oneshot(InternalNode::Dir([]))", 1, vectors_InternalNode, "{1 {5 } }",
		.which_node = vectors_InternalNode_dir_tag),
	ROW("oneshot(InternalNode::Failed(Update))", 1, vectors_InternalNode, "{1 {2 {1 {2 b1=no } } } }",
		.which_node = vectors_InternalNode_failed_tag,
		.failed = {true, {.which_error = vectors_InternalError_update_tag, .update = {"no"}}}),

	/* channel payload scalars */
	ROW("chan(u32 5)", 0, vectors_NumberChannel, "v1=5", .which_payload = 1, .value = 5),
	ROW("chan(u32 0)", 0, vectors_NumberChannel, "v1=0", .which_payload = 1, .value = 0),
	ROW("chan(i32 -1)", 0, vectors_SignedChannel, "s1=-1", .which_payload = 1, .value = -1),
	ROW("chan(())", 1, vectors_Unit, "{1 }", 0),
	ROW("chan(String empty)", 0, vectors_StringChannel, "b1=", .which_payload = 1, .value = ""),
	ROW("chan(Vec<u8> [1,2])", 0, vectors_BytesChannel, "x1=0102", .which_payload = 1, .value = {2, {1, 2}}),
	ROW("chan(Vec<u32> [1,2])", 1, vectors_Numbers, "{1 x1=0102 }", 2, {1, 2}),
	ROW("chan(Vec<u32> [])", 1, vectors_Numbers, "{1 }", 0),
	ROW("chan(Vec<String> [a,'' ])", 1, vectors_Strings, "{1 b1=a b1= }", 2, {"a", ""}),
	ROW("chan(Option<u32> None)", 1, vectors_OptionalNumber, "{1 }", false),
	ROW("chan(Option<u32> Some 0)", 1, vectors_OptionalNumber, "{1 v1=0 }", true, 0),
	ROW("chan(Option<Option<u32>> Some(None))", 1, vectors_OptionalOptional, "{1 {1 } }", true),
	ROW("chan((u32,String))", 1, vectors_Pair, "{1 v1=1 b2=x }", 1, "x"),
	ROW("chan([u8;4])", 0, vectors_BytesChannel, "x1=01020304", .which_payload = 1, .value = {4, {1, 2, 3, 4}}),
	ROW("chan([u32;2])", 0, vectors_Numbers, "x1=0102", 2, {1, 2}),
	ROW("chan(Result Ok 0)", 1, vectors_NumberResult, "{1 v1=0 }", .which_result = vectors_NumberResult_ok_tag),
	ROW("chan(Result Err 1)", 1, vectors_NumberResult, "{1 v2=1 }",
		.which_result = vectors_NumberResult_error_tag, .error = 1),
	ROW("chan(fd)", 0, vectors_ResourceChannel, "f1", .which_payload = 1, .value = {1}),
	ROW("chan(Vec<fd>x2)", 1, vectors_Resources, "{1 f1 f1 }", 2, {{1}, {2}}),
	ROW("chan(Option<fd>)", 1, vectors_OptionalResource, "{1 f1 }", true, {1}),
	ROW("ChannelPayload::Port", 0, vectors_ResourceChannel, "p2", .which_payload = 2, .port = {1}),
	ROW("chan(Sender)", 0, vectors_ResourceChannel, "p1", .which_payload = 1, .value = {1}),
	ROW("oneshot(u32 0)", 0, vectors_Number, "", 0),
	ROW("oneshot(())", 0, vectors_Unit, "", 0),
	ROW("oneshot(u32 5)", 0, vectors_Number, "v1=5", 5),
	ROW("oneshot(Vec<String>[])", 0, vectors_Strings, "", 0),
	ROW("struct", 0, vectors_Struct, "v2=0 x3=01ac02 x4=09 b6= b6=q v7=1 s8=-2", .has_b = true,
		.c_count = 2, .c = {1, 300}, .d = {1, {9}}, .f_count = 2, .f = {"", "q"}, .g = true, .h = -2),
	ROW("chan(ReadPipe)", 1, vectors_ReadPipe, "{1 p1 v2=65536 v3=64 }", true, {1}, 65536, 64),
	ROW("chan(WritePipe)", 1, vectors_OptionalResource, "{1 p1 }", true, {1}),

	/* inspect value */
	ROW("oneshot(Node2::Value unsigned 5)", 1, vectors_InternalNode, "{1 {4 {1 {1 {2 v1=5 } } v2=1 } } }",
		.which_node = vectors_InternalNode_value_tag,
		.value = {true, {true, {.which_kind = vectors_Kind_number_tag, .number = {5}}, 1}}),
	ROW("oneshot(Node2::Dir[entry])", 1, vectors_InternalNode,
		"{1 {5 {1 b1=a {2 {4 {1 {1 {6 b1=s } } } } } {3 {1 } } } } }",
		.which_node = vectors_InternalNode_dir_tag,
		.dir = {1, {{.name = "a", .has_node = true,
			.node = {.which_node = vectors_LeafNode_value_tag,
				.value = {true, {true, {.which_kind = vectors_Kind_text_tag, .text = {"s"}}}}},
			.has_sensitivity = true, .sensitivity = {.which_level = vectors_Sensitivity_safe_tag}}}}),

	/* rpc */
	ROW("chan(Rpc<u32,u32>(9))", 1, vectors_Call, "{1 v1=9 p2 }", 9, true, {1}),
	ROW("chan(Rpc<(),u32>)", 1, vectors_Call, "{1 p2 }", 0, true, {1}),
	ROW("oneshot(RemoteResult Ok 4)", 1, vectors_RemoteResult, "{1 v1=4 }",
		.which_result = vectors_RemoteResult_ok_tag, .ok = 4),
	ROW("oneshot(RemoteResult Err)", 1, vectors_RemoteResult, "{1 {2 {1 b1=bad } } }",
		.which_result = vectors_RemoteResult_error_tag, .error = {true, {"bad"}}),

	/* cell, cancel, duration */
	ROW("chan(Cell<u32>=5)", 1, vectors_Cell, "{1 {1 v2=5 p3 } }", true, {5, true, {1}}),
	ROW("chan(CancelContext new)", 1, vectors_CancelContext, "{1 {1 {1 } } }", true,
		{.which_state = vectors_CancelState_not_cancelled_tag}),
	ROW("chan(CancelContext 1 port)", 1, vectors_CancelContext, "{1 {1 {1 p1 } } }", true,
		{.which_state = vectors_CancelState_not_cancelled_tag, .not_cancelled = {1, {{1}}}}),
	ROW("chan(CancelContext deadline 1 port)", 1, vectors_CancelContext, "{1 {1 {1 p1 } } {2 v1=5 v2=6 } }", true,
		{.which_state = vectors_CancelState_not_cancelled_tag, .not_cancelled = {1, {{1}}}}, true, {5, 6}),
	ROW("chan(Duration 1.5s)", 1, vectors_Duration, "{1 v1=1 v2=500000000 }", 1, 500000000),
};
/* clang-format on */

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

static const struct row *row_of(const char *name)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
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
	ck_assert_uint_eq(vector_count(), PAL_ARRAY_LENGTH(rows) + PAL_ARRAY_LENGTH(judgements));
}
END_TEST

START_TEST(the_writer_writes_the_vector)
{
	struct mesh_writer *writer = mesh_writer_new();
	const char *at = rows[_i].fields;
	struct mesh_message *message;
	struct word word;

	while (next_word(&at, &word))
		write_word(writer, &word);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	check_is_vector(message, vector_find(rows[_i].name));
	mesh_message_free(message);
}
END_TEST

START_TEST(the_reader_reads_the_vector)
{
	const struct vector *vector = vector_find(rows[_i].name);
	struct mesh_message *message = vector_message(vector);
	size_t resources = 0;

	check_words(rows[_i].fields, mesh_reader_of(message), &resources);
	ck_assert_uint_eq(resources, strlen(vector->resources));
	mesh_message_free(message);
}
END_TEST

/* ---- through nanopb ---- */

START_TEST(nanopb_encodes_the_vector)
{
	const struct vector *vector = vector_find(rows[_i].name);
	struct mesh_message *message;

	ck_assert_int_eq(
	        mesh_nanopb_encode(rows[_i].schema, rows[_i].value,
	                message_of(NULL, 0, vector->resources), rows[_i].envelope, &message),
	        0);
	check_is_vector(message, vector);
	mesh_message_free(message);
}
END_TEST

/* What is inside the envelope, if there is one. */
static struct mesh_reader payload_of(const struct row *row, struct mesh_message *message)
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
	const struct row *row = &rows[_i];
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
        const struct row *row, const uint8_t *bytes, size_t size, const char *resources)
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
	const struct vector *vector = vector_find(rows[_i].name);
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
		try_bytes(&rows[_i], vector->bytes, size, vector->resources);
	}
}
END_TEST

START_TEST(with_any_bit_wrong_the_reader_stays_inside)
{
	const struct vector *vector = vector_find(rows[_i].name);

	for (size_t bit = 0; bit < vector->size * 8; bit++) {
		uint8_t bytes[sizeof vector->bytes];

		memcpy(bytes, vector->bytes, vector->size);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		try_bytes(&rows[_i], bytes, vector->size, vector->resources);
	}
}
END_TEST

START_TEST(without_the_last_resource_a_vector_is_refused)
{
	const struct vector *vector = vector_find(rows[_i].name);
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
	try_bytes(&rows[_i], vector->bytes, vector->size, resources);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/vectors");
	TCase *whole = support_tcase(suite, "whole"), *broken = support_tcase(suite, "broken");

	tcase_add_test(whole, each_vector_has_a_row_and_each_row_a_vector);
	tcase_add_loop_test(whole, the_writer_writes_the_vector, 0, PAL_ARRAY_LENGTH(rows));
	tcase_add_loop_test(whole, the_reader_reads_the_vector, 0, PAL_ARRAY_LENGTH(rows));
	tcase_add_loop_test(whole, nanopb_encodes_the_vector, 0, PAL_ARRAY_LENGTH(rows));
	tcase_add_loop_test(whole, nanopb_decodes_the_vector, 0, PAL_ARRAY_LENGTH(rows));
	tcase_add_loop_test(
	        whole, the_decoder_judges_as_the_other_one_does, 0, PAL_ARRAY_LENGTH(judgements));
	tcase_add_loop_test(broken, cut_at_any_byte_a_vector_is_refused, 0, PAL_ARRAY_LENGTH(rows));
	tcase_add_loop_test(
	        broken, with_any_bit_wrong_the_reader_stays_inside, 0, PAL_ARRAY_LENGTH(rows));
	tcase_add_loop_test(
	        broken, without_the_last_resource_a_vector_is_refused, 0, PAL_ARRAY_LENGTH(rows));
	return suite;
}
SUPPORT_MAIN(make_suite)
