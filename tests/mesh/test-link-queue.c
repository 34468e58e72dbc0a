/* SPDX-License-Identifier: MIT */
/* What waits because the socket does not take it, and how much may. */
#include "link-pair.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

START_TEST(descriptors_that_find_no_place_are_closed_and_cost_the_event_only) /* S129 */
{
	struct rlimit before, low;
	struct seen seen = {0};
	int fds[8], probe;

	make_links();
	for (size_t i = 0; i < 8; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	send_bytes(&near, 40, 1, fds, 8);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	probe = dup(0);
	close(probe);
	low = before;
	low.rlim_cur = (rlim_t)probe; /* none is free */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 1);
	ck_assert_uint_eq(seen.fds, 0); /* not two of eight */
	send_bytes(&near, 20000, 1, NULL, 0); /* with EMFILE here: kept, and sent when there is a descriptor for it */
	ck_assert(near.stuck && !near.shut);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	mesh__link_flush(&near);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 2);
	drop_links();
}
END_TEST

START_TEST(what_the_socket_does_not_take_is_queued_and_nothing_overtakes)
{
	unsigned sent = 0, received = 0;

	make_links();
	while (STAILQ_EMPTY(&near.queue) || sent < 2000)
		send_bytes(&near, 40 + sent % 7, (uint8_t)sent, NULL, 0), sent++;
	ck_assert(mesh__link_wants_write(&near));
	while (received < sent) {
		struct seen seen = {0};

		ck_assert_int_eq(mesh__link_receive(&far, 1, &reader, &seen), 0);
		if (seen.events) {
			ck_assert_uint_eq(seen.first, (uint8_t)received);
			received++;
		}
		mesh__link_flush(&near);
	}
	ck_assert(!mesh__link_wants_write(&near));
	ck_assert_uint_eq(near.queued.bytes, 0);
	drop_links();
}
END_TEST

START_TEST(a_node_that_does_not_read_costs_no_more_than_the_bound) /* S153 */
{
	make_links();
	near.max_queued.all.bytes = 100000;
	for (unsigned i = 0; i < 5000; i++)
		send_bytes(&near, 1000, 1, NULL, 0);
	ck_assert(near.shut);
	ck_assert_uint_eq(near.queued.bytes, 0);
	ck_assert_int_eq(recv(near.fd, &(char){0}, 1, 0), 0); /* the owner of the link is told by end of file */
	drop_links();
}
END_TEST

static void fill_socket(struct mesh__link *link)
{
	while (STAILQ_EMPTY(&link->queue))
		send_bytes(link, 10000, 1, NULL, 0);
}

/* Otherwise it would go on by time only, though the socket tells when it takes more. */
START_TEST(a_shortage_is_over_when_several_packets_have_gone)
{
	struct seen seen = {0};

	make_links();
	fill_socket(&near);
	for (int i = 0; i < 100; i++)
		send_bytes(&near, 10000, 1, NULL, 0);
	near.stuck = true; /* as a shortage left it that nothing in the system shows any more */
	ck_assert_int_eq(mesh__link_receive(&far, 4, &reader, &seen), 0);
	ck_assert_uint_gt(seen.events, 1);
	mesh__link_flush(&near);
	ck_assert_uint_gt(near.queued.packets, 0);
	ck_assert(mesh__link_wants_write(&near));
	drop_links();
}
END_TEST

static void send_with_fd(struct mesh__link *link)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	send_bytes(link, 100, 1, &fd, 1);
}

START_TEST(descriptors_that_wait_for_a_node_that_does_not_read_are_limited)
{
	make_links();
	near.max_queued.all.fds = 10;
	fill_socket(&near);
	for (unsigned i = 1; i <= 10; i++) {
		send_with_fd(&near);
		ck_assert_uint_eq(near.queued.fds, i);
	}
	ck_assert(!near.shut);
	send_with_fd(&near);
	ck_assert(near.shut);
	ck_assert_uint_eq(near.queued.fds, 0);
	drop_links();
}
END_TEST

/* The nodes at the other ends are one party. */
START_TEST(links_may_share_what_may_wait)
{
	struct mesh__queued shared = {0};
	struct mesh__link *links[] = {&near, &far};

	make_links();
	for (int i = 0; i < 2; i++) {
		links[i]->max_queued.all.fds = 10;
		links[i]->shared = &shared;
		fill_socket(links[i]);
		for (int n = 0; n < 5; n++)
			send_with_fd(links[i]);
	}
	ck_assert_uint_eq(shared.fds, 10);
	ck_assert_uint_eq(shared.bytes, near.queued.bytes + far.queued.bytes);
	send_with_fd(&near);
	ck_assert(near.shut && !far.shut);
	ck_assert_uint_eq(shared.fds, 5);
	send_with_fd(&far);
	ck_assert(!far.shut);
	drop_links();
	ck_assert_uint_eq(shared.fds + shared.bytes, 0);
}
END_TEST

/* A packet of an acknowledgement is no bigger than what it is kept in. */
START_TEST(small_events_are_counted_with_what_they_cost)
{
	make_links();
	fill_socket(&near);
	near.max_queued.all.bytes = near.queued.bytes + 100 * (size_t)MESH__EVENT_HEADER_SIZE;
	for (unsigned i = 0; i < 60; i++)
		send_bytes(&near, MESH__EVENT_HEADER_SIZE, 1, NULL, 0);
	ck_assert(near.shut);
	drop_links();
}
END_TEST

/* As nobody, who may not have more descriptors in flight than RLIMIT_NOFILE. */
static void flood_as_nobody(void)
{
	const struct rlimit limit = {64, 64};
	unsigned received = 0;

	make_links();
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(2);
	for (unsigned i = 0; i < 100; i++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			break; /* the queue holds them: this process's own limit comes first */
		send_bytes(&near, 40, (uint8_t)i, &fd, 1);
	}
	if (near.shut || STAILQ_EMPTY(&near.queue))
		_exit(3);
	for (unsigned rounds = 0; rounds < 10000 && !(STAILQ_EMPTY(&near.queue)); rounds++) {
		struct seen seen = {0};

		if (mesh__link_receive(&far, 1, &reader, &seen) < 0)
			_exit(4);
		received += seen.events;
		mesh__link_flush(&near);
	}
	_exit(STAILQ_EMPTY(&near.queue) && !near.shut && received > 0 ? 0 : 5);
}

START_TEST(too_many_descriptors_in_flight_wait_and_go_on_later) /* S131 */
{
	pid_t child;
	int status;

	if (geteuid() != 0)
		support_skip("needs root to become nobody");
	child = fork();
	if (!child)
		flood_as_nobody();
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/link-queue");
	TCase *queue = support_tcase(suite, "queue");

	tcase_add_test(queue, descriptors_that_find_no_place_are_closed_and_cost_the_event_only);
	tcase_add_test(queue, what_the_socket_does_not_take_is_queued_and_nothing_overtakes);
	tcase_add_test(queue, a_node_that_does_not_read_costs_no_more_than_the_bound);
	tcase_add_test(queue, a_shortage_is_over_when_several_packets_have_gone);
	tcase_add_test(queue, descriptors_that_wait_for_a_node_that_does_not_read_are_limited);
	tcase_add_test(queue, links_may_share_what_may_wait);
	tcase_add_test(queue, small_events_are_counted_with_what_they_cost);
	tcase_add_test(queue, too_many_descriptors_in_flight_wait_and_go_on_later);
	return suite;
}
SUPPORT_MAIN(make_suite)
