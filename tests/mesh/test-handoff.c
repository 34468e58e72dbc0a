/* SPDX-License-Identifier: MIT */
/* Invitations for programs that connect to a socket in the file system. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mesh/handoff-priv.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

#include "nodes.h"
#include "support.h"

static char folder[] = "/tmp/handoff.XXXXXX", path[64], other_path[64];

static void make_folder(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/socket", folder);
	snprintf(other_path, sizeof other_path, "%s/other", folder);
}

static void drop_folder(void)
{
	unlink(path);
	unlink(other_path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static int listen_at(const char *where)
{
	struct pal_error error = {0};
	int listener = -1;

	ck_assert_ok(mesh_handoff_listen(where, &listener, &error), &error);
	ck_assert_int_ge(listener, 0);
	return listener;
}

/* ---- the path ---- */

START_TEST(a_path_that_cannot_be_listened_at_is_refused) /* S159 */
{
	char longest[109], *end;
	int listener = -1;

	make_folder();
	snprintf(longest, sizeof longest, "%s/", folder);
	end = longest + strlen(longest);
	memset(end, 'x', sizeof longest - strlen(longest));
	longest[108] = 0;
	ck_assert_int_eq(mesh_handoff_listen(longest, &listener, NULL), -ENAMETOOLONG);
	longest[107] = 0;
	close(listen_at(longest));
	ck_assert_int_eq(unlink(longest), 0);
	ck_assert_int_eq(mesh_handoff_listen("", &listener, NULL), -EINVAL);
	ck_assert_int_eq(mesh_handoff_listen(NULL, &listener, NULL), -EINVAL);
	ck_assert_int_eq(mesh_handoff_listen(path, NULL, NULL), -EINVAL);
	ck_assert_int_eq(symlink(other_path, path), 0);
	ck_assert_int_eq(mesh_handoff_listen(path, &listener, NULL), -EADDRINUSE);
	ck_assert_int_eq(access(other_path, F_OK), -1); /* not made behind the link */
	ck_assert_int_eq(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(mesh_handoff_listen(path, &listener, NULL), -EADDRINUSE);
	ck_assert_int_eq(listener, -1);
	drop_folder();
}
END_TEST

START_TEST(only_its_user_may_connect_whatever_the_umask) /* S159 */
{
	mode_t before = umask(0);
	struct stat status;
	int listener;

	make_folder();
	listener = listen_at(path);
	umask(before);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFSOCK | 0600);
	ck_assert_int_eq(fcntl(listener, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(listener);
	drop_folder();
}
END_TEST

START_TEST(a_process_of_another_user_is_turned_away)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener, accepted = -1, client, status;
	pid_t child;

	if (geteuid())
		return; /* only root can be another one */
	make_folder();
	ck_assert_int_eq(chmod(folder, 0711), 0);
	listener = listen_at(path);
	ck_assert_int_eq(chmod(path, 0666), 0); /* by mistake */
	strcpy(address.sun_path, path);
	child = fork();
	if (!child) {
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		_exit(setuid(65534) || connect(client, (struct sockaddr *)&address, sizeof address));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(mesh_handoff_accept(listener, &accepted, NULL), -EACCES);
	ck_assert_int_eq(mesh_handoff_accept(listener, &accepted, NULL), -EAGAIN);
	ck_assert_int_eq(accepted, -1);
	close(listener);
	drop_folder();
}
END_TEST

/* ---- from one to the other ---- */

static void *take_and_join(void *argument)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct pal_error error = {0};
	struct mesh_node *node;
	struct mesh_port *port;

	(void)argument;
	ck_assert_ok(mesh_handoff_take(path, NODES_PATIENCE, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &node, &port, &error), &error);
	nodes_expect_text(port, "welcome");
	nodes_send_text(port, "thanks");
	nodes_expect_end(port, -EPIPE);
	mesh_port_free(port);
	mesh_node_free(node);
	return NULL;
}

static int accept_one(int listener)
{
	struct pal_error error = {0};
	int result, socket = -1;

	while ((result = mesh_handoff_accept(listener, &socket, &error)) == -EAGAIN)
		ck_assert_int_eq(poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, -1), 1);
	ck_assert_ok(result, &error);
	ck_assert_int_eq(fcntl(socket, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	return socket;
}

static int connect_silently(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	return client;
}

/* Those before it have connected and do nothing. */
START_TEST(who_connects_gets_an_invitation_and_waits_for_nobody) /* S156 */
{
	enum { SILENT = 50 };
	int listener, clients[SILENT], sockets[SILENT];
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct pal_error error = {0};
	struct mesh_port *port, *passenger;
	struct mesh_node *leader;
	pthread_t joiner;

	make_folder();
	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	listener = listen_at(path);
	for (int i = 0; i < SILENT; i++)
		clients[i] = connect_silently();
	ck_assert_int_eq(pthread_create(&joiner, NULL, take_and_join, NULL), 0);
	for (int i = 0; i < SILENT; i++)
		sockets[i] = accept_one(listener);
	ck_assert_int_eq(mesh_port_pair(&port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	nodes_send_text(port, "welcome");
	ck_assert_ok(mesh_handoff_give(accept_one(listener), &invitation, &error), &error);
	ck_assert_int_eq(invitation.fd, -1);
	nodes_expect_text(port, "thanks");
	mesh_port_free(port);
	ck_assert_int_eq(pthread_join(joiner, NULL), 0);
	for (int i = 0; i < SILENT; i++) {
		close(clients[i]);
		close(sockets[i]);
	}
	mesh_node_free(leader);
	close(listener);
	drop_folder();
}
END_TEST

START_TEST(an_invitation_that_nobody_fetches_fails_its_port)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct pal_error error = {0};
	struct mesh_port *port, *passenger;
	struct mesh_node *leader;
	int listener, client;

	make_folder();
	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	listener = listen_at(path);
	client = connect_silently();
	ck_assert_int_eq(mesh_port_pair(&port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	ck_assert_ok(mesh_handoff_give(accept_one(listener), &invitation, &error), &error);
	close(client);
	nodes_expect_end(port, -ECONNRESET);
	mesh_port_free(port);
	mesh_node_free(leader);
	close(listener);
	drop_folder();
}
END_TEST

START_TEST(who_is_not_there_or_says_nothing_is_told_from_one_another)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	int listener;

	make_folder();
	ck_assert_int_eq(mesh_handoff_take(path, NODES_PATIENCE, &invitation, NULL), -ENOENT);
	listener = listen_at(path);
	ck_assert_int_eq(mesh_handoff_take(path, PAL_DEADLINE_NOW, &invitation, NULL), -ETIMEDOUT);
	ck_assert_int_eq(mesh_handoff_take(path, pal_deadline_after_ms(20), &invitation, NULL), -ETIMEDOUT);
	close(listener);
	ck_assert_int_eq(mesh_handoff_take(path, NODES_PATIENCE, &invitation, NULL), -ECONNREFUSED);
	ck_assert_int_eq(mesh_handoff_take(path, NODES_PATIENCE, NULL, NULL), -EINVAL);
	ck_assert_int_eq(invitation.fd, -1);
	drop_folder();
}
END_TEST

/* ---- the bytes ---- */

static const struct mesh_invitation some = {
	.local_node = {{1}}, .local_port = {{2}}, .remote_node = {{3}}, .remote_port = {{4}}, .fd = -1};

/* As it comes out of mesh_handoff_give, with one descriptor. */
static void get_packet(uint8_t packet[103])
{
	struct mesh_invitation invitation = some;
	int ends[2], link[2], fds[PAL_SOCKET_MAX_FDS];
	uint8_t more;
	size_t count;

	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, ends), 0);
	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, link), 0);
	invitation.fd = link[0];
	ck_assert_int_eq(mesh_handoff_give(ends[0], &invitation, NULL), 0);
	ck_assert_int_eq(pal_socket_receive(ends[1], packet, 103, fds, &count), 103);
	ck_assert_uint_eq(count, 1);
	close(fds[0]);
	ck_assert_int_eq(pal_socket_receive(ends[1], &more, 1, fds, &count), 0);
	close(link[1]);
	close(ends[1]);
}

START_TEST(the_bytes_are_those_of_the_wire)
{
	static const uint8_t head[] = {0x5f, 0, 0, 0, 1, 0, 0, 0, 0x0a, 0x5c, 0x0a, 0x2c, 0x0a, 0x14, 0x0a, 0x12, 0x0a, 0x10, 1};
	uint8_t packet[103];

	get_packet(packet);
	ck_assert_mem_eq(packet, head, sizeof head);
	ck_assert_uint_eq(packet[102], 0x17);
}
END_TEST

START_TEST(what_cannot_be_given_is_an_error_and_closed)
{
	struct mesh_invitation invitation = some;
	int ends[2], link[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, ends), 0);
	ck_assert_int_eq(mesh_handoff_give(ends[0], &invitation, NULL), -EINVAL); /* no descriptor */
	close(ends[1]);
	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, ends), 0);
	ck_assert_int_eq(mesh_handoff_give(ends[0], NULL, NULL), -EINVAL);
	close(ends[1]);
	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, ends), 0);
	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, link), 0);
	close(ends[1]);
	invitation = some;
	invitation.fd = link[0];
	ck_assert_int_eq(mesh_handoff_give(ends[0], &invitation, NULL), -EPIPE);
	ck_assert_int_eq(pal_socket_receive(link[1], &(char){0}, 1, (int[PAL_SOCKET_MAX_FDS]){0}, &(size_t){0}), 0);
	close(link[1]);
}
END_TEST

/* What somebody says who listens in our place: where the descriptors go, how many, of what kind, and what is said. */
static const struct speech {
	size_t size;     /* of the packet; the rest is not sent */
	size_t fds_at;   /* with this byte */
	size_t fds;
	int kind;        /* of socket */
	size_t changed;  /* this byte of it is */
	uint8_t to;
	int expected;
} speeches[] = {
	{103, 0, 1, SOCK_SEQPACKET, 0, 0x5f, 0},
	{103, 5, 1, SOCK_SEQPACKET, 0, 0x5f, 0},
	{103, 102, 1, SOCK_SEQPACKET, 0, 0x5f, 0},
	{0, 0, 0, 0, 0, 0, -ECONNRESET},
	{102, 0, 1, SOCK_SEQPACKET, 0, 0x5f, -EBADMSG},
	{103, 0, 1, SOCK_STREAM, 0, 0x5f, -EPROTOTYPE},
	{103, 0, 0, 0, 0, 0x5f, -EBADMSG},              /* it says one */
	{103, 0, 2, SOCK_SEQPACKET, 0, 0x5f, -EBADMSG}, /* the same */
	{103, 0, 2, SOCK_SEQPACKET, 4, 2, 0},           /* which it says, too; one is in no field, and closed */
	{103, 50, 64, SOCK_SEQPACKET, 4, 64, -EBADMSG},
	{103, 0, 5, SOCK_SEQPACKET, 0, 0x5f, -EBADMSG},
	{103, 0, 1, SOCK_SEQPACKET, 1, 0x11, -EBADMSG}, /* 4447 bytes */
	{103, 0, 1, SOCK_SEQPACKET, 3, 0x80, -EBADMSG},
	{103, 0, 1, SOCK_SEQPACKET, 7, 0x80, -EBADMSG},
	{103, 0, 1, SOCK_SEQPACKET, 18, 0, -EBADMSG},   /* an id of zero */
};

static void say(const struct speech *speech, int socket)
{
	uint8_t packet[103];
	int fds[PAL_SOCKET_MAX_FDS], pair[2] = {-1, -1};

	get_packet(packet);
	packet[speech->changed] = speech->to;
	if (speech->kind)
		ck_assert_int_eq(pal_socket_pair(speech->kind, pair), 0);
	for (size_t i = 0; i < speech->fds; i++)
		fds[i] = pair[0];
	for (size_t i = 0; i < speech->size; i++)
		ck_assert_int_eq(
			pal_socket_send(socket, packet + i, 1, fds, i == speech->fds_at ? speech->fds : 0), 1);
	pal_close(pair[0]);
	pal_close(pair[1]);
}

START_TEST(what_is_said_in_our_place_is_checked)
{
	const struct speech *speech = &speeches[_i];
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	int ends[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, ends), 0);
	say(speech, ends[0]);
	close(ends[0]);
	ck_assert_int_eq(mesh__handoff_read(ends[1], NODES_PATIENCE, &invitation, NULL), speech->expected);
	if (speech->expected)
		ck_assert_int_eq(invitation.fd, -1);
	else
		ck_assert_mem_eq(&invitation, &some, offsetof(struct mesh_invitation, fd));
	mesh_invitation_clear(&invitation);
	close(ends[1]);
}
END_TEST

START_TEST(sizes_are_checked_before_anything_is_waited_for)
{
	static const uint8_t heads[][8] = {{0, 0x10, 0, 0, 4}, {1, 0x10, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 1}, {1, 0, 0, 0, 5}};
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	int ends[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, ends), 0);
	ck_assert_int_eq(pal_socket_send(ends[0], heads[_i], 8, NULL, 0), 8);
	ck_assert_int_eq(
		mesh__handoff_read(ends[1], PAL_DEADLINE_NOW, &invitation, NULL), _i ? -EBADMSG : -ETIMEDOUT);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/handoff");
	TCase *paths = support_tcase(suite, "paths"), *giving = support_tcase(suite, "giving"),
	      *bytes = support_tcase(suite, "bytes");

	tcase_add_test(paths, a_path_that_cannot_be_listened_at_is_refused);
	tcase_add_test(paths, only_its_user_may_connect_whatever_the_umask);
	tcase_add_test(paths, a_process_of_another_user_is_turned_away);
	tcase_add_test(giving, who_connects_gets_an_invitation_and_waits_for_nobody);
	tcase_add_test(giving, an_invitation_that_nobody_fetches_fails_its_port);
	tcase_add_test(giving, who_is_not_there_or_says_nothing_is_told_from_one_another);
	tcase_add_test(bytes, the_bytes_are_those_of_the_wire);
	tcase_add_test(bytes, what_cannot_be_given_is_an_error_and_closed);
	tcase_add_loop_test(bytes, sizes_are_checked_before_anything_is_waited_for, 0, 4);
	tcase_add_loop_test(bytes, what_is_said_in_our_place_is_checked, 0, PAL_ARRAY_LENGTH(speeches));
	return suite;
}
SUPPORT_MAIN(make_suite)
