/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_LINK_PAIR_H
#define PROCMESH_TESTS_MESH_LINK_PAIR_H

/* Two links on the ends of one socket, and what comes out of them. */

#include <fcntl.h>
#include <mesh/link-priv.h>
#include <pal/socket.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

extern struct mesh__link near, far;

void make_links(void);
void drop_links(void);

/* What `reader` has seen; it is its userdata. */
struct seen {
	unsigned events;
	size_t size;
	uint8_t first, last;
	size_t fds;
	bool hold; /* keep the descriptors in `held` */
	int held[PAL_SOCKET_MAX_FDS];
	int answer;
};
extern const struct mesh__link_reader reader;

int read_all(struct mesh__link *link, struct seen *seen);
/* An event of `size` bytes, all of this value where it is too small to have a header. `fds` are consumed. */
void send_bytes(struct mesh__link *link, size_t size, uint8_t value, int *fds, size_t fd_count);
/* A packet as a hostile peer would write it. */
void send_raw(const void *data, size_t size, const int *fds, size_t fd_count);

/* ---- large events ---- */

extern const uint8_t large_header[MESH__PACKET_HEADER_SIZE];

/* Holes behind the first page. */
int new_memfd(size_t size, int seals);
/* As the body of a large event; it is closed. */
void send_memfd(int fd);

#endif
