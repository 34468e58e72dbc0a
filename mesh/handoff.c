/* SPDX-License-Identifier: MIT */
#include <mesh/handoff-priv.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <mesh/control-priv.h>
#include <mesh/node.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/*
 * What is handed over: the sizes, the message, and with the first byte the descriptors. All of it is said by who
 * listens.
 */
struct head {
	uint32_t data_size, fd_count; /* little endian */
};

static int fail(struct pal_error *error, int code, const char *what)
{
	return pal_error_set(error, MESH_STAGE_INVITATION, code, "handing over an invitation: %s", what);
}

/* An empty one would be a name outside of the file system. */
static int make_address(const char *path, struct sockaddr_un *ret)
{
	size_t length = path ? strnlen(path, sizeof ret->sun_path) : 0;

	if (!length)
		return -EINVAL;
	if (length == sizeof ret->sun_path)
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, length);
	return 0;
}

/* ---- who listens ---- */

int mesh_handoff_listen(const char *path, int *ret_listener, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int listener = -1;
	struct sockaddr_un address;
	int result = ret_listener ? make_address(path, &address) : -EINVAL;

	if (result < 0)
		return fail(error, result, "the path");
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0)
		return fail(error, -errno, "a socket");
	/* bind(2) takes the mode from the socket, so there is no moment in which others may connect. */
	if (fchmod(listener, S_IRUSR | S_IWUSR) < 0)
		return fail(error, -errno, "the mode of a socket");
	if (bind(listener, (const struct sockaddr *)&address, sizeof address) < 0)
		return fail(error, -errno, path);
	if (listen(listener, SOMAXCONN) < 0) {
		result = -errno;
		unlink(path);
		return fail(error, result, path);
	}
	*ret_listener = pal_take_fd(&listener);
	return 0;
}

static bool is_ours(int socket)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || !peer.uid);
}

int mesh_handoff_accept(int listener, int *ret_socket, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int socket = -1;

	if (!ret_socket)
		return fail(error, -EINVAL, "mesh_handoff_accept");
	do
		socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (socket < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (socket < 0)
		return fail(error, -errno, "accepting a connection");
	if (!is_ours(socket))
		return fail(error, -EACCES, "a process of another user has connected");
	*ret_socket = pal_take_fd(&socket);
	return 0;
}

/* The message without its descriptor, which is *ret_fd then. */
static int write_packet(struct mesh_invitation *invitation, uint8_t *packet, size_t room, size_t *ret_size, int *ret_fd)
{
	struct mesh_message *message;
	struct head head = {.fd_count = htole32(1)};
	int result = mesh__control_write_handoff(invitation, &message);

	if (result < 0)
		return result;
	*ret_size = sizeof head + mesh_message_size(message);
	if (*ret_size <= room) {
		head.data_size = htole32((uint32_t)mesh_message_size(message));
		memcpy(packet, &head, sizeof head);
		memcpy(packet + sizeof head, mesh_message_data(message), mesh_message_size(message));
		*ret_fd = mesh_message_take_fd(message, 0);
	} else {
		result = -EMSGSIZE;
	}
	mesh_message_free(message);
	return result;
}

int mesh_handoff_give(int socket, struct mesh_invitation *invitation, struct pal_error *error)
{
	uint8_t packet[256];
	size_t size = 0;
	ssize_t sent = -EINVAL;
	int fd = -1;

	if (invitation)
		sent = write_packet(invitation, packet, sizeof packet, &size, &fd);
	/* Into an empty buffer, so all of it goes at once. */
	if (!sent)
		sent = pal_socket_send(socket, packet, size, &fd, 1);
	if (sent >= 0 && (size_t)sent != size)
		sent = -EPIPE;
	pal_close(fd);
	pal_close(socket);
	mesh_invitation_clear(invitation);
	return sent < 0 ? fail(error, (int)sent, "sending it") : 0;
}

/* ---- who connects ---- */

/* What has come. */
struct received {
	int fds[MESH__HANDOFF_MAX_FDS];
	size_t fd_count;
};

static int keep_fds(struct received *received, const int *fds, size_t count)
{
	bool too_many = count > MESH__HANDOFF_MAX_FDS - received->fd_count;

	for (size_t i = 0; i < count; i++) {
		if (too_many)
			pal_close(fds[i]);
		else
			received->fds[received->fd_count++] = fds[i];
	}
	return too_many ? -EBADMSG : 0;
}

static int wait_until_readable(int socket, pal_deadline deadline)
{
	struct pollfd poller = {.fd = socket, .events = POLLIN};
	int ready;

	do
		ready = poll(&poller, 1, pal_deadline_left_ms(deadline));
	while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return -errno;
	return ready ? 0 : -ETIMEDOUT;
}

/* So many bytes, with whatever descriptors come beside them. */
static int read_exactly(int socket, pal_deadline deadline, uint8_t *to, size_t size, struct received *received)
{
	while (size) {
		int fds[PAL_SOCKET_MAX_FDS], result;
		size_t count = 0;
		ssize_t done = pal_socket_receive(socket, to, size, fds, &count);

		if (done == 0)
			return -ECONNRESET;
		if (done == -EAGAIN) {
			result = wait_until_readable(socket, deadline);
		} else if (done < 0) {
			return (int)done;
		} else {
			result = keep_fds(received, fds, count);
			to += done;
			size -= (size_t)done;
		}
		if (result < 0)
			return result;
	}
	return 0;
}

static int read_message(int socket, pal_deadline deadline, struct received *received, struct mesh_message **ret)
{
	struct head head;
	struct mesh_message *message;
	int result = read_exactly(socket, deadline, (uint8_t *)&head, sizeof head, received);

	if (result < 0)
		return result;
	if (le32toh(head.data_size) > MESH__HANDOFF_MAX_DATA || le32toh(head.fd_count) > MESH__HANDOFF_MAX_FDS)
		return -EBADMSG;
	message = mesh_message_new_sized(le32toh(head.data_size));
	if (!message)
		return -ENOMEM;
	result = read_exactly(socket, deadline, mesh_message_data(message), mesh_message_size(message), received);
	if (!result && received->fd_count != le32toh(head.fd_count))
		result = -EBADMSG;
	for (size_t i = 0; i < received->fd_count && !result; i++)
		result = mesh_message_put_fd(message, pal_take_fd(&received->fds[i]));
	if (result < 0)
		mesh_message_free(message);
	else
		*ret = message;
	return result == -ECONNRESET ? -EBADMSG : result; /* it has begun to say something */
}

int mesh__handoff_read(int socket, pal_deadline deadline, struct mesh_invitation *ret, struct pal_error *error)
{
	struct received received = {0};
	struct mesh_message *message = NULL;
	int result = read_message(socket, deadline, &received, &message);

	if (result < 0) {
		for (size_t i = 0; i < received.fd_count; i++)
			pal_close(received.fds[i]);
		return fail(error, result, result == -ECONNRESET ? "refused" : "receiving it");
	}
	result = mesh__control_read_handoff(message, ret, error);
	mesh_message_free(message);
	return result;
}

/* connect(2) waits where too many are waiting already, for as long as sending may take. */
static int connect_in_time(int socket, const struct sockaddr_un *address, pal_deadline deadline)
{
	int left = pal_deadline_left_ms(deadline), result, flags;
	struct timeval patience = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

	if (!left)
		patience.tv_usec = 1; /* none at all would mean for ever */
	if (left >= 0 && setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		return -errno;
	do
		result = connect(socket, (const struct sockaddr *)address, sizeof *address);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	flags = fcntl(socket, F_GETFL);
	return flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int mesh_handoff_take(const char *path, pal_deadline deadline, struct mesh_invitation *ret, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int connection = -1;
	struct sockaddr_un address;
	int result = ret ? make_address(path, &address) : -EINVAL;

	if (result < 0)
		return fail(error, result, "the path");
	connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0)
		return fail(error, -errno, "a socket");
	result = connect_in_time(connection, &address, deadline);
	if (result < 0)
		return fail(error, result, path);
	return mesh__handoff_read(connection, deadline, ret, error);
}
