/* SPDX-License-Identifier: MIT */
#include "link-pair.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

START_TEST(events_of_every_size_around_the_border_of_a_packet_arrive) /* S137, S138 */
{
	const size_t sizes[] = {40, 41, 1000, 16000, 20000, 65536, 1 << 20};

	make_links();
	for (size_t size = MESH__INLINE_EVENT_MAX - 40; size < MESH__INLINE_EVENT_MAX + 5000; size++) {
		struct seen seen = {0};

		send_bytes(&near, size, (uint8_t)size, NULL, 0);
		ck_assert_int_eq(read_all(&far, &seen), 0);
		ck_assert_uint_eq(seen.events, 1);
		ck_assert_uint_ge(seen.size, size);
		ck_assert_uint_eq(seen.first, (uint8_t)size);
		if (size <= MESH__INLINE_EVENT_MAX)
			ck_assert_uint_eq(seen.size, size);
	}
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct seen seen = {0};

		send_bytes(&near, sizes[i], 7, NULL, 0);
		ck_assert_int_eq(read_all(&far, &seen), 0);
		ck_assert_uint_eq(seen.events, 1);
	}
	drop_links();
}
END_TEST

START_TEST(sixty_four_descriptors_go_through_and_arrive_close_on_exec) /* S134, S161 */
{
	int fds[MESH_MESSAGE_MAX_FDS];
	struct seen seen = {.hold = true};

	make_links();
	for (size_t i = 0; i < MESH_MESSAGE_MAX_FDS; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	send_bytes(&near, 40, 1, fds, MESH_MESSAGE_MAX_FDS);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.fds, MESH_MESSAGE_MAX_FDS);
	for (size_t i = 0; i < seen.fds; i++) {
		ck_assert_int_eq(fcntl(seen.held[i], F_GETFD), FD_CLOEXEC);
		close(seen.held[i]);
	}
	for (size_t i = 0; i < MESH_MESSAGE_MAX_FDS - 1; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	send_bytes(&near, 20000, 1, fds, MESH_MESSAGE_MAX_FDS - 1);
	seen.hold = false;
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.fds, MESH_MESSAGE_MAX_FDS - 1);
	drop_links();
}
END_TEST

START_TEST(an_empty_packet_is_a_broken_peer_and_not_the_end_of_file) /* S128 */
{
	struct seen seen = {0};

	make_links();
	ck_assert_int_eq(send(near.fd, "", 0, MSG_NOSIGNAL), 0);
	ck_assert_int_eq(read_all(&far, &seen), -EBADMSG);
	drop_links();
}
END_TEST

START_TEST(a_descriptor_with_an_empty_packet_is_closed) /* S128 */
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
	struct seen seen = {0};

	make_links();
	memcpy(CMSG_DATA(&control.header), &null, sizeof null);
	ck_assert_int_eq(sendmsg(near.fd, &message, MSG_NOSIGNAL), 0);
	close(null);
	ck_assert_int_eq(read_all(&far, &seen), -EBADMSG);
	drop_links();
}
END_TEST

START_TEST(the_end_of_file_comes_after_what_was_sent)
{
	struct seen seen = {0};

	make_links();
	send_bytes(&near, 100, 1, NULL, 0);
	mesh__link_finish(&near);
	ck_assert_int_eq(read_all(&far, &seen), -EPIPE);
	ck_assert_uint_eq(seen.events, 1);
	drop_links();
}
END_TEST

START_TEST(a_reset_loses_nothing_that_was_sent_before)
{
	struct seen seen = {0};

	make_links();
	for (unsigned i = 0; i < 20; i++)
		send_bytes(&near, 100, 1, NULL, 0);
	send_bytes(&far, 100, 1, NULL, 0); /* stays unread in near: its close is a reset */
	mesh__link_deinit(&near);
	ck_assert_int_eq(mesh__link_receive(&far, 3, &reader, &seen), -ECONNRESET);
	ck_assert_uint_eq(seen.events, 20);
	drop_links();
}
END_TEST

START_TEST(packets_that_break_the_rules_end_the_link) /* S132, S139 */
{
	static const uint8_t bad_type[MESH__PACKET_HEADER_SIZE] = {9};
	static const uint8_t oversized[MESH__PACKET_MAX + 1] = {MESH__PACKET_EVENT};
	const struct {
		const void *data;
		size_t size;
		int fd;
	} cases[] = {
		{"\1\0\0", 4, -1},
		{bad_type, sizeof bad_type, -1},
		{oversized, sizeof oversized, -1},
		{large_header, sizeof large_header, -1},
		{large_header, sizeof large_header, open("/dev/zero", O_RDONLY | O_CLOEXEC)},
		{large_header, sizeof large_header, open("/etc/passwd", O_RDONLY | O_CLOEXEC)},
		{large_header, sizeof large_header, open("/etc/passwd", O_PATH | O_CLOEXEC)},
		{large_header, sizeof large_header, new_memfd(4096, 0)},
		{large_header, sizeof large_header, new_memfd(4096, F_SEAL_SHRINK)},
		{large_header, sizeof large_header, new_memfd(4096, ALL_SEALS & ~F_SEAL_WRITE)},
		{large_header, sizeof large_header, new_memfd(4096, ALL_SEALS & ~F_SEAL_SEAL)},
		{large_header, sizeof large_header, new_memfd(0, ALL_SEALS)},
		{large_header, sizeof large_header, new_memfd((size_t)3 << 30, ALL_SEALS)},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct seen seen = {0};

		make_links();
		send_raw(cases[i].data, cases[i].size, &cases[i].fd, cases[i].fd >= 0);
		ck_assert_msg(read_all(&far, &seen) == -EBADMSG, "case %zu", i);
		ck_assert_uint_eq(seen.events, 0);
		if (cases[i].fd >= 0)
			close(cases[i].fd);
		drop_links();
	}
}
END_TEST

START_TEST(whom_the_events_are_for_may_end_the_link)
{
	static const size_t sizes[] = {100, 100000};

	for (unsigned i = 0; i < 2; i++) {
		struct seen seen = {.answer = -ENOBUFS};
		int result;

		make_links();
		for (int n = 0; n < 3; n++)
			send_bytes(&near, sizes[i], 1, NULL, 0);
		result = read_all(&far, &seen);
		ck_assert_int_eq(result, -ENOBUFS);
		ck_assert_uint_eq(seen.events, 1); /* nothing is handed out after that */
		drop_links();
	}
}
END_TEST

START_TEST(release_fds_packets_are_ignored)
{
	static const uint8_t release[16] = {MESH__PACKET_RELEASE_FDS, [8] = 1};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct seen seen = {0};

	make_links();
	send_raw(release, sizeof release, NULL, 0);
	send_raw(release, 8, NULL, 0);
	send_raw(release, sizeof release, &null, 1);
	close(null);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 0);
	drop_links();
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_passed_does_not_cost_the_link)
{
	struct seen seen = {0};
	int closed;

	make_links();
	closed = dup(0);
	close(closed);
	send_bytes(&near, 100, 1, &closed, 1);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 1);
	ck_assert_uint_eq(seen.fds, 0);
	drop_links();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/link");
	TCase *order = support_tcase(suite, "order"), *hostile = support_tcase(suite, "hostile");

	tcase_add_test(order, events_of_every_size_around_the_border_of_a_packet_arrive);
	tcase_add_test(order, sixty_four_descriptors_go_through_and_arrive_close_on_exec);
	tcase_add_test(hostile, an_empty_packet_is_a_broken_peer_and_not_the_end_of_file);
	tcase_add_test(hostile, a_descriptor_with_an_empty_packet_is_closed);
	tcase_add_test(order, the_end_of_file_comes_after_what_was_sent);
	tcase_add_test(order, a_reset_loses_nothing_that_was_sent_before);
	tcase_add_test(hostile, packets_that_break_the_rules_end_the_link);
	tcase_add_test(hostile, whom_the_events_are_for_may_end_the_link);
	tcase_add_test(hostile, release_fds_packets_are_ignored);
	tcase_add_test(hostile, a_descriptor_that_cannot_be_passed_does_not_cost_the_link);
	return suite;
}
SUPPORT_MAIN(make_suite)
