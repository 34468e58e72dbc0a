/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PAL_ATTEMPTS_H
#define PROCMESH_TESTS_PAL_ATTEMPTS_H

/*
 * What a child can try from inside of its namespaces, in a function or as a
 * program (tests/helpers/inside.c). The result is an errno, 0, or what is said;
 * 255 for a broken attempt. `argument`:
 *
 *   read, create, write, exec, mount-tmpfs, read-link   a path
 *   exec-euid    a program like this one, which says its effective user
 *   escape       a path: reads it from the root around this one, by chroot(2)
 *   append       a path: writes a byte at its end
 *   count        entries of a folder
 *   nosuid       a path: 0 if set-user-ID counts for nothing there, 254 if it does
 *   device       a path: opens and reads what must be a device
 *   pid, uid, euid, gid, groups, dumpable   nothing; the number is the result
 *   user-namespace, set-groups, setsid, set-hostname, raise-limit   nothing
 *   same         the text of a link in /proc/self/ns: 0 if this process has that one, else 1
 *   hostname     0 if it is that, else 1
 *   uid-map, gid-map   0 if the first line is that, without spaces more than one
 *   connect      a TCP port of 127.0.0.1
 *   shm          a System V shared memory key
 *   signal       a pid: with signal 0
 *   bind         a TCP port of 127.0.0.1
 *   abstract     the name of an abstract socket: connects
 *   socket       nothing: makes one
 *   inject       a path: puts a character into that terminal's input; inject-console by TIOCLINUX
 *   i386, x32    nothing: getppid with that number; of x86-64
 *   kill         a signal, for itself
 *   exit         the result
 *   orphan       0 if process 1 has waited for a process whose parent has ended
 *   scheduler    a policy as sched_getscheduler(2) has it: 0 if it is that, else 1
 *   catch        0 once SIGTERM or SIGHUP arrives; says so on standard output before
 *   trace        a pid: PTRACE_ATTACH
 */
int attempt(const char *name, const char *argument);

#endif
