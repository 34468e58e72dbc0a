/* SPDX-License-Identifier: MIT */

/* An invitation's text. Input: 'b' and the bytes of the message, or anything else and the text itself. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mesh/base64-priv.h>
#include <mesh/event-priv.h>
#include <mesh/invitation-priv.h>

#include "fuzz.h"

#define LINK_NUMBER 100 /* the only descriptor that is a link; the corpus names it */

static void make_link(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	must(dup3(pair[0], LINK_NUMBER, O_CLOEXEC) == LINK_NUMBER);
	close(pair[0]);
	close(pair[1]);
}

static char *text_of(const uint8_t *data, size_t size, bool encode)
{
	char *text = malloc(mesh__base64_size(size) + 1);

	must(text);
	if (encode) {
		mesh__base64_encode(data, size, text);
		return text;
	}
	memcpy(text, data, size);
	text[size] = 0;
	return text;
}

/* Each byte string has one text. */
static void check_base64(const char *text)
{
	size_t length = strlen(text), size;
	uint8_t *data = malloc(length + 1);
	char *again;

	must(data);
	if (mesh__base64_decode(text, length, data, &size) == 0) {
		must(size <= length / 4 * 3);
		again = text_of(data, size, true);
		must(!strcmp(again, text));
		free(again);
	}
	free(data);
}

static void check_round_trip(const struct mesh_invitation *invitation, const char *name)
{
	struct mesh_invitation again = MESH_INVITATION_INIT;
	char *text, *again_name;

	must(mesh_invitation_to_text(invitation, name, LINK_NUMBER, &text) == 0);
	must(mesh_invitation_from_text(text, &again, &again_name, NULL) == 0);
	must(!memcmp(&again, invitation, sizeof again));
	must(!strcmp(again_name, name));
	free(again_name);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct pal_error error = {0};
	char *text, *name = NULL;
	int r;

	if (!size)
		return 0;
	make_link();
	text = text_of(data + 1, size - 1, data[0] == 'b');
	check_base64(text);
	r = mesh_invitation_from_text(text, &invitation, &name, &error);
	if (r == 0) {
		must(invitation.fd == LINK_NUMBER && mesh__invitation_has_ids(&invitation));
		check_round_trip(&invitation, name);
	} else {
		must(r == -EBADMSG || r == -EBADF || r == -ENOTSOCK || r == -EPROTOTYPE);
		must(error.code == r && error.text[0] && invitation.fd == -1 && !name);
	}
	free(name);
	free(text);
	close(LINK_NUMBER);
	return 0;
}
