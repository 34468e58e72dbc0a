/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_MESH_H
#define PROCMESH_MESH_MESH_H

/*
 * mesh: ports and messages between processes.
 *
 * A *port* is one end of a bidirectional pair; what is sent on one end arrives,
 * in order, at the other, wherever that is. A *message* is bytes and an ordered
 * list of *resources*: file descriptors and other ports. A *node* is a process's
 * membership in a mesh; a *link* is its connection to one other node. A node
 * joins by *invitation* from the *leader*, which also introduces nodes to one
 * another: when a port moves to a node that has never met the port's peer, the
 * two get a direct link.
 *
 *     parent (leader)              child 1                     child 2
 *      p ------------------------- q                                        a pair
 *      p sent to child 2:          q --------------------------- p          the same pair
 *
 *   port.h        pairs, send, receive by blocking call, callback or fd, request and answer
 *   message.h     bytes and resources
 *   node.h        make or join a mesh, invite, shut down
 *   counters.h    what a node's ports are and have done
 *   invitation.h  what a new node needs to join, also as text
 *   handoff.h     how a program that is no child gets an invitation
 *   encoding.h    the protobuf dialect in which messages name their resources
 */

#include <mesh/counters.h>
#include <mesh/encoding.h>
#include <mesh/handoff.h>
#include <mesh/id.h>
#include <mesh/invitation.h>
#include <mesh/message.h>
#include <mesh/node.h>
#include <mesh/port.h>

#endif
