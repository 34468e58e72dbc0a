/* SPDX-License-Identifier: MIT */
/* Events too large for a packet, which come in a memfd. */
#include "link-pair.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

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

static bool wants_nothing(void *userdata, const struct mesh__incoming *event)
{
	(void)userdata;
	ck_assert(event->detached);
	ck_assert_ptr_null(event->body);
	return false;
}

/* A memfd costs its sender once, and may be sent again and again. */
START_TEST(a_body_that_nobody_wants_is_not_read)
{
	static const struct mesh__link_reader picky = {.deliver = close_fds, .wants = wants_nothing};
	struct mesh__incoming seen = {0};

	make_links();
	for (int i = 0; i < 3; i++) {
		send_memfd(new_event_memfd(2, 100000, 102400));
		ck_assert_int_eq(mesh__link_receive(&far, 1, &picky, &seen), 0);
		ck_assert_uint_eq(seen.size, mesh__event_size(2, 100000));
		ck_assert_ptr_null(seen.body);
	}
	ck_assert_uint_eq(far.bodies_read, 0);
	drop_links();
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

/* While megabytes are copied other threads must be able to use the node. First the head, then the body, if it is wanted. */
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
	ck_assert_str_eq(steps.text, "d" "ululd" "d" "ul");
	drop_links();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/link-large");
	TCase *large = support_tcase(suite, "large");

	tcase_add_test(large, a_large_event_costs_what_its_sender_has_paid_for);
	tcase_add_test(large, a_body_that_nobody_wants_is_not_read);
	tcase_add_test(large, one_call_reads_no_more_than_so_many_bytes);
	tcase_add_test(large, large_events_and_only_those_are_read_without_the_lock);
	return suite;
}
SUPPORT_MAIN(make_suite)
