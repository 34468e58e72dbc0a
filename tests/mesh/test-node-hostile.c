/* SPDX-License-Identifier: MIT */
/*
 * Nodes through the public headers, with peers that do what no sound program
 * does: send a link over itself, or never read.
 */
#include "nodes.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/socket.h>

#include "support.h"

#define PATIENCE_MS 30000

/* ---- S136: sockets inside themselves and one another ---- */

/*
 * A pipe of which only the read end stays here. Its other end travels with the
 * sockets: what holds it is in flight as long as the read end sees no hang-up.
 */
struct witness {
	int read_end, write_end;
};

static struct witness witness_make(void)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	return (struct witness){.read_end = ends[0], .write_end = ends[1]};
}

static void witness_expect_gone(struct witness *witness)
{
	struct pollfd poller = {.fd = witness->read_end};

	ck_assert_int_eq(poll(&poller, 1, PATIENCE_MS), 1);
	ck_assert(poller.revents & POLLHUP);
	close(witness->read_end);
}

/* Sends a copy of `fd` and the witness's other end, which stays nowhere else. */
static void send_copy(struct mesh_port *port, int fd, struct witness *witness)
{
	struct mesh_message *message = mesh_message_new("fd", 2);

	ck_assert_int_eq(mesh_message_dup_fd(message, fd), 0);
	ck_assert_int_eq(mesh_message_put_fd(message, witness->write_end), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
}

static bool is_socket(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* The sockets of this process, by number; a node's are found by what has come. */
static size_t list_sockets(int *ret, size_t room)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t count = 0;

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && is_socket(fd)) {
			ck_assert_uint_lt(count, room);
			ret[count++] = fd;
		}
	}
	closedir(folder);
	return count;
}

static bool is_one_of(int fd, const int *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == fd)
			return true;
	return false;
}

/* An invitation, and the number of the leader's own end of its link. */
struct guest {
	struct mesh_invitation invitation;
	struct mesh_port *port;
	int leader_fd;
};

static struct guest guest_invite(struct mesh_node *leader)
{
	struct guest guest = {.leader_fd = -1};
	struct mesh_port *passenger;
	struct pal_error error = {0};
	int before[64], after[64];
	size_t before_count = list_sockets(before, 64), after_count;

	ck_assert_int_eq(mesh_port_pair(&guest.port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &guest.invitation, &error), &error);
	after_count = list_sockets(after, 64);
	ck_assert_uint_eq(after_count, before_count + 2);
	for (size_t i = 0; i < after_count; i++)
		if (!is_one_of(after[i], before, before_count) && after[i] != guest.invitation.fd)
			guest.leader_fd = after[i];
	ck_assert_int_ge(guest.leader_fd, 0);
	return guest;
}

/* Joins; returns the number of the new node's end of the link. */
static int guest_join(struct guest *guest, const struct mesh_node_options *options,
        struct mesh_node **ret_node, struct mesh_port **ret_port)
{
	struct pal_error error = {0};
	int fd = guest->invitation.fd;

	ck_assert_ok(mesh_node_join(&guest->invitation, options, NODES_PATIENCE, ret_node, ret_port,
	                     &error),
	        &error);
	ck_assert(is_socket(fd));
	return fd;
}

static struct mesh_node *new_leader(void)
{
	struct mesh_node *leader;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	return leader;
}

/* Both ends of a link travel over it, both ways; then this side or that one goes first. */
START_TEST(a_link_sent_over_itself_can_be_closed)
{
	struct mesh_node *leader = new_leader(), *host;
	struct guest guest = guest_invite(leader);
	struct witness down[2], up[2];
	struct mesh_port *at_host;
	int host_fd = guest_join(&guest, NULL, &host, &at_host);

	for (int i = 0; i < 2; i++) {
		down[i] = witness_make();
		up[i] = witness_make();
		send_copy(guest.port, i ? guest.leader_fd : host_fd, &down[i]);
		send_copy(at_host, i ? guest.leader_fd : host_fd, &up[i]);
	}
	nodes_send_text(guest.port, "behind it");
	for (int i = 0; i < 2; i++)
		mesh_message_free(nodes_recv(at_host)); /* those that went up stay unread */
	nodes_expect_text(at_host, "behind it");
	for (int i = 0; i < 2; i++)
		witness_expect_gone(&down[i]);
	mesh_node_free(_i ? host : leader);
	if (_i) {
		mesh_message_free(nodes_recv(guest.port));
		mesh_message_free(nodes_recv(guest.port));
		nodes_expect_end(guest.port, -ECONNRESET);
	} else {
		nodes_expect_end(at_host, -ECONNRESET);
	}
	mesh_node_free(_i ? leader : host);
	mesh_port_free(guest.port);
	mesh_port_free(at_host);
	for (int i = 0; i < 2; i++)
		witness_expect_gone(&up[i]);
}
END_TEST

/* The copy lies in a socket that nobody reads, so only a shutdown tells the far end; a close would not. */
START_TEST(a_copy_in_flight_does_not_hide_that_a_node_has_gone)
{
	struct mesh_node *leader = new_leader(), *host;
	struct guest guest = guest_invite(leader), shelf = guest_invite(leader);
	struct witness witness = witness_make();
	struct mesh_port *at_host;
	int host_fd = guest_join(&guest, NULL, &host, &at_host);

	send_copy(shelf.port, _i ? host_fd : guest.leader_fd, &witness);
	mesh_node_free(_i ? host : leader);
	nodes_expect_end(_i ? guest.port : at_host, -ECONNRESET);
	mesh_node_free(_i ? leader : host);
	mesh_invitation_clear(&shelf.invitation);
	witness_expect_gone(&witness);
	mesh_port_free(shelf.port);
	mesh_port_free(guest.port);
	mesh_port_free(at_host);
}
END_TEST

/* The socket is in its own queue and nowhere else: the kernel finds that out when the leader's end is closed. */
START_TEST(an_invitation_sent_to_its_own_guest_is_collected)
{
	struct mesh_node *leader = new_leader();
	struct guest guest = guest_invite(leader);
	struct witness witness = witness_make();

	send_copy(guest.port, guest.invitation.fd, &witness);
	mesh_invitation_clear(&guest.invitation);
	mesh_node_free(leader);
	nodes_expect_end(guest.port, -ECONNRESET);
	mesh_port_free(guest.port);
	witness_expect_gone(&witness);
}
END_TEST

START_TEST(a_guest_may_find_its_own_link_in_it)
{
	struct mesh_node *leader = new_leader(), *host;
	struct guest guest = guest_invite(leader);
	struct witness witness = witness_make();
	struct mesh_message *message;
	struct mesh_port *at_host;
	int copy;

	send_copy(guest.port, guest.invitation.fd, &witness);
	guest_join(&guest, NULL, &host, &at_host);
	message = nodes_recv(at_host);
	copy = mesh_message_take_fd(message, 0);
	ck_assert(is_socket(copy));
	mesh_message_free(message);
	witness_expect_gone(&witness);
	nodes_send_text(at_host, "it works all the same");
	nodes_expect_text(guest.port, "it works all the same");
	mesh_node_free(host);
	nodes_expect_end(guest.port, -ECONNRESET); /* although its copy is still open */
	close(copy);
	mesh_node_free(leader);
	mesh_port_free(at_host);
	mesh_port_free(guest.port);
}
END_TEST

/* A ring: every link's both ends lie in the queue of the next one, and none is held by anything else in the end. */
START_TEST(a_ring_of_links_in_flight_is_collected)
{
	struct mesh_node *leader = new_leader();
	struct guest guests[4];
	struct witness witnesses[4][2];
	const int count = _i;

	for (int i = 0; i < count; i++)
		guests[i] = guest_invite(leader);
	for (int i = 0; i < count; i++) {
		struct guest *next = &guests[(i + 1) % count];

		for (int end = 0; end < 2; end++) {
			witnesses[i][end] = witness_make();
			send_copy(guests[i].port, end ? next->leader_fd : next->invitation.fd,
			        &witnesses[i][end]);
		}
	}
	for (int i = 0; i < count; i++)
		mesh_invitation_clear(&guests[i].invitation);
	mesh_node_free(leader);
	for (int i = 0; i < count; i++) {
		nodes_expect_end(guests[i].port, -ECONNRESET);
		mesh_port_free(guests[i].port);
	}
	for (int i = 0; i < count; i++)
		for (int end = 0; end < 2; end++)
			witness_expect_gone(&witnesses[i][end]);
}
END_TEST

/* A guest without a node, which sends its own end in packets of any kind, then nonsense. */
START_TEST(a_guest_that_sends_its_own_end_and_then_nonsense_is_alone_hurt)
{
	struct mesh_node *leader = new_leader(), *host;
	struct guest wild = guest_invite(leader), sound = guest_invite(leader);
	struct witness witness = witness_make();
	struct mesh_port *at_host;
	uint8_t packet[64] = {1}; /* an event for a port that does not exist */
	int fds[PAL_SOCKET_MAX_FDS], fd = wild.invitation.fd;

	guest_join(&sound, NULL, &host, &at_host);
	for (int i = 0; i < PAL_SOCKET_MAX_FDS; i++)
		fds[i] = i % 2 ? fd : witness.write_end;
	ck_assert_int_eq(
	        pal_socket_send(fd, packet, sizeof packet, fds, PAL_SOCKET_MAX_FDS), sizeof packet);
	packet[0] = 2; /* to be ignored, with its descriptors */
	ck_assert_int_eq(
	        pal_socket_send(fd, packet, sizeof packet, fds, PAL_SOCKET_MAX_FDS), sizeof packet);
	packet[0] = 77; /* no such type */
	ck_assert_int_eq(
	        pal_socket_send(fd, packet, sizeof packet, fds, PAL_SOCKET_MAX_FDS), sizeof packet);
	close(witness.write_end);
	nodes_expect_end(wild.port, -ECONNRESET);
	witness_expect_gone(&witness);
	nodes_send_text(sound.port, "and you?");
	nodes_expect_text(at_host, "and you?");
	mesh_invitation_clear(&wild.invitation);
	mesh_port_free(wild.port);
	mesh_port_free(sound.port);
	mesh_port_free(at_host);
	mesh_node_free(host);
	mesh_node_free(leader);
}
END_TEST

/* ---- S153: one peer does not read ---- */

static void round_trip(struct mesh_port *here, struct mesh_port *there)
{
	nodes_send_text(here, "and back");
	nodes_expect_text(there, "and back");
	nodes_send_text(there, "again");
	nodes_expect_text(here, "again");
}

START_TEST(a_peer_that_never_reads_costs_no_more_than_the_bound_and_delays_nobody)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_queued = 1 << 20},
	                         idle = {MESH_NODE_OPTIONS_INIT, .base = event_base_new()};
	struct mesh_node *leader, *host, *slow_host;
	unsigned sent = 0;
	struct guest slow, busy;
	struct mesh_port *at_host, *at_slow;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(&options, &leader, &error), &error);
	slow = guest_invite(leader);
	busy = guest_invite(leader);
	guest_join(&busy, NULL, &host, &at_host);
	guest_join(&slow, &idle, &slow_host,
	        &at_slow); /* its base never runs: it has joined, and reads no more */
	round_trip(slow.port, at_slow);
	for (int i = 0; i < 25000; i++) {
		int result = mesh_port_send(slow.port, mesh_message_new_sized(1024));

		ck_assert(result == 0 || result == -EAGAIN);
		sent += !result;
		if (i % 100 == 0)
			round_trip(busy.port, at_host);
	}
	ck_assert_uint_le(sent, 1024); /* half of the bound, and what the socket has taken */
	for (unsigned i = 0; i < sent; i++)
		mesh_message_free(nodes_recv(at_slow));
	round_trip(slow.port, at_slow);
	mesh_port_free(slow.port);
	mesh_port_free(busy.port);
	mesh_port_free(at_host);
	mesh_port_free(at_slow);
	mesh_node_free(host);
	mesh_node_free(slow_host);
	mesh_node_free(leader);
	event_base_free(idle.base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-hostile");
	TCase *cycles = support_tcase(suite, "cycles"), *slow = support_tcase(suite, "slow");

	tcase_set_timeout(cycles, 60);
	tcase_set_timeout(slow, 60);
	tcase_add_loop_test(cycles, a_link_sent_over_itself_can_be_closed, 0, 2);
	tcase_add_loop_test(cycles, a_copy_in_flight_does_not_hide_that_a_node_has_gone, 0, 2);
	tcase_add_test(cycles, an_invitation_sent_to_its_own_guest_is_collected);
	tcase_add_test(cycles, a_guest_may_find_its_own_link_in_it);
	tcase_add_loop_test(cycles, a_ring_of_links_in_flight_is_collected, 1, 5);
	tcase_add_test(cycles, a_guest_that_sends_its_own_end_and_then_nonsense_is_alone_hurt);
	tcase_add_test(slow, a_peer_that_never_reads_costs_no_more_than_the_bound_and_delays_nobody);
	return suite;
}
SUPPORT_MAIN(make_suite)
