/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_POLL_PRIV_H
#define PROCMESH_PAL_POLL_PRIV_H

#include <poll.h>

/*
 * poll(2), which is no cancellation point here and also works where RLIMIT_NOFILE
 * is below `count`, as in a sandbox that allows no new descriptors: there poll(2)
 * is refused for descriptors that are open already. Then only POLLIN and POLLOUT
 * are told, and count as asked for. The number that are ready, or a negative errno.
 */
int pal__poll(struct pollfd *events, nfds_t count, int timeout_ms);

#endif
