/* SPDX-License-Identifier: MIT */

/*
 * An invitation that is handed over on a stream. Input: a byte that says how many descriptors there are (bits 0 to 2),
 * whether they are links (bit 3) and with which of the first 16 bytes they come (bits 4 to 7), and what is sent.
 */

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mesh/handoff-priv.h>
#include <mesh/invitation-priv.h>
#include <pal/socket.h>

#include "fuzz.h"

static void say(int socket, uint8_t how, const uint8_t *data, size_t size)
{
	size_t at = how >> 4, fd_count = how & 7;
	int pair[2], fds[7];

	must(pal_socket_pair(how & 8 ? SOCK_SEQPACKET : SOCK_DGRAM, pair) == 0);
	for (size_t i = 0; i < fd_count; i++)
		fds[i] = pair[0];
	if (at > size)
		at = size;
	if (at)
		must(pal_socket_send(socket, data, at, NULL, 0) == (ssize_t)at);
	if (size > at)
		must(pal_socket_send(socket, data + at, size - at, fds, fd_count) == (ssize_t)(size - at));
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct pal_error error = {0};
	int ends[2], r;

	if (!size || size > 8192)
		return 0;
	must(pal_socket_pair(SOCK_STREAM, ends) == 0);
	say(ends[0], data[0], data + 1, size - 1);
	close(ends[0]);
	r = mesh__handoff_read(ends[1], PAL_DEADLINE_NOW, &invitation, &error);
	if (r == 0) {
		must(invitation.fd >= 0 && mesh__invitation_has_ids(&invitation));
	} else {
		must(r == -EBADMSG || r == -ECONNRESET || r == -EPROTOTYPE);
		must(error.code == r && error.text[0] && invitation.fd == -1);
	}
	mesh_invitation_clear(&invitation);
	close(ends[1]);
	return 0;
}
