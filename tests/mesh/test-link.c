/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/socket.h>

#include "support.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ---- two links, and what comes out of them ---- */

static struct mesh__link near, far;

struct seen {
	unsigned events;
	size_t size;
	uint8_t first, last;
	size_t fds;
	bool hold; /* keep the descriptors in `held` */
	int held[PAL_SOCKET_MAX_FDS];
	int answer;
};

static int see(void *userdata, struct mesh__incoming *event, int *fds, size_t fd_count)
{
	struct seen *seen = userdata;
	const uint8_t *body = mesh_message_data(event->body);
	size_t body_size = mesh_message_size(event->body), size = event->size;

	seen->events++;
	seen->size = size;
	seen->first = size ? event->data[0] : 0;
	if (!event->detached)
		seen->last = size ? event->data[size - 1] : 0;
	else
		seen->last = body_size ? body[body_size - 1] : 0;
	seen->fds = fd_count;
	for (size_t i = 0; i < fd_count; i++) {
		if (seen->hold)
			seen->held[i] = fds[i];
		else
			close(fds[i]);
	}
	mesh_message_free(event->body);
	return seen->answer;
}

static const struct mesh__link_reader reader = {.deliver = see};

static void make_links(void)
{
	int ends[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, ends), 0);
	mesh__link_init(&near, ends[0], (size_t)1 << 30, (size_t)1 << 30);
	mesh__link_init(&far, ends[1], (size_t)1 << 30, (size_t)1 << 30);
}

static void drop_links(void)
{
	mesh__link_deinit(&near);
	mesh__link_deinit(&far);
}

static void send_bytes(struct mesh__link *link, size_t size, uint8_t value, int *fds, size_t fd_count)
{
	uint8_t *packet = malloc(MESH__PACKET_HEADER_SIZE + size);

	ck_assert_ptr_nonnull(packet);
	memset(packet + MESH__PACKET_HEADER_SIZE, value, size);
	if (size >= MESH__EVENT_HEADER_SIZE) {
		struct mesh_id port;

		memset(&port, value, sizeof port);
		mesh__event_header_write(packet + MESH__PACKET_HEADER_SIZE, &port, MESH__EVENT_MESSAGE, MESH__FLAG_MESSAGE,
			1, 0, (uint32_t)(size - MESH__EVENT_HEADER_SIZE));
	}
	mesh__link_send(link, packet, size, fds, fd_count);
}

static int read_all(struct mesh__link *link, struct seen *seen)
{
	return mesh__link_receive(link, 1000, &reader, seen);
}

/* A packet as a hostile peer would write it. */
static void send_raw(const void *data, size_t size, const int *fds, size_t fd_count)
{
	ck_assert_int_eq(pal_socket_send(near.fd, data, size, fds, fd_count), (ssize_t)size);
}

/* Holes behind the first page. */
static int new_memfd(size_t size, int seals)
{
	static const uint8_t page[4096];
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	if (size >= sizeof page)
		ck_assert_int_eq(pwrite(fd, page, sizeof page, 0), sizeof page);
	if (seals)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static const uint8_t large_header[MESH__PACKET_HEADER_SIZE] = {MESH__PACKET_LARGE_EVENT};

/* ---- tests ---- */

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

/* A large event of which the header is written, and of the rest as much as `backed`. */
static int new_event_memfd(size_t records, size_t body, size_t backed)
{
	const struct mesh_id port = {.bytes = {1}};
	size_t size = (mesh__event_size(records, body) + 4095) / 4096 * 4096;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t header[MESH__EVENT_HEADER_SIZE];

	mesh__event_header_write(header, &port, MESH__EVENT_MESSAGE, MESH__FLAG_MESSAGE, 1, (uint32_t)records, (uint32_t)body);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(pwrite(fd, header, sizeof header, 0), sizeof header);
	if (backed)
		ck_assert_int_eq(fallocate(fd, 0, 0, (off_t)backed), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, ALL_SEALS), 0);
	return fd;
}

static void send_memfd(int fd)
{
	send_raw(large_header, sizeof large_header, &fd, 1);
	close(fd);
}

static int close_fds(void *userdata, struct mesh__incoming *event, int *fds, size_t fd_count)
{
	struct mesh__incoming *seen = userdata;

	for (size_t i = 0; i < fd_count; i++)
		close(fds[i]);
	*seen = *event;
	mesh_message_free(event->body);
	return 0;
}

static struct mesh__incoming receive_memfd(int fd, int expected)
{
	static const struct mesh__link_reader closer = {.deliver = close_fds};
	struct mesh__incoming seen = {0};

	make_links();
	far.max_message = 1 << 20;
	send_memfd(fd);
	ck_assert_int_eq(mesh__link_receive(&far, 1, &closer, &seen), expected);
	drop_links();
	return seen;
}

START_TEST(a_large_event_costs_what_its_sender_has_paid_for) /* S139 */
{
	struct mesh__incoming seen;

	receive_memfd(new_event_memfd(0, 100000, 102400), 0);
	receive_memfd(new_event_memfd(0, 100000, 50000), -EBADMSG); /* the rest would be zeroes for nothing */
	receive_memfd(new_event_memfd(0, 1 << 20, 0), -EBADMSG);
	receive_memfd(new_memfd((size_t)1 << 20, ALL_SEALS), 0); /* a small event, whatever the file's size */
	receive_memfd(new_event_memfd(MESH__MAX_RECORDS + 1, 0, (MESH__MAX_RECORDS + 2) * MESH__RECORD_SIZE), -EBADMSG);
	seen = receive_memfd(new_event_memfd(10, (1 << 20) + 1, (1 << 20) + 8192), 0);
	ck_assert_uint_eq(seen.size, mesh__event_size(10, (1 << 20) + 1)); /* for its port, which fails */
	ck_assert_ptr_null(seen.body);
}
END_TEST

START_TEST(one_call_reads_no_more_than_so_many_bytes)
{
	struct seen seen = {0};

	make_links();
	for (int i = 0; i < 3; i++)
		send_memfd(new_event_memfd(0, MESH__BYTES_PER_CALL, MESH__BYTES_PER_CALL + 4096));
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 1);
	for (int i = 0; i < 40; i++)
		send_bytes(&near, 20000, 1, NULL, 0);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 3);
	ck_assert_int_eq(read_all(&far, &seen), 0);
	ck_assert_uint_eq(seen.events, 43);
	drop_links();
}
END_TEST

struct steps {
	char text[16];
	size_t length;
};

static void step(struct steps *steps, char what)
{
	if (steps->length < sizeof steps->text - 1)
		steps->text[steps->length++] = what;
}

static int step_deliver(void *userdata, struct mesh__incoming *event, int *fds, size_t fd_count)
{
	(void)fds;
	(void)fd_count;
	step(userdata, 'd');
	mesh_message_free(event->body);
	return 0;
}

static void step_unlock(void *userdata)
{
	step(userdata, 'u');
}

static void step_lock(void *userdata)
{
	step(userdata, 'l');
}

/* While megabytes are copied other threads must be able to use the node. */
START_TEST(large_events_and_only_those_are_read_without_the_lock)
{
	static const struct mesh__link_reader stepping = {
		.deliver = step_deliver, .unlock = step_unlock, .lock = step_lock};
	struct steps steps = {0};

	make_links();
	send_bytes(&near, 100, 1, NULL, 0);
	send_bytes(&near, 100000, 1, NULL, 0);
	send_bytes(&near, 100, 1, NULL, 0);
	send_memfd(new_memfd(4096, 0)); /* without seals */
	ck_assert_int_eq(mesh__link_receive(&far, 10, &stepping, &steps), -EBADMSG);
	ck_assert_str_eq(steps.text, "duldd" "ul");
	drop_links();
}
END_TEST

START_TEST(whom_the_events_are_for_may_end_the_link)
{
	struct seen seen = {.answer = -ENOBUFS};

	make_links();
	send_bytes(&near, 100, 1, NULL, 0);
	send_bytes(&near, 100, 1, NULL, 0);
	ck_assert_int_eq(read_all(&far, &seen), -ENOBUFS);
	ck_assert_uint_eq(seen.events, 1);
	send_bytes(&near, 100000, 1, NULL, 0);
	ck_assert_int_eq(read_all(&far, &seen), -ENOBUFS);
	ck_assert_int_eq(read_all(&far, &seen), -ENOBUFS);
	ck_assert_uint_eq(seen.events, 3);
	drop_links();
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
	ck_assert_uint_eq(near.queued_bytes, 0);
	drop_links();
}
END_TEST

START_TEST(a_node_that_does_not_read_costs_no_more_than_the_bound) /* S153 */
{
	make_links();
	near.max_queued = 100000;
	for (unsigned i = 0; i < 5000; i++)
		send_bytes(&near, 1000, 1, NULL, 0);
	ck_assert(near.shut);
	ck_assert_uint_eq(near.queued_bytes, 0);
	ck_assert_int_eq(recv(near.fd, &(char){0}, 1, 0), 0); /* the owner of the link is told by end of file */
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
	Suite *suite = suite_create("mesh/link");
	TCase *order = support_tcase(suite, "order"), *hostile = support_tcase(suite, "hostile");

	tcase_add_test(order, events_of_every_size_around_the_border_of_a_packet_arrive);
	tcase_add_test(order, sixty_four_descriptors_go_through_and_arrive_close_on_exec);
	tcase_add_test(order, the_end_of_file_comes_after_what_was_sent);
	tcase_add_test(order, a_reset_loses_nothing_that_was_sent_before);
	tcase_add_test(order, what_the_socket_does_not_take_is_queued_and_nothing_overtakes);
	tcase_add_test(order, too_many_descriptors_in_flight_wait_and_go_on_later);
	tcase_add_test(hostile, a_descriptor_that_cannot_be_passed_does_not_cost_the_link);
	tcase_add_test(hostile, an_empty_packet_is_a_broken_peer_and_not_the_end_of_file);
	tcase_add_test(hostile, a_descriptor_with_an_empty_packet_is_closed);
	tcase_add_test(hostile, packets_that_break_the_rules_end_the_link);
	tcase_add_test(hostile, a_large_event_costs_what_its_sender_has_paid_for);
	tcase_add_test(hostile, one_call_reads_no_more_than_so_many_bytes);
	tcase_add_test(hostile, large_events_and_only_those_are_read_without_the_lock);
	tcase_add_test(hostile, whom_the_events_are_for_may_end_the_link);
	tcase_add_test(hostile, release_fds_packets_are_ignored);
	tcase_add_test(hostile, descriptors_that_find_no_place_are_closed_and_cost_the_event_only);
	tcase_add_test(hostile, a_node_that_does_not_read_costs_no_more_than_the_bound);
	return suite;
}
SUPPORT_MAIN(make_suite)
