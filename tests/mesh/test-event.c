/* SPDX-License-Identifier: MIT */
#include <mesh/event-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

#include "support.h"

static struct mesh_id id_from(uint8_t first)
{
	struct mesh_id id;

	for (size_t i = 0; i < sizeof id.bytes; i++)
		id.bytes[i] = (uint8_t)(first + i);
	return id;
}

/* A copy on the heap, without a byte to spare: the sanitizers see a read behind it. */
static uint8_t *exact_copy(const void *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, data, size);
	return copy;
}

/* ---- bytes as specified, written by hand ---- */

/* clang-format off */
#define ID(first) \
	first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7, first + 8, first + 9, first + 10, \
		first + 11, first + 12, first + 13, first + 14, first + 15

static const uint8_t event_bytes[] = {
	ID(0x10),                                /* port */
	1, 3, 0, 0, 0, 0, 0, 0,                  /* MESSAGE, message and close */
	8, 7, 6, 5, 4, 3, 2, 1,                  /* seq */
	2, 0, 0, 0, 3, 0, 0, 0,                  /* 2 records, 3 bytes */
	ID(0x20), 2, 0, 0, 0, 0, 0, 0, 0x80,     /* id, next_local_seq */
	0, 0, 0, 0, 0, 0, 0, 0,
	ID(0x30), ID(0x40), ID(0x50), ID(0x60),  /* old, peer */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* a descriptor */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	'a', 'b', 'c',
};
/* clang-format on */

START_TEST(an_event_is_written_as_specified)
{
	const struct mesh_id port = id_from(0x10);
	const struct mesh__record record = {.id = id_from(0x20),
	        .next_local_seq = 0x8000000000000002,
	        .old_node = id_from(0x30),
	        .old_port = id_from(0x40),
	        .peer_node = id_from(0x50),
	        .peer_port = id_from(0x60)};
	uint8_t bytes[sizeof event_bytes];

	ck_assert_uint_eq(mesh__event_size(2, 3), sizeof bytes);
	memset(bytes, 0xff, sizeof bytes);
	mesh__event_header_write(bytes, &port, MESH__EVENT_MESSAGE,
	        MESH__FLAG_MESSAGE | MESH__FLAG_CLOSE, 0x0102030405060708, 2, 3);
	mesh__record_write(bytes + 40, &record);
	mesh__record_write(bytes + 136, &(struct mesh__record){0});
	memcpy(bytes + 232, "abc", 3);
	ck_assert_mem_eq(bytes, event_bytes, sizeof bytes);
}
END_TEST

static void check_id(const struct mesh_id *id, uint8_t first)
{
	struct mesh_id expected = id_from(first);

	ck_assert_mem_eq(id, &expected, sizeof expected);
}

START_TEST(an_event_is_read_as_specified)
{
	struct mesh__raw_event event;
	struct mesh__record record;

	ck_assert_int_eq(mesh__raw_event_parse(event_bytes, sizeof event_bytes, &event), 0);
	check_id(&event.port, 0x10);
	ck_assert_uint_eq(event.type, MESH__EVENT_MESSAGE);
	ck_assert_uint_eq(event.flags, 3);
	ck_assert_uint_eq(event.seq, 0x0102030405060708);
	ck_assert_uint_eq(event.record_count, 2);
	ck_assert_uint_eq(event.body_size, 3);
	ck_assert_mem_eq(event.body, "abc", 3);

	mesh__record_parse(event.records, &record);
	check_id(&record.id, 0x20);
	ck_assert_uint_eq(record.next_local_seq, 0x8000000000000002);
	check_id(&record.old_node, 0x30);
	check_id(&record.old_port, 0x40);
	check_id(&record.peer_node, 0x50);
	check_id(&record.peer_port, 0x60);
	mesh__record_parse(event.records + MESH__RECORD_SIZE, &record);
	ck_assert(mesh__id_is_zero(&record.id));
}
END_TEST

START_TEST(reserved_bytes_and_bytes_behind_the_event_do_not_matter)
{
	uint8_t bytes[sizeof event_bytes + 100];
	struct mesh__raw_event event, same;

	memset(bytes, 0xff, sizeof bytes);
	memcpy(bytes, event_bytes, sizeof event_bytes);
	ck_assert_int_eq(mesh__raw_event_parse(bytes, sizeof event_bytes, &event), 0);
	memset(bytes + 18, 0xff, 6);
	ck_assert_int_eq(mesh__raw_event_parse(bytes, sizeof bytes, &same), 0);
	ck_assert_uint_eq(same.seq, event.seq);
	ck_assert_uint_eq(same.body_size, event.body_size);
	ck_assert_ptr_eq(same.body, event.body);
}
END_TEST

/* S139: truncated header; less than is announced. */
START_TEST(an_event_that_is_cut_off_is_refused_and_still_names_its_port)
{
	for (size_t size = 0; size < sizeof event_bytes; size++) {
		uint8_t *bytes = exact_copy(event_bytes, size);
		struct mesh__raw_event event;

		memset(&event, 0xff, sizeof event);
		ck_assert_int_eq(mesh__raw_event_parse(bytes, size, &event), -EBADMSG);
		if (size >= 16)
			check_id(&event.port, 0x10);
		else
			ck_assert(mesh__id_is_zero(&event.port));
		ck_assert_uint_eq(event.type, size >= 40 ? MESH__EVENT_MESSAGE : 0);
		ck_assert_uint_eq(event.seq, size >= 40 ? 0x0102030405060708 : 0);
		ck_assert_uint_eq(event.record_count, 0);
		ck_assert_uint_eq(event.body_size, 0);
		ck_assert_ptr_null(event.records);
		ck_assert_ptr_null(event.body);
		free(bytes);
	}
}
END_TEST

/* S139: resource count 2^32, message_size beyond the end; each at its limits, and sums that wrap in 32 bits. */
START_TEST(counts_that_do_not_fit_are_refused)
{
	static const struct {
		uint32_t records, body;
		size_t size;
		int result;
	} cases[] = {
	        {0, 0, 40, 0},
	        {0, 0, 39, -EBADMSG},
	        {0, 1, 40, -EBADMSG},
	        {0, 1, 41, 0},
	        {1, 0, 135, -EBADMSG},
	        {1, 0, 136, 0},
	        {1, 1, 136, -EBADMSG},
	        {UINT32_MAX, 0, 200, -EBADMSG},
	        {0, UINT32_MAX, 200, -EBADMSG},
	        {UINT32_MAX, UINT32_MAX, 200, -EBADMSG},
	        {0x02aaaaab, 0, 200, -EBADMSG},      /* * 96 is 32 modulo 2^32 */
	        {1, UINT32_MAX - 95, 200, -EBADMSG}, /* the sum is 0 modulo 2^32 */
	        {0x02aaaaaa, 0x40, 200, -EBADMSG},
	};
	uint8_t *bytes = exact_copy((uint8_t[200]){0}, cases[_i].size);
	struct mesh__raw_event event;

	if (cases[_i].size >= 40)
		mesh__event_header_write(
		        bytes, &(struct mesh_id){{1}}, 1, 1, 1, cases[_i].records, cases[_i].body);
	ck_assert_int_eq(mesh__raw_event_parse(bytes, cases[_i].size, &event), cases[_i].result);
	free(bytes);
}
END_TEST

START_TEST(with_any_bit_wrong_the_event_stays_inside_its_bytes)
{
	for (size_t bit = 0; bit < sizeof event_bytes * 8; bit++) {
		uint8_t *bytes = exact_copy(event_bytes, sizeof event_bytes);
		struct mesh__raw_event event;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (mesh__raw_event_parse(bytes, sizeof event_bytes, &event) == 0) {
			ck_assert_uint_le(event.record_count * MESH__RECORD_SIZE + event.body_size,
			        sizeof event_bytes - 40);
			ck_assert_ptr_eq(
			        event.body, event.records + event.record_count * MESH__RECORD_SIZE);
		}
		free(bytes);
	}
}
END_TEST

START_TEST(a_change_of_peer_goes_round)
{
	const struct mesh__change_peer change = {id_from(0x10), id_from(0x20), UINT64_MAX};
	static const uint8_t expected[] = {
	        ID(0x10), ID(0x20), 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0};
	uint8_t bytes[MESH__CHANGE_PEER_SIZE];
	struct mesh__raw_event event = {.body = bytes, .body_size = sizeof bytes};
	struct mesh__change_peer read;

	memset(bytes, 0xff, sizeof bytes);
	mesh__change_peer_write(bytes, &change);
	ck_assert_uint_eq(sizeof expected, sizeof bytes);
	ck_assert_mem_eq(bytes, expected, sizeof bytes);
	ck_assert_int_eq(mesh__change_peer_read(&event, &read), 0);
	ck_assert_mem_eq(&read, &change, sizeof change);
	for (event.body_size = 0; event.body_size < sizeof bytes; event.body_size++)
		ck_assert_int_eq(mesh__change_peer_read(&event, &read), -EBADMSG);
}
END_TEST

START_TEST(a_failure_names_a_node)
{
	const struct mesh_id blamed = id_from(0x10);
	struct mesh__raw_event event = {.body = blamed.bytes, .body_size = sizeof blamed.bytes};
	struct mesh_id read;

	ck_assert_int_eq(mesh__fail_port_read(&event, &read), 0);
	check_id(&read, 0x10);
	for (event.body_size = 0; event.body_size < sizeof blamed.bytes; event.body_size++)
		ck_assert_int_eq(mesh__fail_port_read(&event, &read), -EBADMSG);
}
END_TEST

START_TEST(a_packet_header_is_a_type_and_zeroes)
{
	static const uint8_t expected[] = {3, 0, 0, 0, 0, 0, 0, 0};
	uint8_t bytes[MESH__PACKET_HEADER_SIZE];
	enum mesh__packet_type type;

	memset(bytes, 0xff, sizeof bytes);
	mesh__packet_header_write(bytes, MESH__PACKET_LARGE_EVENT);
	ck_assert_mem_eq(bytes, expected, sizeof bytes);
	ck_assert_int_eq(mesh__packet_header_read(bytes, sizeof bytes, &type), 0);
	ck_assert_int_eq(type, MESH__PACKET_LARGE_EVENT);
}
END_TEST

/* S139: unknown type, short packet. */
START_TEST(only_three_packet_types_of_at_least_8_bytes_exist)
{
	for (unsigned first = 0; first < 256; first++) {
		uint8_t bytes[MESH__PACKET_HEADER_SIZE] = {(uint8_t)first, 9, 9, 9, 9, 9, 9, 9};
		enum mesh__packet_type type;
		int expected = first >= 1 && first <= 3 ? 0 : -EBADMSG;

		ck_assert_int_eq(mesh__packet_header_read(bytes, sizeof bytes, &type), expected);
		for (size_t size = 0; size < sizeof bytes; size++)
			ck_assert_int_eq(mesh__packet_header_read(bytes, size, &type), -EBADMSG);
	}
}
END_TEST

START_TEST(random_ids_differ_and_are_not_zero)
{
	struct mesh_id ids[100];

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(ids); i++) {
		ck_assert_int_eq(mesh__id_random(&ids[i]), 0);
		ck_assert(!mesh__id_is_zero(&ids[i]));
		for (size_t j = 0; j < i; j++)
			ck_assert(!mesh__id_equal(&ids[i], &ids[j]));
	}
}
END_TEST

START_TEST(an_id_is_shown_by_its_first_digits)
{
	struct mesh_id id = {{0x01, 0xab, 0x00, 0xff, 0x77}};
	char buffer[9];

	ck_assert_ptr_eq(mesh__id_short(&id, buffer), buffer);
	ck_assert_str_eq(buffer, "01ab00ff");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/event");
	TCase *events = support_tcase(suite, "events"), *packets = support_tcase(suite, "packets");
	TCase *ids = support_tcase(suite, "ids");

	tcase_add_test(events, an_event_is_written_as_specified);
	tcase_add_test(events, an_event_is_read_as_specified);
	tcase_add_test(events, reserved_bytes_and_bytes_behind_the_event_do_not_matter);
	tcase_add_test(events, an_event_that_is_cut_off_is_refused_and_still_names_its_port);
	tcase_add_loop_test(events, counts_that_do_not_fit_are_refused, 0, 13);
	tcase_add_test(events, with_any_bit_wrong_the_event_stays_inside_its_bytes);
	tcase_add_test(events, a_change_of_peer_goes_round);
	tcase_add_test(events, a_failure_names_a_node);
	tcase_add_test(packets, a_packet_header_is_a_type_and_zeroes);
	tcase_add_test(packets, only_three_packet_types_of_at_least_8_bytes_exist);
	tcase_add_test(ids, random_ids_differ_and_are_not_zero);
	tcase_add_test(ids, an_id_is_shown_by_its_first_digits);
	return suite;
}
SUPPORT_MAIN(make_suite)
