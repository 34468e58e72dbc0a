/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SOCKET_H
#define PROCMESH_PAL_SOCKET_H

#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

/*
 * Most descriptors in one packet. The kernel's own limit is 253 (SCM_MAX_FD);
 * this is the limit of the mesh wire, which sizes every control buffer here.
 */
#define PAL_SOCKET_MAX_FDS 64

/*
 * A connected AF_UNIX pair of the given type (SOCK_SEQPACKET, SOCK_STREAM),
 * close-on-exec, both ends non-blocking. Returns 0 or -errno of socketpair(2).
 * The caller owns both. Any thread.
 */
PAL_EXPORT int pal_socket_pair(int type, int ret_fds[2]) PAL_MUST_CHECK;

/*
 * Sends one packet with `fd_count` descriptors in one SCM_RIGHTS message; the
 * descriptors stay the caller's. Never raises SIGPIPE, never waits on a
 * non-blocking socket; EINTR is retried.
 * Returns the bytes sent, or -EAGAIN, -EPIPE, -EMSGSIZE, -ETOOMANYREFS (see
 * unix(7): too many descriptors in flight for this user), -EINVAL (more than
 * PAL_SOCKET_MAX_FDS, or descriptors with no byte to carry them), or another
 * errno of sendmsg(2). Any thread.
 */
PAL_EXPORT ssize_t pal_socket_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count)
	PAL_MUST_CHECK;

/*
 * Receives one packet. Descriptors arrive close-on-exec and are the caller's;
 * `ret_fds` has room for PAL_SOCKET_MAX_FDS, *ret_fd_count is always set.
 * A packet or its control data that did not fit is an error, never a short
 * success: -EMSGSIZE (MSG_TRUNC) or -ENOBUFS (MSG_CTRUNC: too many descriptors,
 * or RLIMIT_NOFILE reached here); what did arrive is closed.
 * Returns the bytes, 0 for end of file - or for an empty packet, which a
 * SEQPACKET socket cannot tell apart (recvmsg(2)); its descriptors are closed -
 * or -EAGAIN, -ECONNRESET or another errno. EINTR is retried. Any thread.
 * What options of the socket add to a packet is dropped (SO_PASSPIDFD: closed);
 * it takes room from the descriptors, so that they may not fit any more.
 */
PAL_EXPORT ssize_t pal_socket_receive(int socket, void *data, size_t size, int *ret_fds, size_t *ret_fd_count)
	PAL_MUST_CHECK;

/*
 * The same, but for a receiver that can go on without the descriptors: where the
 * control data was truncated, the packet's bytes are returned, none of its
 * descriptors (those that did arrive are closed), and *ret_fds_lost is true.
 * *ret_fds_lost is always set.
 */
PAL_EXPORT ssize_t pal_socket_receive_partial(int socket, void *data, size_t size, int *ret_fds,
	size_t *ret_fd_count, bool *ret_fds_lost) PAL_MUST_CHECK;

/* The most packets in one call of the two below. */
#define PAL_SOCKET_MAX_PACKETS 16

struct pal_socket_outgoing {
	const void *data;
	size_t size;
	const int *fds;
	size_t fd_count;
};

/*
 * Sends up to `count` packets, in order, in one system call. Returns how many went; if that is none, why the
 * first one did not, as pal_socket_send. Any thread.
 */
PAL_EXPORT int pal_socket_send_many(int socket, const struct pal_socket_outgoing *packets, size_t count) PAL_MUST_CHECK;

struct pal_socket_incoming {
	void *data;      /* where to, and how much there is room for */
	size_t room;
	ssize_t size;    /* as pal_socket_receive_partial returns it: 0, -EMSGSIZE */
	int fds[PAL_SOCKET_MAX_FDS];
	size_t fd_count;
	bool fds_lost;
};

/*
 * Receives up to `count` packets that are there, in one system call, without waiting. Returns how many, each with what
 * pal_socket_receive_partial says of it, or why there is none: -EAGAIN, -ECONNRESET or another errno. Fewer than `count`: there
 * were no more, or an error that the next call returns. After the end of file every packet is one of 0 bytes. Any thread.
 */
PAL_EXPORT int pal_socket_receive_many(int socket, struct pal_socket_incoming *packets, size_t count) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
