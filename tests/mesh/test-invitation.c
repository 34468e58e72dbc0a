/* SPDX-License-Identifier: MIT */
#include <mesh/invitation.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mesh/base64-priv.h>
#include <mesh/encoding.h>
#include <mesh/event-priv.h>
#include <mesh/node.h>
#include <pal/util-priv.h>

#include "support.h"
#include "vectors.h"

static struct mesh_id id_from(uint8_t first)
{
	struct mesh_id id;

	for (size_t i = 0; i < sizeof id.bytes; i++)
		id.bytes[i] = (uint8_t)(first + i);
	return id;
}

static struct mesh_invitation some_invitation(void)
{
	return (struct mesh_invitation){
	        id_from(0x10), id_from(0x30), id_from(0x50), id_from(0x70), -1};
}

static void make_pair(int family, int type, int pair[2])
{
	ck_assert_int_eq(socketpair(family, type, 0, pair), 0);
}

static char *text_for(int fd)
{
	const struct mesh_invitation invitation = some_invitation();
	char *text;

	ck_assert_int_eq(mesh_invitation_to_text(&invitation, "host1", fd, &text), 0);
	return text;
}

static char *base64_of(const void *data, size_t size)
{
	char *text = malloc(mesh__base64_size(size) + 1);

	mesh__base64_encode(data, size, text);
	return text;
}

static void check_refused(const char *text, int code, const char *says)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct pal_error error = {0};
	char *name = NULL;

	ck_assert_msg(mesh_invitation_from_text(text, &invitation, &name, &error) == code, "%s: %s",
	        text, pal_error_text(&error));
	ck_assert_int_eq(error.code, code);
	ck_assert_int_eq(error.stage, MESH_STAGE_INVITATION);
	ck_assert_msg(strstr(error.text, says), "\"%s\" does not say \"%s\"", error.text, says);
	ck_assert_int_eq(invitation.fd, -1);
	ck_assert(mesh__id_is_zero(&invitation.local_node));
	ck_assert_ptr_null(name);
}

/* ---- text and back ---- */

START_TEST(the_text_is_the_vector)
{
	char *text = text_for(3);

	ck_assert_str_eq(text, vector_find("EnvInvitation")->base64);
	free(text);
}
END_TEST

START_TEST(an_invitation_goes_round)
{
	const struct mesh_invitation sent = some_invitation();
	struct mesh_invitation got = MESH_INVITATION_INIT;
	struct pal_error error;
	char *text, *name;
	int pair[2];

	make_pair(AF_UNIX, SOCK_SEQPACKET, pair);
	text = text_for(pair[0]);
	ck_assert_ok(mesh_invitation_from_text(text, &got, &name, &error), &error);
	ck_assert_mem_eq(&got, &sent, offsetof(struct mesh_invitation, fd));
	ck_assert_int_eq(got.fd, pair[0]);
	ck_assert_str_eq(name, "host1");
	ck_assert_int_eq(fcntl(got.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(got.fd, F_GETFL), O_RDWR | O_NONBLOCK);
	mesh_invitation_clear(&got);
	ck_assert_int_lt(fcntl(pair[0], F_GETFD), 0);
	ck_assert_int_eq(got.fd, -1);
	mesh_invitation_clear(&got);
	mesh_invitation_clear(NULL);
	close(pair[1]);
	free(name);
	free(text);
}
END_TEST

START_TEST(a_name_may_be_of_any_length_up_to_the_limit)
{
	const struct mesh_invitation invitation = some_invitation();
	static const size_t lengths[] = {0, 1, 127, 128, MESH_NAME_MAX};
	char name[MESH_NAME_MAX + 2], *text;
	int pair[2];

	make_pair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, pair);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(lengths); i++) {
		struct mesh_invitation got;
		char *got_name;

		memset(name, 'n', sizeof name);
		name[lengths[i]] = 0;
		ck_assert_int_eq(mesh_invitation_to_text(&invitation, name, pair[0], &text), 0);
		ck_assert_int_eq(mesh_invitation_from_text(text, &got, &got_name, NULL), 0);
		ck_assert_str_eq(got_name, name);
		free(got_name);
		free(text);
	}
	memset(name, 'n', sizeof name);
	name[MESH_NAME_MAX + 1] = 0;
	ck_assert_int_eq(mesh_invitation_to_text(&invitation, name, pair[0], &text), -EINVAL);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* The format leaves out what is 0 or empty. */
START_TEST(neither_name_nor_number_means_an_empty_name_and_descriptor_0)
{
	const struct mesh_invitation invitation = some_invitation();
	struct mesh_invitation got = MESH_INVITATION_INIT;
	const struct vector *vector = vector_find("EnvInvitation");
	int pair[2], saved = dup(STDIN_FILENO);
	char *text, *short_text, *name;

	make_pair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, pair);
	ck_assert_int_eq(dup2(pair[0], STDIN_FILENO), STDIN_FILENO);
	short_text = base64_of(vector->bytes + 7, vector->size - 9);
	ck_assert_int_eq(mesh_invitation_to_text(&invitation, "", 0, &text), 0);
	ck_assert_str_eq(text, short_text);
	ck_assert_int_eq(mesh_invitation_from_text(text, &got, &name, NULL), 0);
	ck_assert_int_eq(got.fd, STDIN_FILENO);
	ck_assert_str_eq(name, "");
	ck_assert_int_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
	close(pair[0]);
	close(pair[1]);
	free(name);
	free(text);
	free(short_text);
}
END_TEST

START_TEST(fields_of_a_later_version_are_skipped)
{
	const struct vector *vector = vector_find("EnvInvitation");
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_invitation got;
	struct mesh_message *message;
	struct pal_error error;
	uint8_t bytes[256];
	size_t size;
	int pair[2];
	char *text;

	make_pair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, pair);
	mesh_writer_varint(writer, 100, 7);
	mesh_writer_bytes(writer, 536870911, "later", 5);
	mesh_writer_sint(writer, 3, pair[0]); /* the last one counts */
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	size = mesh_message_size(message);
	memcpy(bytes, vector->bytes, vector->size);
	memcpy(bytes + vector->size, mesh_message_data(message), size);
	mesh_message_free(message);
	text = base64_of(bytes, vector->size + size);
	ck_assert_ok(mesh_invitation_from_text(text, &got, NULL, &error), &error);
	mesh_invitation_clear(&got);
	close(pair[1]);
	free(text);
}
END_TEST

START_TEST(what_cannot_be_invited_to_has_no_text)
{
	struct mesh_invitation invitation = some_invitation();
	char *text;

	ck_assert_int_eq(mesh_invitation_to_text(&invitation, "x", -1, &text), -EINVAL);
	invitation.remote_port = (struct mesh_id){{0}};
	ck_assert_int_eq(mesh_invitation_to_text(&invitation, "x", 3, &text), -EINVAL);
}
END_TEST

/* ---- hostile texts: S139, S143, S167 ---- */

START_TEST(no_text_at_all_is_refused)
{
	check_refused(NULL, -EBADMSG, "there is none");
	check_refused("", -EBADMSG, "missing required field");
}
END_TEST

START_TEST(missing_or_misplaced_padding_is_refused)
{
	char *text = text_for(3), *end = text + strlen(text) - 1;

	ck_assert_str_eq(end - 1, "==");
	*end = 0;
	check_refused(text, -EBADMSG, "not base64");
	end[-1] = 0;
	check_refused(text, -EBADMSG, "not base64");
	check_refused("=AAA", -EBADMSG, "not base64");
	check_refused("A=AA", -EBADMSG, "not base64");
	check_refused("AA=A", -EBADMSG, "not base64");
	check_refused("A===", -EBADMSG, "not base64");
	check_refused("====", -EBADMSG, "not base64");
	check_refused("AA==AAAA", -EBADMSG, "not base64");
	check_refused("=", -EBADMSG, "not base64");
	free(text);
}
END_TEST

START_TEST(line_breaks_and_other_characters_are_refused)
{
	static const char bad[] = "\n\r\t -_.,!\"\x7f\x80\xff";

	for (size_t i = 0; bad[i]; i++) {
		char *text = text_for(3);

		text[_i] = bad[i];
		check_refused(text, -EBADMSG, "not base64");
		free(text);
	}
}
END_TEST

START_TEST(a_line_break_at_the_end_is_refused)
{
	char text[300];

	snprintf(text, sizeof text, "%s\n", vector_find("EnvInvitation")->base64);
	check_refused(text, -EBADMSG, "not base64");
}
END_TEST

START_TEST(bits_behind_the_last_byte_must_be_zero)
{
	char *text = text_for(3);

	ck_assert_int_eq(text[strlen(text) - 3], 'g');
	text[strlen(text) - 3] = 'h';
	check_refused(text, -EBADMSG, "not base64");
	check_refused("AAB=", -EBADMSG, "not base64");
	free(text);
}
END_TEST

START_TEST(cut_anywhere_a_text_is_refused)
{
	char *text = text_for(3);

	for (size_t length = strlen(text); length-- > 1;) {
		text[length] = 0;
		check_refused(text, -EBADMSG, "invitation: ");
	}
	free(text);
}
END_TEST

/* The last two bytes are the descriptor's number, which may be left out. */
START_TEST(cut_anywhere_the_message_is_refused)
{
	const struct vector *vector = vector_find("EnvInvitation");

	for (size_t size = 0; size < vector->size; size++) {
		char *text = base64_of(vector->bytes, size);

		if (size != vector->size - 2)
			check_refused(text, -EBADMSG, "invitation: ");
		free(text);
	}
}
END_TEST

/* Whatever else happens, no descriptor may change hands. */
START_TEST(with_any_bit_wrong_nothing_breaks)
{
	const struct vector *vector = vector_find("EnvInvitation");

	for (size_t bit = 0; bit < vector->size * 8; bit++) {
		struct mesh_invitation got = MESH_INVITATION_INIT;
		uint8_t bytes[256];
		char *text, *name = NULL;

		memcpy(bytes, vector->bytes, vector->size);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		text = base64_of(bytes, vector->size);
		ck_assert_int_lt(mesh_invitation_from_text(text, &got, &name, NULL), 0);
		ck_assert_int_eq(got.fd, -1);
		ck_assert_ptr_null(name);
		free(text);
	}
}
END_TEST

START_TEST(garbage_is_refused)
{
	check_refused("rubbish!", -EBADMSG, "not base64");
	check_refused("AAAAAAAAAAAAAAAA", -EBADMSG, "not the encoding");
	check_refused("////////////////", -EBADMSG, "not the encoding");
	check_refused("CgVob3N0MQ==", -EBADMSG, "missing required field");
}
END_TEST

START_TEST(a_zero_id_is_refused)
{
	for (uint8_t first = 0x10; first <= 0x70; first += 0x20) {
		const struct vector *vector = vector_find("EnvInvitation");
		struct mesh_id id = id_from(first);
		uint8_t bytes[256], *at;
		char *text;

		memcpy(bytes, vector->bytes, vector->size);
		at = memmem(bytes, vector->size, &id, sizeof id);
		ck_assert_ptr_nonnull(at);
		memset(at, 0, sizeof id);
		text = base64_of(bytes, vector->size);
		check_refused(text, -EBADMSG, "an id is zero");
		free(text);
	}
}
END_TEST

START_TEST(a_name_with_a_0_byte_or_over_the_limit_is_refused)
{
	const struct vector *vector = vector_find("EnvInvitation");
	uint8_t bytes[512] = {0x0a, 0x80, 0x02}; /* 256 bytes of name */
	char *text;

	memcpy(bytes + 259, vector->bytes + 7, vector->size - 7);
	text = base64_of(bytes, 259 + vector->size - 7);
	check_refused(text, -EBADMSG, "too long");
	free(text);
	bytes[1]++; /* 257, and the next field is cut off by one */
	text = base64_of(bytes, 259 + vector->size - 7);
	check_refused(text, -EBADMSG, "invitation: ");
	free(text);

	memcpy(bytes, vector->bytes, vector->size);
	bytes[4] = 0;
	text = base64_of(bytes, vector->size);
	check_refused(text, -EBADMSG, "0 byte");
	free(text);
}
END_TEST

START_TEST(a_number_that_is_not_open_is_refused)
{
	int fd = some_fd();
	char *text = text_for(fd);
	const struct vector *vector = vector_find("EnvInvitation");
	uint8_t bytes[256];

	close(fd);
	check_refused(text, -EBADF, "descriptor");
	free(text);

	memcpy(bytes, vector->bytes, vector->size);
	bytes[vector->size - 1] = 1; /* zigzag: -1 */
	text = base64_of(bytes, vector->size);
	check_refused(text, -EBADF, "descriptor -1");
	free(text);
}
END_TEST

static void check_untouched(int fd, int code)
{
	char *text = text_for(fd);
	int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);

	check_refused(text, code, "descriptor");
	ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
	ck_assert_int_eq(fcntl(fd, F_GETFD), fd_flags);
	free(text);
}

START_TEST(what_is_no_seqpacket_socket_of_unix_is_refused_and_not_touched)
{
	int fd = open("/dev/null", O_RDWR), pipe_fds[2], stream[2],
	    datagram[2]; /* not close-on-exec: that would show */
	int inet = socket(AF_INET, SOCK_STREAM, 0);
	int seqpacket = socket(
	        AF_VSOCK, SOCK_SEQPACKET, 0); /* of another family; not every kernel has one */

	check_untouched(fd, -ENOTSOCK);
	close(fd);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	check_untouched(pipe_fds[0], -ENOTSOCK);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	make_pair(AF_UNIX, SOCK_STREAM, stream);
	check_untouched(stream[0], -EPROTOTYPE);
	close(stream[0]);
	close(stream[1]);
	make_pair(AF_UNIX, SOCK_DGRAM, datagram);
	check_untouched(datagram[0], -EPROTOTYPE);
	close(datagram[0]);
	close(datagram[1]);
	if (inet >= 0)
		check_untouched(inet, -EPROTOTYPE);
	pal_close(inet);
	if (seqpacket < 0)
		seqpacket = socket(AF_ALG, SOCK_SEQPACKET, 0);
	if (seqpacket >= 0)
		check_untouched(seqpacket, -EPROTOTYPE);
	pal_close(seqpacket);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/invitation");
	TCase *text = support_tcase(suite, "text"), *hostile = support_tcase(suite, "hostile");

	tcase_add_test(text, the_text_is_the_vector);
	tcase_add_test(text, an_invitation_goes_round);
	tcase_add_test(text, a_name_may_be_of_any_length_up_to_the_limit);
	tcase_add_test(text, neither_name_nor_number_means_an_empty_name_and_descriptor_0);
	tcase_add_test(text, fields_of_a_later_version_are_skipped);
	tcase_add_test(text, what_cannot_be_invited_to_has_no_text);
	tcase_add_test(hostile, no_text_at_all_is_refused);
	tcase_add_test(hostile, missing_or_misplaced_padding_is_refused);
	tcase_add_loop_test(hostile, line_breaks_and_other_characters_are_refused, 0, 8);
	tcase_add_test(hostile, a_line_break_at_the_end_is_refused);
	tcase_add_test(hostile, bits_behind_the_last_byte_must_be_zero);
	tcase_add_test(hostile, cut_anywhere_a_text_is_refused);
	tcase_add_test(hostile, cut_anywhere_the_message_is_refused);
	tcase_add_test(hostile, with_any_bit_wrong_nothing_breaks);
	tcase_add_test(hostile, garbage_is_refused);
	tcase_add_test(hostile, a_zero_id_is_refused);
	tcase_add_test(hostile, a_name_with_a_0_byte_or_over_the_limit_is_refused);
	tcase_add_test(hostile, a_number_that_is_not_open_is_refused);
	tcase_add_test(hostile, what_is_no_seqpacket_socket_of_unix_is_refused_and_not_touched);
	return suite;
}
SUPPORT_MAIN(make_suite)
