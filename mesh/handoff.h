/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_HANDOFF_H
#define PROCMESH_MESH_HANDOFF_H

#include <mesh/invitation.h>
#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>

PAL_BEGIN_DECLS

/*
 * How a program that is no child of ours gets an invitation: it connects to a
 * socket in the file system, and says nothing; we accept, invite (node.h), and
 * hand the invitation over. Each connection is for one invitation.
 *
 *   int socket, listener;
 *   mesh_handoff_listen("/run/user/1000/my-mesh", &listener, &error);
 *   ... when poll(2) or an event base finds the listener readable:
 *   mesh_handoff_accept(listener, &socket, &error);
 *   mesh_node_invite(node, port, &invitation, &error);
 *   mesh_handoff_give(socket, &invitation, &error);
 *
 * Who may connect may join. None of the three waits for the program that connects, so one
 * that does nothing keeps nobody else waiting; one that connects and never
 * joins keeps its invitation open until it ends, which fails the port of that
 * invitation. So give each one some seconds to be heard of, and then evict it: mesh_node_evict with its local_node.
 */

/*
 * A socket that listens at `path`, close-on-exec and non-blocking, for the caller to close and
 * the path for it to unlink(2). Only this user may connect: the mode is 0600 from
 * the beginning, whatever the umask; but who may rename in the folder may put another socket there.
 * 0, -EINVAL (NULL or an empty path), -ENAMETOOLONG (over 107 bytes), -EADDRINUSE
 * (there is something at that path, be it a symbolic link to nothing or a socket that
 * nobody listens on any more), or another errno of socket(2), bind(2), listen(2). Any thread.
 */
PAL_EXPORT int mesh_handoff_listen(const char *path, int *ret_listener, struct pal_error *error) PAL_MUST_CHECK;

/*
 * The next one that has connected, close-on-exec and non-blocking, the caller's.
 * -EAGAIN: nobody has. -EACCES: a process of another user (root is let in); it has been closed,
 * there may be more. Or another errno of accept4(2). Does not wait. Any thread.
 */
PAL_EXPORT int mesh_handoff_accept(int listener, int *ret_socket, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Sends it, and closes the socket; the invitation is consumed, both in every case. 0, -EINVAL (an id of zero, no
 * descriptor), -ENOMEM, -EPIPE (the other program has gone) or another errno of sendmsg(2). Does not
 * wait. Any thread.
 */
PAL_EXPORT int mesh_handoff_give(int socket, struct mesh_invitation *invitation, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * The other side: connects to `path` and waits for the invitation, with which mesh_node_join joins. 0, -EINVAL,
 * -ENAMETOOLONG, -ENOENT, -ECONNREFUSED or another errno of connect(2), -ECONNRESET (refused: closed without an
 * invitation), -ETIMEDOUT, -EBADMSG (what came is none), -EPROTOTYPE, -ENOTSOCK (its descriptor is no link), -ENOBUFS
 * (no place for its descriptor), -ENOMEM. Any thread.
 */
PAL_EXPORT int mesh_handoff_take(const char *path, pal_deadline deadline, struct mesh_invitation *ret,
	struct pal_error *error) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
