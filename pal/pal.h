/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PAL_H
#define PROCMESH_PAL_PAL_H

/*
 * pal: spawn, sandbox, wait for and kill one child process.
 *
 *   error.h     what failed: stage, errno, text           log.h      one callback, off by default
 *   deadline.h  absolute points in time                   socket.h   bytes with descriptors
 *   builder.h   describe a child and start it, or fork    child.h    the handle of a running child
 *   process.h   its user, session, signals, scheduling    steps.h    things for it to do in order
 *   namespaces.h  its own pids, mounts, network ...       root.h   its own root folder
 *   communicate.h  feed it and collect what it writes
 *   sandbox.h   capabilities, Landlock, seccomp           profile.h  sandboxes made of those parts
 *   process-mark.h  which of its forks a process is
 *   helper.h    a library's own thread, out of the way of the program's signals
 *
 * Returns are 0 or a count, or a negative errno. Nothing here prints, exits,
 * installs a signal handler, waits for a child that is not its own, or leaves
 * a descriptor without close-on-exec.
 */

#include <pal/builder.h>
#include <pal/child.h>
#include <pal/communicate.h>
#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/helper.h>
#include <pal/log.h>
#include <pal/namespaces.h>
#include <pal/private.h>
#include <pal/process-mark.h>
#include <pal/process.h>
#include <pal/profile.h>
#include <pal/root.h>
#include <pal/sandbox.h>
#include <pal/socket.h>
#include <pal/steps.h>

#endif
