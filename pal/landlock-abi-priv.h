/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LANDLOCK_ABI_PRIV_H
#define PROCMESH_PAL_LANDLOCK_ABI_PRIV_H

/*
 * The kernel's Landlock interface, ABI 1 to 7, whatever the age of the headers
 * that this is compiled with: what is enforced depends on the kernel that the
 * program runs on, and that is found out then.
 */

#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>

/* The same numbers on every architecture. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13) /* ABI 2 */
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0) /* ABI 4 */
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#define PAL__LANDLOCK_RULE_NET_PORT 2 /* an enumerator in the kernel's header */
#else
#define PAL__LANDLOCK_RULE_NET_PORT LANDLOCK_RULE_NET_PORT
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)
#endif

/*
 * struct landlock_ruleset_attr as of ABI 6. An older kernel takes the longer
 * struct as long as the members that it does not know are zero.
 */
struct pal__landlock_ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct pal__landlock_net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

#endif
