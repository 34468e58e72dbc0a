/* SPDX-License-Identifier: MIT */
#include <mesh/control-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mesh/encoding.h>
#include <mesh/event-priv.h>
#include <mesh/message-priv.h>
#include <pal/util-priv.h>

#include "support.h"
#include "vectors.h"

/* The ids of the vectors count up from their first byte. */
static struct mesh_id id_from(uint8_t first)
{
	struct mesh_id id;

	for (size_t i = 0; i < sizeof id.bytes; i++)
		id.bytes[i] = (uint8_t)(first + i);
	return id;
}

static void check_id(const struct mesh_id *id, uint8_t first)
{
	struct mesh_id expected = id_from(first);

	ck_assert_mem_eq(id, &expected, sizeof expected);
}

static int some_link(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	return pair[0];
}

/* An invitation message whose descriptor is `fd`. */
static struct mesh_message *invitation_message(int fd)
{
	const struct vector *vector = vector_find("chan(Invitation)");
	struct mesh_message *message = mesh_message_new(vector->bytes, vector->size);

	ck_assert_int_eq(mesh_message_put_fd(message, fd), 0);
	return message;
}

/* `call` writes its error to &why. */
#define check_refused(call, code_, text_)                                                          \
	do {                                                                                       \
		struct pal_error why = {0};                                                        \
		ck_assert_int_eq(call, code_);                                                     \
		ck_assert_int_eq(why.code, code_);                                                 \
		ck_assert_msg(                                                                     \
		        strstr(why.text, text_), "\"%s\" does not say \"%s\"", why.text, text_);   \
	} while (0)

/* ---- the vectors, written and read ---- */

START_TEST(the_first_message_of_the_leader)
{
	const struct vector *vector = vector_find("oneshot(InitialMessage)");
	struct mesh__initial initial = {9, 9, 9};
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(
	        mesh__control_write_initial(some_port(), some_port(), some_port(), &message), 0);
	check_is_vector(message, vector);
	ck_assert_ok(mesh__control_read_initial(message, &initial, &error), &error);
	ck_assert_uint_eq(initial.requests, 0);
	ck_assert_uint_eq(initial.orders, 1);
	ck_assert_uint_eq(initial.user, 2);
	mesh_message_free(message);
}
END_TEST

START_TEST(a_request_to_be_introduced)
{
	struct mesh_id node = id_from(0x10);
	struct mesh__request request;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh__control_write_connect_request(&node, &message), 0);
	check_is_vector(message, vector_find("chan(LeaderRequest::Connect)"));
	ck_assert_ok(mesh__control_read_request(message, &request, &error), &error);
	ck_assert_int_eq(request.kind, MESH__REQUEST_CONNECT);
	check_id(&request.node, 0x10);
	mesh_message_free(message);
}
END_TEST

START_TEST(a_request_to_invite)
{
	struct mesh__request request;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh__control_write_invite_request(some_port(), some_port(), &message), 0);
	check_is_vector(message, vector_find("chan(LeaderRequest::Invite)"));
	ck_assert_ok(mesh__control_read_request(message, &request, &error), &error);
	ck_assert_int_eq(request.kind, MESH__REQUEST_INVITE);
	ck_assert_uint_eq(request.user, 0);
	ck_assert_uint_eq(request.reply, 1);
	mesh_message_free(message);
}
END_TEST

START_TEST(an_order_with_a_link)
{
	struct mesh_id node = id_from(0x10);
	struct mesh__order order;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh__control_write_connect_order(&node, some_link(), &message), 0);
	check_is_vector(message, vector_find("chan(FollowerRequest::Connect Some)"));
	ck_assert_ok(mesh__control_read_order(message, &order, &error), &error);
	ck_assert_int_eq(order.kind, MESH__ORDER_CONNECT);
	check_id(&order.node, 0x10);
	ck_assert(order.has_fd);
	ck_assert_uint_eq(order.fd, 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(an_order_without_a_link)
{
	struct mesh_id node = id_from(0x10);
	struct mesh__order order;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh__control_write_connect_order(&node, -1, &message), 0);
	check_is_vector(message, vector_find("chan(FollowerRequest::Connect None)"));
	ck_assert_ok(mesh__control_read_order(message, &order, &error), &error);
	ck_assert_int_eq(order.kind, MESH__ORDER_CONNECT);
	check_id(&order.node, 0x10);
	ck_assert(!order.has_fd);
	mesh_message_free(message);
}
END_TEST

START_TEST(an_invitation_in_a_message)
{
	struct mesh_invitation invitation = {
	        id_from(0x10), id_from(0x30), id_from(0x50), id_from(0x70), some_link()};
	struct mesh_invitation got = MESH_INVITATION_INIT;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh__control_write_invitation(&invitation, &message), 0);
	ck_assert_int_eq(invitation.fd, -1);
	check_is_vector(message, vector_find("chan(Invitation)"));
	ck_assert_ok(mesh__control_read_invitation(message, &got, &error), &error);
	mesh_message_free(message);
	check_id(&got.local_node, 0x10);
	check_id(&got.local_port, 0x30);
	check_id(&got.remote_node, 0x50);
	check_id(&got.remote_port, 0x70);
	ck_assert_int_eq(fcntl(got.fd, F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(got.fd, F_GETFL) & O_NONBLOCK);
	mesh_invitation_clear(&got);
}
END_TEST

START_TEST(a_channel_may_grow_by_a_port)
{
	const struct vector *vector = vector_find("ChannelPayload::Port");
	struct mesh_message *message = vector_message(vector);
	struct mesh_invitation invitation;
	struct mesh__request request;
	struct mesh__order order;
	struct pal_error error;

	ck_assert_ok(mesh__control_read_request(message, &request, &error), &error);
	ck_assert_int_eq(request.kind, MESH__REQUEST_MORE_PORTS);
	ck_assert_uint_eq(request.port, 0);
	ck_assert_ok(mesh__control_read_order(message, &order, &error), &error);
	ck_assert_int_eq(order.kind, MESH__ORDER_MORE_PORTS);
	ck_assert_uint_eq(order.port, 0);
	check_refused(mesh__control_read_invitation(message, &invitation, &why), -EBADMSG,
	        "something else");
	mesh_message_free(message);
}
END_TEST

/* ---- what must be refused, and what it says ---- */

static int read_initial(struct mesh_message *message, struct pal_error *error)
{
	struct mesh__initial ignored;
	return mesh__control_read_initial(message, &ignored, error);
}

static int read_request(struct mesh_message *message, struct pal_error *error)
{
	struct mesh__request ignored;
	return mesh__control_read_request(message, &ignored, error);
}

static int read_order(struct mesh_message *message, struct pal_error *error)
{
	struct mesh__order ignored;
	return mesh__control_read_order(message, &ignored, error);
}

static int read_invitation(struct mesh_message *message, struct pal_error *error)
{
	struct mesh_invitation ignored = MESH_INVITATION_INIT;
	int r = mesh__control_read_invitation(message, &ignored, error);
	mesh_invitation_clear(&ignored);
	return r;
}

static const struct refusal {
	const char *what;
	int (*read)(struct mesh_message *message, struct pal_error *error);
	const char *bytes;
	size_t size;
	const char *resources, *text;
} refusals[] = {
#define BYTES(text) text, sizeof text - 1
#define ID_10 "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
#define ID_0 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        {"empty", read_initial, BYTES(""), "", "missing required field"},
        {"two ports", read_initial, BYTES("\x0e\x02\x02\x0f\x17"), "pp", "missing required field"},
        {"a descriptor for a port", read_initial, BYTES("\x0e\x03\x03\x0f\x17\x1f"), "pfp",
                "not a port"},
        {"fewer ports than announced", read_initial, BYTES("\x0e\x03\x03\x0f\x17\x1f"), "pp",
                "more resources"},
        {"a port by a made-up index", read_initial, BYTES("\x0e\x02\x06\x0f\x17\x1a\x02\x08\x01"),
                "pp", "must be a resource is none"},
        {"empty", read_request, BYTES(""), "", "neither a value nor a port"},
        {"neither variant", read_request, BYTES("\x0a\x00"), "", "neither Connect nor Invite"},
        {"unknown variant", read_request, BYTES("\x0a\x02\x1a\x00"), "",
                "neither Connect nor Invite"},
        {"no node", read_request, BYTES("\x0a\x02\x0a\x00"), "", "missing required field"},
        {"short id", read_request, BYTES("\x0a\x09\x0a\x07\x0a\x05\x0a\x03\x0a\x01\x10"), "",
                "incorrect fixed length"},
        {"an id with resources", read_request,
                BYTES("\x0a\x19\x0a\x17\x0a\x15\x0a\x13\x0e\x00\x10" ID_10), "", "is no message"},
        {"zero id", read_request, BYTES("\x0a\x18\x0a\x16\x0a\x14\x0a\x12\x0a\x10" ID_0), "",
                "id is zero"},
        {"no reply port", read_request, BYTES("\x0e\x01\x04\x16\x01\x01\x0f"), "p",
                "missing required field"},
        {"a descriptor to reply on", read_request, BYTES("\x0e\x02\x05\x16\x02\x02\x0f\x17"), "pf",
                "not a port"},
        {"group", read_request, BYTES("\x0b"), "", "not the encoding"},
        {"empty", read_order, BYTES(""), "", "neither a value nor a port"},
        {"unknown variant", read_order, BYTES("\x0a\x02\x12\x00"), "", "not Connect"},
        {"zero id", read_order, BYTES("\x0a\x18\x0a\x16\x0a\x14\x0a\x12\x0a\x10" ID_0), "",
                "id is zero"},
        {"a port for a link", read_order,
                BYTES("\x0e\x01\x1a\x0e\x01\x17\x0a\x14\x0a\x12\x0a\x10" ID_10 "\x17"), "p",
                "not a descriptor"},
        {"a descriptor for a port", read_order, BYTES("\x17"), "f", "not a port"},
        {"empty", read_invitation, BYTES(""), "", "something else"},
        {"no fields", read_invitation, BYTES("\x0a\x00"), "", "missing required field"},
};

START_TEST(what_is_wrong_is_refused_and_named)
{
	const struct refusal *refusal = &refusals[_i];
	struct mesh_message *message =
	        message_of(refusal->bytes, refusal->size, refusal->resources);

	check_refused(refusal->read(message, &why), -EBADMSG, refusal->text);
	for (size_t i = 0; refusal->resources[i]; i++)
		ck_assert_int_ne(message->resources[i].kind, MESH__RESOURCE_NONE);
	mesh_message_free(message);
}
END_TEST

START_TEST(an_invitation_must_bring_a_link)
{
	struct mesh_message *message = invitation_message(some_fd());
	int pair[2];

	check_refused(read_invitation(message, &why), -ENOTSOCK, "descriptor");
	mesh_message_free(message);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	message = invitation_message(pair[0]);
	check_refused(read_invitation(message, &why), -EPROTOTYPE, "descriptor");
	ck_assert(
	        !(fcntl(pair[0], F_GETFL) & O_NONBLOCK)); /* not touched, and still the message's */
	mesh_message_free(message);
	close(pair[1]);
}
END_TEST

START_TEST(an_invitation_with_a_zero_id_is_refused)
{
	for (uint8_t first = 0x10; first <= 0x70; first += 0x20) {
		struct mesh_message *message = invitation_message(some_link());
		struct mesh_id id_bytes = id_from(first);
		uint8_t *id = memmem(message->data, message->size, &id_bytes, sizeof id_bytes);

		ck_assert_ptr_nonnull(id);
		memset(id, 0, 16);
		check_refused(read_invitation(message, &why), -EBADMSG, "id is zero");
		mesh_message_free(message);
	}
}
END_TEST

START_TEST(cut_at_any_byte_a_control_message_is_refused)
{
	static const struct {
		const char *name;
		int (*read)(struct mesh_message *message, struct pal_error *error);
	} kinds[] = {{"oneshot(InitialMessage)", read_initial},
	        {"chan(LeaderRequest::Connect)", read_request},
	        {"chan(LeaderRequest::Invite)", read_request},
	        {"chan(FollowerRequest::Connect Some)", read_order},
	        {"chan(Invitation)", read_invitation}};
	const struct vector *vector = vector_find(kinds[_i].name);

	for (size_t size = 0; size < vector->size; size++) {
		struct mesh_message *message = message_of(vector->bytes, size, vector->resources);

		ck_assert_int_eq(kinds[_i].read(message, NULL), -EBADMSG);
		mesh_message_free(message);
	}
}
END_TEST

START_TEST(writing_without_a_port_consumes_the_others)
{
	struct mesh_message *message;
	struct mesh_invitation invitation = MESH_INVITATION_INIT;

	ck_assert_int_eq(
	        mesh__control_write_initial(some_port(), NULL, some_port(), &message), -EINVAL);
	ck_assert_int_eq(mesh__control_write_invite_request(NULL, some_port(), &message), -EINVAL);
	ck_assert_int_eq(mesh__control_write_invitation(&invitation, &message), -EBADF);
}
END_TEST

START_TEST(a_claim_of_the_leadership)
{
	const struct mesh_id node = id_from(0x10);
	struct mesh__claim claim;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh__control_write_claim(&node, some_port(), &message), 0);
	check_is_vector(message, vector_find("chan((NodeId,Sender<Followers>))"));
	ck_assert_ok(mesh__control_read_claim(message, &claim, &error), &error);
	ck_assert_int_eq(claim.kind, MESH__CLAIM_LEADERSHIP);
	check_id(&claim.node, 0x10);
	ck_assert_uint_eq(claim.reply, 0);
	mesh_message_free(message);
}
END_TEST

static void note_follower(void *arg, const struct mesh_id *node, size_t requests, size_t orders)
{
	unsigned *count = arg;

	check_id(node, *count ? 0x20 : 0x10);
	ck_assert_uint_eq(requests, 2 * *count);
	ck_assert_uint_eq(orders, 2 * *count + 1);
	++*count;
}

START_TEST(followers_that_are_handed_over)
{
	struct mesh__handed_over list[] = {{id_from(0x10), some_port(), some_port()},
	        {id_from(0x20), some_port(), some_port()}};
	struct mesh_message *message;
	struct pal_error error;
	unsigned count = 0;

	ck_assert_int_eq(mesh__control_write_followers(list, 2, &message), 0);
	check_is_vector(message, vector_find("chan(Followers[2])"));
	ck_assert_ok(mesh__control_read_followers(message, note_follower, &count, &error), &error);
	ck_assert_uint_eq(count, 2);
	mesh_message_free(message);
	ck_assert_int_eq(mesh__control_write_followers(NULL, 0, &message), 0);
	check_is_vector(message, vector_find("chan(Followers[0])"));
	ck_assert_ok(mesh__control_read_followers(message, note_follower, &count, &error), &error);
	ck_assert_uint_eq(count, 2);
	mesh_message_free(message);
}
END_TEST

static void refuse_followers(void *arg, const struct mesh_id *node, size_t requests, size_t orders)
{
	(void)arg;
	(void)node;
	(void)requests;
	(void)orders;
	ck_abort_msg("a follower was taken from a list that is none");
}

/* Each byte of two followers cut away, and then each changed: nothing is taken before all was read. */
START_TEST(a_spoilt_list_of_followers_gives_none)
{
	const struct vector *vector = vector_find("chan(Followers[2])");
	struct pal_error error;

	for (size_t size = 0; size < vector->size; size++) {
		struct mesh_message *message = mesh_message_new(vector->bytes, size);

		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(mesh_message_put_port(message, some_port()), 0);
		ck_assert_int_eq(mesh__control_read_followers(
		                         message, refuse_followers, NULL, &error),
		        -EBADMSG);
		mesh_message_free(message);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/control");
	TCase *vectors = support_tcase(suite, "vectors"),
	      *hostile = support_tcase(suite, "hostile");

	tcase_add_test(vectors, the_first_message_of_the_leader);
	tcase_add_test(vectors, a_request_to_be_introduced);
	tcase_add_test(vectors, a_request_to_invite);
	tcase_add_test(vectors, an_order_with_a_link);
	tcase_add_test(vectors, an_order_without_a_link);
	tcase_add_test(vectors, an_invitation_in_a_message);
	tcase_add_test(vectors, a_channel_may_grow_by_a_port);
	tcase_add_test(vectors, writing_without_a_port_consumes_the_others);
	tcase_add_test(vectors, a_claim_of_the_leadership);
	tcase_add_test(vectors, followers_that_are_handed_over);
	tcase_add_test(hostile, a_spoilt_list_of_followers_gives_none);
	tcase_add_loop_test(
	        hostile, what_is_wrong_is_refused_and_named, 0, PAL_ARRAY_LENGTH(refusals));
	tcase_add_test(hostile, an_invitation_must_bring_a_link);
	tcase_add_test(hostile, an_invitation_with_a_zero_id_is_refused);
	tcase_add_loop_test(hostile, cut_at_any_byte_a_control_message_is_refused, 0, 5);
	return suite;
}
SUPPORT_MAIN(make_suite)
