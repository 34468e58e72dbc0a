/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_IDS_CHILD_PRIV_H
#define PROCMESH_PAL_IDS_CHILD_PRIV_H

#include <sys/syscall.h>

/* 32-bit machines have older calls for 16-bit ids under the plain names. */
#ifdef SYS_setresuid32
#define CALL_SETRESUID SYS_setresuid32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_GETRESUID SYS_getresuid32
#define CALL_GETRESGID SYS_getresgid32
#define CALL_GETGROUPS SYS_getgroups32
#else
#define CALL_GETGROUPS SYS_getgroups
#define CALL_SETRESUID SYS_setresuid
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETGROUPS SYS_setgroups
#define CALL_GETRESUID SYS_getresuid
#define CALL_GETRESGID SYS_getresgid
#endif

#endif
