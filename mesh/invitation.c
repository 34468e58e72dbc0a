/* SPDX-License-Identifier: MIT */
#include <mesh/invitation.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <mesh/base64-priv.h>
#include <mesh/encoding.h>
#include <mesh/event-priv.h>
#include <mesh/invitation-priv.h>
#include <mesh/nanopb-priv.h>
#include <mesh/node.h>
#include <pal/util-priv.h>

void mesh_invitation_clear(struct mesh_invitation *invitation)
{
	if (!invitation)
		return;
	pal_close(invitation->fd);
	*invitation = (struct mesh_invitation)MESH_INVITATION_INIT;
}

/* ---- the ids ---- */

bool mesh__invitation_has_ids(const struct mesh_invitation *invitation)
{
	return !mesh__id_is_zero(&invitation->local_node) &&
	       !mesh__id_is_zero(&invitation->local_port) &&
	       !mesh__id_is_zero(&invitation->remote_node) &&
	       !mesh__id_is_zero(&invitation->remote_port);
}

static void write_address(
        const struct mesh_id *node, const struct mesh_id *port, mesh_wire_Address *ret)
{
	memcpy(ret->node.uuid.value, node->bytes, sizeof node->bytes);
	memcpy(ret->port.uuid.value, port->bytes, sizeof port->bytes);
}

static void read_address(
        const mesh_wire_Address *address, struct mesh_id *ret_node, struct mesh_id *ret_port)
{
	memcpy(ret_node->bytes, address->node.uuid.value, sizeof ret_node->bytes);
	memcpy(ret_port->bytes, address->port.uuid.value, sizeof ret_port->bytes);
}

void mesh__invitation_write_address(
        const struct mesh_invitation *invitation, mesh_wire_InvitationAddress *ret)
{
	write_address(&invitation->local_node, &invitation->local_port, &ret->local);
	write_address(&invitation->remote_node, &invitation->remote_port, &ret->remote);
}

int mesh__invitation_read_address(
        const mesh_wire_InvitationAddress *address, struct mesh_invitation *ret)
{
	struct mesh_invitation invitation = *ret;

	read_address(&address->local, &invitation.local_node, &invitation.local_port);
	read_address(&address->remote, &invitation.remote_node, &invitation.remote_port);
	if (!mesh__invitation_has_ids(&invitation))
		return -EBADMSG;
	*ret = invitation;
	return 0;
}

/* ---- the descriptor ---- */

static int socket_option(int fd, int option, int *ret)
{
	socklen_t size = sizeof *ret;

	return getsockopt(fd, SOL_SOCKET, option, ret, &size) < 0 ? -errno : 0;
}

int mesh__invitation_adopt_socket(int fd)
{
	int domain, type, flags;
	int r = socket_option(fd, SO_DOMAIN, &domain);

	if (r == 0)
		r = socket_option(fd, SO_TYPE, &type);
	if (r < 0)
		return r;
	if (domain != AF_UNIX || type != SOCK_SEQPACKET)
		return -EPROTOTYPE;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	        fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* ---- struct to text ---- */

static int encode_text(const mesh_wire_EnvironmentInvitation *invitation, char **ret)
{
	struct mesh_message *message;
	size_t size;
	char *text;
	int r = mesh_nanopb_encode(
	        mesh_wire_EnvironmentInvitation_fields, invitation, NULL, 0, &message);

	if (r < 0)
		return r;
	size = mesh_message_size(message);
	text = malloc(mesh__base64_size(size) + 1);
	if (text)
		mesh__base64_encode(mesh_message_data(message), size, text);
	mesh_message_free(message);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

int mesh_invitation_to_text(
        const struct mesh_invitation *invitation, const char *name, int fd_number, char **ret_text)
{
	mesh_wire_EnvironmentInvitation wire = mesh_wire_EnvironmentInvitation_init_zero;
	size_t length = name ? strnlen(name, MESH_NAME_MAX + 1) : 0;

	_Static_assert(sizeof wire.node_name.bytes > MESH_NAME_MAX, "wire.options has less room");
	if (length > MESH_NAME_MAX || fd_number < 0 || !mesh__invitation_has_ids(invitation))
		return -EINVAL;
	wire.has_node_name = length > 0;
	wire.node_name.size = (pb_size_t)length;
	memcpy(wire.node_name.bytes, name ? name : "", length);
	mesh__invitation_write_address(invitation, &wire.address);
	wire.has_socket_fd = fd_number != 0;
	wire.socket_fd = fd_number;
	return encode_text(&wire, ret_text);
}

/* ---- text to struct ---- */

static int refuse(struct pal_error *error, int code, const char *why)
{
	return pal_error_set(error, MESH_STAGE_INVITATION, code, "invitation: %s", why);
}

static int decode_text(
        const char *text, mesh_wire_EnvironmentInvitation *ret, struct pal_error *error)
{
	size_t length = strlen(text), size;
	PAL_CLEANUP_FREE uint8_t *data = malloc(length / 4 * 3 + 1);
	const char *why;
	int r;

	if (!data)
		return refuse(error, -ENOMEM, "decoding it");
	if (mesh__base64_decode(text, length, data, &size) < 0)
		return refuse(error, -EBADMSG, "not base64, or cut off");
	r = mesh__nanopb_decode(
	        mesh_wire_EnvironmentInvitation_fields, ret, mesh_reader_over(data, size), &why);
	return r < 0 ? refuse(error, r, why) : 0;
}

static int read_name(
        const mesh_wire_EnvironmentInvitation *wire, char **ret, struct pal_error *error)
{
	size_t length = wire->has_node_name ? wire->node_name.size : 0;
	char *name;

	if (length > MESH_NAME_MAX)
		return refuse(error, -EBADMSG, "its name is too long");
	if (memchr(wire->node_name.bytes, 0, length))
		return refuse(error, -EBADMSG, "a 0 byte in the name");
	name = strndup((const char *)wire->node_name.bytes, length);
	if (!name)
		return refuse(error, -ENOMEM, "its name");
	*ret = name;
	return 0;
}

int mesh_invitation_from_text(
        const char *text, struct mesh_invitation *ret, char **ret_name, struct pal_error *error)
{
	mesh_wire_EnvironmentInvitation wire = mesh_wire_EnvironmentInvitation_init_zero;
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	PAL_CLEANUP_FREE char *name = NULL;
	int r;

	if (!text)
		return refuse(error, -EBADMSG, "there is none");
	r = decode_text(text, &wire, error);
	if (r == 0)
		r = read_name(&wire, &name, error);
	if (r < 0)
		return r;
	if (mesh__invitation_read_address(&wire.address, &invitation) < 0)
		return refuse(error, -EBADMSG, "an id is zero");
	invitation.fd = wire.has_socket_fd ? wire.socket_fd : 0;
	r = mesh__invitation_adopt_socket(invitation.fd);
	if (r < 0)
		return pal_error_set(error, MESH_STAGE_INVITATION, r, "invitation: descriptor %d",
		        invitation.fd);
	*ret = invitation;
	if (ret_name)
		*ret_name = PAL_TAKE_POINTER(name);
	return 0;
}
