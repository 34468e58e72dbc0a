/* SPDX-License-Identifier: MIT */
/* Descriptors: how many a message may carry, that all arrive, and that none stays. */
#include "link-pair.h"
#include "nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <mesh/node-priv.h>

#include "support.h"

static struct mesh_message *with_fds(size_t size, unsigned fds)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	while (fds--)
		ck_assert_int_eq(mesh_message_dup_fd(message, STDIN_FILENO), 0);
	return message;
}

static void take_fds(struct mesh_message *message, unsigned fds)
{
	ck_assert_uint_eq(mesh_message_resource_count(message), fds);
	for (unsigned i = 0; i < fds; i++) {
		int fd = mesh_message_take_fd(message, i);

		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
	mesh_message_free(message);
}

/* A large message has a descriptor more on its way, that of its bytes. */
START_TEST(more_descriptors_than_a_packet_takes_are_refused_at_the_call) /* S134 */
{
	enum { SMALL = 100, LARGE = 20000 };
	static const struct {
		size_t size;
		unsigned fds;
		int result;
	} cases[] = {
		{SMALL, 63, 0},
		{SMALL, 64, 0},
		{SMALL, 65, -EMSGSIZE},
		{SMALL, 253, -EMSGSIZE},
		{SMALL, 254, -EMSGSIZE},
		{LARGE, 62, 0},
		{LARGE, 63, 0},
		{LARGE, 64, -EMSGSIZE},
		{LARGE, 253, -EMSGSIZE},
	};
	struct node_pair pair;

	nodes_make(&pair);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t size = cases[i].size;
		unsigned fds = cases[i].fds;

		ck_assert_int_eq(mesh_port_send(pair.at_leader, with_fds(size, fds)), cases[i].result);
		ck_assert_int_eq(mesh_port_try_send(pair.at_leader, with_fds(size, fds)), cases[i].result);
		for (int n = 0; n < 2 && !cases[i].result; n++)
			take_fds(nodes_recv(pair.at_host), fds);
		nodes_send_text(pair.at_leader, "go on");
		nodes_expect_text(pair.at_host, "go on");
	}
	nodes_free(&pair);
}
END_TEST

START_TEST(two_thousand_descriptors_arrive_and_none_stays) /* S161, S162 */
{
	enum { ROUNDS = 50, MESSAGES = 10 };
	struct node_pair pair;
	size_t before;

	nodes_make(&pair);
	nodes_send_text(pair.at_leader, "begin");
	nodes_expect_text(pair.at_host, "begin");
	before = support_open_fds();
	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MESSAGES; i++)
			ck_assert_int_eq(mesh_port_send(pair.at_leader, with_fds(i % 3 == 2 ? 20000 : 50, i % 9)), 0);
		for (unsigned i = 0; i < MESSAGES; i++)
			take_fds(nodes_recv(pair.at_host), i % 9);
	}
	ck_assert_uint_eq(support_open_fds(), before);
	nodes_free(&pair);
}
END_TEST

/* All of them are read by one system call; what comes behind the packet that ends the link is nobody's. */
START_TEST(descriptors_behind_the_packet_that_ends_a_link_are_closed) /* S139 */
{
	static const uint8_t bad_type[MESH__PACKET_HEADER_SIZE] = {9};
	struct seen seen = {0};
	int result;

	make_links();
	far.batch = MESH__BATCH_MAX;
	send_bytes(&near, 100, 1, NULL, 0);
	send_raw(bad_type, sizeof bad_type, (const int[]){STDIN_FILENO, STDIN_FILENO}, 2);
	for (int i = 0; i < 5; i++) {
		int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

		send_bytes(&near, 100, 1, &fd, 1);
	}
	result = read_all(&far, &seen);
	ck_assert_int_eq(result, -EBADMSG);
	ck_assert_uint_eq(seen.events, 1);
	drop_links();
}
END_TEST

START_TEST(packets_with_descriptors_are_read_one_by_one)
{
	struct seen seen = {0};

	make_links();
	for (int i = 0; i < 20; i++)
		send_bytes(&near, 100, 1, NULL, 0);
	ck_assert_int_eq(mesh__link_receive(&far, 1, &reader, &seen), 0);
	ck_assert_uint_gt(far.batch, 1);
	ck_assert_int_eq(mesh__link_receive(&far, 19, &reader, &seen), 0);
	ck_assert_uint_eq(seen.events, 20);
	ck_assert_uint_eq(far.batch, MESH__BATCH_MAX);
	for (int i = 0; i < 2; i++) {
		int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

		send_bytes(&near, 100, 1, &fd, 1);
		ck_assert_int_eq(mesh__link_receive(&far, 1, &reader, &seen), 0);
		ck_assert_uint_eq(far.batch, 1);
	}
	ck_assert_uint_eq(seen.events, 22);
	drop_links();
}
END_TEST

static unsigned batch_of_new_node(void)
{
	struct mesh_node *node;
	unsigned most;

	ck_assert_int_eq(mesh_node_new(NULL, &node, NULL), 0);
	most = node->inbox->most;
	mesh_node_free(node);
	return most;
}

/* A batch of packets, each with all the descriptors it can have, must not fill the table for the rest of the process. */
START_TEST(a_batch_has_no_more_descriptors_than_a_part_of_the_table)
{
	struct rlimit before, limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t descriptors = 64; descriptors <= before.rlim_max && descriptors <= 65536; descriptors *= 2) {
		unsigned most;

		limit = (struct rlimit){.rlim_cur = descriptors, .rlim_max = before.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		most = batch_of_new_node();
		ck_assert_uint_ge(most, 1);
		ck_assert(most == 1 || most * (rlim_t)MESH_MESSAGE_MAX_FDS <= descriptors / 4);
		ck_assert(descriptors < 4096 || most == MESH__BATCH_MAX);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

static unsigned count_stuck(struct mesh_node *node)
{
	struct mesh__peer *peer;
	unsigned count = 0;

	mesh__space_lock(&node->space);
	TAILQ_FOREACH(peer, &node->stuck_peers, in_stuck)
		count++;
	mesh__space_unlock(&node->space);
	return count;
}

/* Afterwards what is sent goes to the link at once: the port that was invited with is at home. */
static void settle(struct mesh_port *here, struct mesh_port *there)
{
	nodes_send_text(there, "here");
	nodes_expect_text(here, "here");
	nodes_send_text(here, "there");
	nodes_expect_text(there, "there");
}

static void send_large(struct mesh_port *port)
{
	ck_assert_int_eq(mesh_port_send(port, mesh_message_new_sized(20000)), 0);
}

static void expect_large(struct mesh_port *port)
{
	struct mesh_message *message = nodes_recv(port);

	ck_assert_uint_eq(mesh_message_size(message), 20000);
	mesh_message_free(message);
}

/* S131. A large message needs a descriptor; nothing tells when there is one again. */
START_TEST(links_without_a_descriptor_to_send_with_are_tried_again_and_only_those)
{
	struct rlimit before, limit;
	struct mesh_node *other;
	struct mesh_port *port, *at_other;
	struct node_pair pair;

	nodes_make(&pair);
	nodes_invite(pair.leader, &other, &port, &at_other);
	settle(pair.at_leader, pair.at_host);
	settle(port, at_other);
	ck_assert_uint_eq(count_stuck(pair.leader), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){.rlim_cur = STDERR_FILENO + 1, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	send_large(pair.at_leader);
	ck_assert_uint_eq(count_stuck(pair.leader), 1);
	send_large(port);
	ck_assert_uint_eq(count_stuck(pair.leader), 2);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	expect_large(pair.at_host);
	expect_large(at_other);
	SUPPORT_LOOK_UNTIL(count_stuck(pair.leader) == 0);
	/* And one that is lost meanwhile. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	send_large(port);
	ck_assert_uint_eq(count_stuck(pair.leader), 1);
	mesh_node_free(other);
	SUPPORT_LOOK_UNTIL(count_stuck(pair.leader) == 0);
	nodes_expect_end(port, -ECONNRESET);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	mesh_port_free(port);
	mesh_port_free(at_other);
	nodes_free(&pair);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-fds");
	TCase *nodes = support_tcase(suite, "nodes"), *links = support_tcase(suite, "links");

	tcase_set_timeout(nodes, 60);
	tcase_add_test(nodes, more_descriptors_than_a_packet_takes_are_refused_at_the_call);
	tcase_add_test(nodes, two_thousand_descriptors_arrive_and_none_stays);
	tcase_add_test(links, descriptors_behind_the_packet_that_ends_a_link_are_closed);
	tcase_add_test(links, packets_with_descriptors_are_read_one_by_one);
	tcase_add_test(nodes, links_without_a_descriptor_to_send_with_are_tried_again_and_only_those);
	tcase_add_test(nodes, a_batch_has_no_more_descriptors_than_a_part_of_the_table);
	return suite;
}
SUPPORT_MAIN(make_suite)
