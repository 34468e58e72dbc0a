/* SPDX-License-Identifier: MIT */
/* Events that are wrong in themselves, or that the state machine never makes. */
#include "hostile-port.h"

#include <errno.h>
#include <pal/util-priv.h>

#include "support.h"

static void inject_change(const struct mesh_id *node, const struct mesh_id *port, size_t cut)
{
	struct mesh__change_peer change = {.node = *node, .port = *port};
	uint8_t body[MESH__CHANGE_PEER_SIZE];

	mesh__change_peer_write(body, &change);
	inject((struct raw){.type = MESH__EVENT_CHANGE_PEER,
	        .seq = 1,
	        .body = body,
	        .body_size = sizeof body - cut});
}

/* ---- shape ---- */

START_TEST(an_event_cut_anywhere_is_no_event)
{
	struct mesh__record fd = {{{0}}};
	size_t size = mesh__event_size(1, 5);

	inject((struct raw){MESSAGE, .seq = 1, .records = &fd, .record_count = 1, .body = "hello",
	        .body_size = 5, .fds = 1, .cut = (size_t)_i});
	if (!_i) {
		mesh_message_free(memory_take(b));
		expect_alive();
	} else if (size - (size_t)_i < MESH__EVENT_HEADER_SIZE) {
		expect_alive(); /* whose it was is not said */
	} else {
		expect_failed();
	}
}
END_TEST

START_TEST(counts_beyond_the_end_fail_the_port)
{
	static const uint32_t records[] = {1, 0xffffffff, 0x2aaaaaab, 0, 0, 0xffffffff};
	static const uint32_t bodies[] = {0, 0, 0, 1, 0xfffffffa, 0xfffffffa};

	inject((struct raw){MESSAGE, .seq = 1, .body = "hello", .body_size = 5,
	        .extra_records = records[_i], .extra_body = bodies[_i]});
	expect_failed();
}
END_TEST

START_TEST(bytes_and_descriptors_too_many_are_no_harm)
{
	inject((struct raw){MESSAGE, .seq = 1, .body = "hello and more", .body_size = 14,
	        .extra_body = (uint32_t)-9, .fds = 2});
	inject((struct raw){.port = "nobody", .type = MESH__EVENT_ACK_PORT, .fds = 1});
	memory_expect(b, "hello");
	expect_alive();
}
END_TEST

START_TEST(a_missing_descriptor_fails_the_port)
{
	struct mesh__record fds[2] = {{{{0}}}};

	inject((struct raw){MESSAGE, .seq = 1, .records = fds, .record_count = 2, .fds = 1});
	expect_failed();
}
END_TEST

START_TEST(a_type_that_takes_a_number_and_is_unknown_fails_the_port)
{
	inject((struct raw){.type = 99});
	expect_alive();
	inject((struct raw){.type = 2, .seq = 1});
	expect_failed();
}
END_TEST

START_TEST(unknown_flags_and_a_message_of_nothing_are_accepted)
{
	inject((struct raw){.type = MESH__EVENT_MESSAGE, .seq = 1});
	inject((struct raw){
	        .type = MESH__EVENT_MESSAGE, .flags = 0xfd, .seq = 2, .body = "x", .body_size = 1});
	memory_expect(b, "x");
	expect_alive();
}
END_TEST

/* ---- numbers ---- */

START_TEST(a_number_that_cannot_be_fails_the_port)
{
	static const uint64_t numbers[] = {
	        0, 1, MESH__SEQ_WINDOW + 3, (uint64_t)1 << 40, UINT64_MAX};

	inject((struct raw){MESSAGE, .seq = 1, .body = "x", .body_size = 1});
	inject((struct raw){MESSAGE, .seq = numbers[_i], .body = "y", .body_size = 1});
	memory_expect(b, "x");
	expect_failed();
}
END_TEST

START_TEST(the_window_is_as_wide_as_it_says)
{
	inject((struct raw){MESSAGE, .seq = MESH__SEQ_WINDOW + 1});
	expect_alive();
	ck_assert_uint_eq(b->far->pending_count, 1);
	inject((struct raw){MESSAGE, .seq = MESH__SEQ_WINDOW + 2});
	expect_failed();
}
END_TEST

/* Trace (o): the original delivers both, and stumbles later. */
START_TEST(two_equal_numbers_ahead_fail_the_port)
{
	inject((struct raw){MESSAGE, .seq = 2});
	inject((struct raw){MESSAGE, .seq = 2});
	expect_failed();
}
END_TEST

START_TEST(no_more_than_a_bound_may_wait)
{
	inject((struct raw){MESSAGE, .seq = 2});
	b->far->pending_count = MESH__MAX_PENDING - 1; /* as if they were there */
	inject((struct raw){MESSAGE, .seq = 3});
	expect_alive();
	inject((struct raw){MESSAGE, .seq = 4});
	expect_failed();
}
END_TEST

START_TEST(ten_thousand_events_in_reverse_are_put_in_order)
{
	for (uint64_t i = 10000; i; i--)
		inject((struct raw){MESSAGE, .seq = i, .body = &i, .body_size = sizeof i});
	for (uint64_t i = 1; i <= 10000; i++) {
		struct mesh_message *message = memory_take(b);

		ck_assert_mem_eq(mesh_message_data(message), &i, sizeof i);
		mesh_message_free(message);
	}
	expect_alive();
}
END_TEST

START_TEST(an_event_after_the_close_is_dropped)
{
	inject((struct raw){.type = MESH__EVENT_MESSAGE, .flags = MESH__FLAG_CLOSE, .seq = 1});
	inject((struct raw){MESSAGE, .seq = 2});
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(b), -EPIPE);
}
END_TEST

START_TEST(an_event_after_the_close_that_came_before_it_fails_the_port)
{
	inject((struct raw){MESSAGE, .seq = 2});
	inject((struct raw){.type = MESH__EVENT_MESSAGE, .flags = MESH__FLAG_CLOSE, .seq = 1});
	expect_failed();
}
END_TEST

/* ---- events that the state machine never makes ---- */

START_TEST(an_acknowledgement_of_nothing_fails_the_port)
{
	if (_i)
		inject((struct raw){.type = MESH__EVENT_ACK_PORT});
	else
		inject((struct raw){.type = MESH__EVENT_ACK_CHANGE_PEER, .seq = 1});
	expect_failed();
}
END_TEST

START_TEST(a_failure_cut_short_is_a_failure)
{
	inject((struct raw){.type = MESH__EVENT_FAIL_PORT, .body = "abc", .body_size = 3});
	expect_failed();
}
END_TEST

/* Trace (p). Knowing the id of a port is what allows to send to it: the wire has nothing else (S141). */
START_TEST(an_event_from_a_third_node_is_accepted)
{
	inject((struct raw){MESSAGE, .seq = 1, .body = "x", .body_size = 1, .from = C});
	memory_expect(b, "x");
	expect_alive();
}
END_TEST

START_TEST(a_peer_cannot_move_to_nowhere)
{
	struct mesh_id zero = {{0}}, other = memory_id("other"), itself = memory_id("b");

	switch (_i) {
	case 0:
		inject_change(
		        &other, &other, 0); /* a node that does not exist: the leader says so */
		break;
	case 1:
		inject_change(&B->space.node, &other, 0);
		break;
	case 2:
		inject_change(&B->space.node, &itself, 0);
		break;
	case 3:
		inject_change(&zero, &other, 0);
		break;
	case 4:
		inject_change(&A->space.node, &zero, 0);
		break;
	case 5:
		inject_change(&A->space.node, &other, 1);
		break;
	}
	expect_failed();
}
END_TEST

/* The same named to a port that is closed, which may be right, must be acknowledged, or the old place waits for ever. */
START_TEST(a_closed_ports_peer_may_have_ended)
{
	struct mesh_id other = memory_id("other");

	memory_free(PAL_TAKE_POINTER(b));
	inject_change(&B->space.node, &other, 0);
	ck_assert_uint_eq(net.packet_count, 2);
	ck_assert_uint_eq(TAILQ_FIRST(&net.packets)->data[16], MESH__EVENT_MESSAGE);
	memory_lose(&net, TAILQ_FIRST(&net.packets));
	ck_assert_uint_eq(TAILQ_FIRST(&net.packets)->data[16], MESH__EVENT_ACK_CHANGE_PEER);
	memory_lose(&net, TAILQ_FIRST(&net.packets));
	ck_assert_uint_eq(memory_port_count(B), 1); /* b has nothing to wait for */
	memory_fail(a);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-hostile");
	TCase *shape = support_tcase(suite, "shape");
	TCase *numbers = support_tcase(suite, "numbers");
	TCase *states = support_tcase(suite, "states");

	tcase_add_checked_fixture(shape, start, stop);
	tcase_add_checked_fixture(numbers, start, stop);
	tcase_add_checked_fixture(states, start, stop);
	tcase_add_loop_test(
	        shape, an_event_cut_anywhere_is_no_event, 0, (int)mesh__event_size(1, 5) + 1);
	tcase_add_loop_test(shape, counts_beyond_the_end_fail_the_port, 0, 6);
	tcase_add_test(shape, bytes_and_descriptors_too_many_are_no_harm);
	tcase_add_test(shape, a_missing_descriptor_fails_the_port);
	tcase_add_test(shape, a_type_that_takes_a_number_and_is_unknown_fails_the_port);
	tcase_add_test(shape, unknown_flags_and_a_message_of_nothing_are_accepted);
	tcase_add_loop_test(numbers, a_number_that_cannot_be_fails_the_port, 0, 5);
	tcase_add_test(numbers, the_window_is_as_wide_as_it_says);
	tcase_add_test(numbers, two_equal_numbers_ahead_fail_the_port);
	tcase_add_test(numbers, no_more_than_a_bound_may_wait);
	tcase_add_test(numbers, ten_thousand_events_in_reverse_are_put_in_order);
	tcase_add_test(numbers, an_event_after_the_close_is_dropped);
	tcase_add_test(numbers, an_event_after_the_close_that_came_before_it_fails_the_port);
	tcase_add_loop_test(states, an_acknowledgement_of_nothing_fails_the_port, 0, 2);
	tcase_add_test(states, a_failure_cut_short_is_a_failure);
	tcase_add_test(states, an_event_from_a_third_node_is_accepted);
	tcase_add_loop_test(states, a_peer_cannot_move_to_nowhere, 0, 6);
	tcase_add_test(states, a_closed_ports_peer_may_have_ended);
	return suite;
}
SUPPORT_MAIN(make_suite)
