/* SPDX-License-Identifier: MIT */
#include <pal/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "support.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static int pair[2];
static char buffer[4096];
static int received[PAL_SOCKET_MAX_FDS];
static size_t received_count;

static void make_pair(void)
{
	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, pair), 0);
	received_count = 99;
}

static void close_pair(void)
{
	for (int i = 0; i < 2; i++)
		pair[i] = pal_close(pair[i]);
}

static ssize_t receive(int socket, size_t size)
{
	return pal_socket_receive(socket, buffer, size, received, &received_count);
}

static void close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

static bool same_file(int a, int b)
{
	struct stat info_a, info_b;

	return fstat(a, &info_a) == 0 && fstat(b, &info_b) == 0 && info_a.st_dev == info_b.st_dev &&
	       info_a.st_ino == info_b.st_ino;
}

/* sendmsg(2) with `count` descriptors in one or in two control messages. */
static void send_raw(int socket, const int *fds, size_t count, size_t parts)
{
	union {
		struct cmsghdr header;
		char bytes[4096];
	} control = {0};
	struct iovec part = {.iov_base = (char[]){"x"}, .iov_len = 1};
	size_t each = count / parts;
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = parts * CMSG_SPACE(each * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	for (size_t i = 0; i < parts; i++, header = CMSG_NXTHDR(&message, header)) {
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(each * sizeof(int));
		memcpy(CMSG_DATA(header), fds + i * each, each * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(socket, &message, 0), 1);
}

START_TEST(both_ends_are_close_on_exec_and_do_not_block)
{
	make_pair();
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fcntl(pair[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_ne(fcntl(pair[i], F_GETFL) & O_NONBLOCK, 0);
	}
	ck_assert_int_eq(receive(pair[0], 1), -EAGAIN);
	ck_assert_uint_eq(received_count, 0);
	close_pair();
	ck_assert_int_eq(pal_socket_pair(12345, pair), -EINVAL);
}
END_TEST

START_TEST(descriptors_arrive_in_order_and_close_on_exec)
{
	int files[PAL_SOCKET_MAX_FDS];

	make_pair();
	for (int i = 0; i < PAL_SOCKET_MAX_FDS; i++)
		files[i] = i % 2 ? pair[0] : pair[1];
	ck_assert_int_eq(pal_socket_send(pair[0], "hello", 5, files, PAL_SOCKET_MAX_FDS), 5);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 5);
	ck_assert_mem_eq(buffer, "hello", 5);
	ck_assert_uint_eq(received_count, PAL_SOCKET_MAX_FDS);
	for (int i = 0; i < PAL_SOCKET_MAX_FDS; i++) {
		ck_assert(same_file(received[i], files[i]));
		ck_assert_int_eq(fcntl(received[i], F_GETFD), FD_CLOEXEC);
		close(received[i]);
	}
	close_pair();
}
END_TEST

START_TEST(more_descriptors_than_the_limit_are_not_sent)
{
	int files[PAL_SOCKET_MAX_FDS + 1] = {0};

	make_pair();
	ck_assert_int_eq(pal_socket_send(pair[0], "x", 1, files, PAL_SOCKET_MAX_FDS + 1), -EINVAL);
	ck_assert_int_eq(pal_socket_send(pair[0], "", 0, files, 1), -EINVAL);
	files[0] = 12345;
	ck_assert_int_eq(pal_socket_send(pair[0], "x", 1, files, 1), -EBADF);
	ck_assert_int_eq(receive(pair[1], 1), -EAGAIN);
	close_pair();
}
END_TEST

/* A hostile peer, S134. The leak fixture counts what is not closed. */
START_TEST(more_descriptors_than_fit_are_an_error_and_are_closed)
{
	int files[2 * PAL_SOCKET_MAX_FDS];

	make_pair();
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(files); i++)
		files[i] = pair[0];
	send_raw(pair[0], files, PAL_SOCKET_MAX_FDS + 1, 1);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), -ENOBUFS);
	ck_assert_uint_eq(received_count, 0);
	send_raw(pair[0], files, 2 * PAL_SOCKET_MAX_FDS, 2);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), -ENOBUFS);
	ck_assert_uint_eq(received_count, 0);
	close_pair();
}
END_TEST

START_TEST(descriptors_in_two_control_messages_all_arrive)
{
	int files[4];

	make_pair();
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(files); i++)
		files[i] = pair[i % 2];
	send_raw(pair[0], files, 4, 2);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 1);
	ck_assert_uint_eq(received_count, 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert(same_file(received[i], files[i]));
		close(received[i]);
	}
	close_pair();
}
END_TEST

START_TEST(no_room_for_descriptors_here_is_an_error_and_nothing_leaks)
{
	struct rlimit before, tight;

	make_pair();
	ck_assert_int_eq(pal_socket_send(pair[0], "x", 1, (int[]){0, 1, 2, 0}, 4), 1);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)(pair[0] > pair[1] ? pair[0] : pair[1]) + 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), -ENOBUFS);
	ck_assert_uint_eq(received_count, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	close_pair();
}
END_TEST

START_TEST(a_packet_whose_descriptors_are_lost_can_be_received_without_them)
{
	struct rlimit before, tight;
	bool lost = false;

	make_pair();
	ck_assert_int_eq(pal_socket_send(pair[0], "hello", 5, (int[]){0, 1, 2, 0}, 4), 5);
	ck_assert_int_eq(pal_socket_send(pair[0], "whole", 5, (int[]){0}, 1), 5);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)(pair[0] > pair[1] ? pair[0] : pair[1]) + 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ck_assert_int_eq(pal_socket_receive_partial(
				 pair[1], buffer, sizeof buffer, received, &received_count, &lost),
		5);
	ck_assert_mem_eq(buffer, "hello", 5);
	ck_assert_uint_eq(received_count, 0);
	ck_assert(lost);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);

	ck_assert_int_eq(pal_socket_receive_partial(
				 pair[1], buffer, sizeof buffer, received, &received_count, &lost),
		5);
	ck_assert_mem_eq(buffer, "whole", 5);
	ck_assert_uint_eq(received_count, 1);
	ck_assert(!lost);
	close(received[0]);

	lost = true;
	ck_assert_int_eq(pal_socket_receive_partial(
				 pair[1], buffer, sizeof buffer, received, &received_count, &lost),
		-EAGAIN);
	ck_assert_uint_eq(received_count, 0);
	ck_assert(!lost);
	close_pair();
}
END_TEST

static struct pal_socket_incoming incoming[PAL_SOCKET_MAX_PACKETS + 1];
static char rooms[PAL_SOCKET_MAX_PACKETS + 1][8];

static int receive_many(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		incoming[i] = (struct pal_socket_incoming){
			.data = rooms[i], .room = sizeof rooms[i], .fd_count = 99, .fds_lost = true};
	}
	return pal_socket_receive_many(pair[1], incoming, count);
}

START_TEST(many_packets_go_in_one_call_in_order_and_with_their_descriptors)
{
	struct pal_socket_outgoing outgoing[PAL_SOCKET_MAX_PACKETS + 1];
	int fds[] = {0, 1, 2};
	char bytes[] = "abcdefghijklmnopqrstuvwxyz";

	make_pair();
	for (size_t i = 0; i <= PAL_SOCKET_MAX_PACKETS; i++)
		outgoing[i] = (struct pal_socket_outgoing){
			.data = &bytes[i], .size = 1 + i % 3, .fds = fds, .fd_count = i % 4};
	ck_assert_int_eq(pal_socket_send_many(pair[0], outgoing, PAL_SOCKET_MAX_PACKETS + 1),
		PAL_SOCKET_MAX_PACKETS);
	ck_assert_int_eq(receive_many(2), 2);
	ck_assert_mem_eq(rooms[1], "bc", 2);
	for (int i = 0; i < 2; i++)
		close_fds(incoming[i].fds, incoming[i].fd_count);
	ck_assert_int_eq(receive_many(PAL_SOCKET_MAX_PACKETS + 1), PAL_SOCKET_MAX_PACKETS - 2);
	for (size_t i = 0; i < PAL_SOCKET_MAX_PACKETS - 2; i++) {
		ck_assert_int_eq(incoming[i].size, 1 + (i + 2) % 3);
		ck_assert_mem_eq(rooms[i], &bytes[i + 2], incoming[i].size);
		ck_assert(!incoming[i].fds_lost);
		ck_assert_uint_eq(incoming[i].fd_count, (i + 2) % 4);
		for (size_t n = 0; n < incoming[i].fd_count; n++) {
			ck_assert(same_file(incoming[i].fds[n], fds[n]));
			ck_assert_int_eq(fcntl(incoming[i].fds[n], F_GETFD), FD_CLOEXEC);
		}
		close_fds(incoming[i].fds, incoming[i].fd_count);
	}
	ck_assert_int_eq(receive_many(3), -EAGAIN);
	close_pair();
}
END_TEST

START_TEST(what_is_wrong_with_one_of_many_packets_is_said_of_that_one)
{
	struct pal_socket_outgoing outgoing[] = {{.data = "one", .size = 3},
		{.data = "too long a packet", .size = 17, .fds = (int[]){0}, .fd_count = 1},
		{.data = "", .size = 0},
		{.data = "four", .size = 4},
		{.data = "", .size = 0, .fds = (int[]){0}, .fd_count = 1}};

	make_pair();
	ck_assert_int_eq(pal_socket_send_many(pair[0], &outgoing[4], 1), -EINVAL);
	ck_assert_int_eq(pal_socket_send_many(pair[0], outgoing, 5), 4); /* up to the wrong one */
	ck_assert_int_eq(receive_many(5), 4);
	ck_assert_int_eq(incoming[0].size, 3);
	ck_assert_int_eq(incoming[1].size, -EMSGSIZE);
	ck_assert_uint_eq(incoming[1].fd_count, 0);
	ck_assert_int_eq(incoming[2].size, 0);
	ck_assert_int_eq(incoming[3].size, 4);
	pair[0] = pal_close(pair[0]);
	ck_assert_int_eq(receive_many(2), 2);
	ck_assert_int_eq(incoming[0].size, 0);
	ck_assert_int_eq(incoming[1].size, 0);
	ck_assert_int_eq(pal_socket_send_many(pair[1], outgoing, 2), -EPIPE);
	close_pair();
}
END_TEST

START_TEST(a_reset_comes_after_the_packets_before_it_when_many_are_received)
{
	make_pair();
	ck_assert_int_eq(pal_socket_send(pair[1], "unread", 6, NULL, 0), 6);
	ck_assert_int_eq(pal_socket_send(pair[0], "a", 1, NULL, 0), 1);
	ck_assert_int_eq(pal_socket_send(pair[0], "b", 1, NULL, 0), 1);
	pair[0] = pal_close(pair[0]);
	ck_assert_int_eq(receive_many(1), -ECONNRESET);
	ck_assert_int_eq(receive_many(2), 2);
	ck_assert_mem_eq(rooms[1], "b", 1);
	ck_assert_int_eq(receive_many(1), 1);
	ck_assert_int_eq(incoming[0].size, 0);
	close_pair();
}
END_TEST

/* SO_PASSPIDFD: the leak fixture counts the pidfd that comes with each packet. */
START_TEST(a_pidfd_that_the_kernel_adds_is_closed)
{
	make_pair();
	if (setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &(int){1}, sizeof(int)) < 0) {
		ck_assert_int_eq(errno, ENOPROTOOPT);
		close_pair();
		support_skip("SO_PASSPIDFD needs Linux 6.5");
	}
	ck_assert_int_eq(pal_socket_send(pair[0], "x", 1, NULL, 0), 1);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 1);
	ck_assert_uint_eq(received_count, 0);
	ck_assert_int_eq(pal_socket_send(pair[0], "x", 1, pair, 2), 1);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 1);
	ck_assert_uint_eq(received_count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(same_file(received[i], pair[i]));
		close(received[i]);
	}
	close_pair();
}
END_TEST

START_TEST(a_packet_that_does_not_fit_is_an_error_and_its_descriptors_are_closed)
{
	make_pair();
	ck_assert_int_eq(pal_socket_send(pair[0], "hello", 5, pair, 2), 5);
	ck_assert_int_eq(receive(pair[1], 4), -EMSGSIZE);
	ck_assert_uint_eq(received_count, 0);
	close_pair();
}
END_TEST

START_TEST(a_peer_that_left_is_EPIPE_without_a_signal_and_end_of_file)
{
	make_pair();
	ck_assert_int_eq(pal_socket_send(pair[0], "last", 4, NULL, 0), 4);
	pair[0] = pal_close(pair[0]);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 4);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 0);
	ck_assert_int_eq(pal_socket_send(pair[1], "x", 1, NULL, 0), -EPIPE);
	close_pair();
}
END_TEST

START_TEST(a_full_socket_does_not_block)
{
	ssize_t sent;

	make_pair();
	while ((sent = pal_socket_send(pair[0], buffer, sizeof buffer, NULL, 0)) > 0)
		;
	ck_assert_int_eq(sent, -EAGAIN);
	close_pair();
}
END_TEST

START_TEST(descriptors_of_an_empty_packet_are_closed)
{
	struct msghdr message = {0};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};

	make_pair();
	memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
	message.msg_control = &control;
	message.msg_controllen = sizeof control;
	ck_assert_int_eq(sendmsg(pair[0], &message, 0), 0);
	ck_assert_int_eq(receive(pair[1], sizeof buffer), 0);
	ck_assert_uint_eq(received_count, 0);
	close_pair();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/socket");
	TCase *packets = support_tcase(suite, "packets");

	tcase_add_test(packets, both_ends_are_close_on_exec_and_do_not_block);
	tcase_add_test(packets, descriptors_arrive_in_order_and_close_on_exec);
	tcase_add_test(packets, more_descriptors_than_the_limit_are_not_sent);
	tcase_add_test(packets, more_descriptors_than_fit_are_an_error_and_are_closed);
	tcase_add_test(packets, descriptors_in_two_control_messages_all_arrive);
	tcase_add_test(packets, no_room_for_descriptors_here_is_an_error_and_nothing_leaks);
	tcase_add_test(packets, a_packet_whose_descriptors_are_lost_can_be_received_without_them);
	tcase_add_test(packets, many_packets_go_in_one_call_in_order_and_with_their_descriptors);
	tcase_add_test(packets, what_is_wrong_with_one_of_many_packets_is_said_of_that_one);
	tcase_add_test(packets, a_reset_comes_after_the_packets_before_it_when_many_are_received);
	tcase_add_test(packets, a_pidfd_that_the_kernel_adds_is_closed);
	tcase_add_test(
		packets, a_packet_that_does_not_fit_is_an_error_and_its_descriptors_are_closed);
	tcase_add_test(packets, a_peer_that_left_is_EPIPE_without_a_signal_and_end_of_file);
	tcase_add_test(packets, a_full_socket_does_not_block);
	tcase_add_test(packets, descriptors_of_an_empty_packet_are_closed);
	return suite;
}
SUPPORT_MAIN(make_suite)
