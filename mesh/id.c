/* SPDX-License-Identifier: MIT */
#include <mesh/event-priv.h>

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

/* Up to 256 bytes come whole from a seeded pool; before it is seeded a signal may interrupt the wait. */
static int random_bytes(void *buffer, size_t size)
{
	ssize_t got;

	do
		got = getrandom(buffer, size, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got == size ? 0 : -EIO;
}

int mesh__id_random(struct mesh_id *ret)
{
	struct mesh_id id = {{0}};
	int r;

	do {
		r = random_bytes(id.bytes, sizeof id.bytes);
		if (r < 0)
			return r;
	} while (mesh__id_is_zero(&id));
	*ret = id;
	return 0;
}

const char *mesh__id_short(const struct mesh_id *id, char buffer[9])
{
	snprintf(buffer, 9, "%02x%02x%02x%02x", id->bytes[0], id->bytes[1], id->bytes[2],
	        id->bytes[3]);
	return buffer;
}
