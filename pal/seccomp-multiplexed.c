/* SPDX-License-Identifier: MIT */
#include <pal/seccomp-priv.h>

#include <string.h>

#include <pal/util-priv.h>

/*
 * Older architectures (i386, s390, powerpc) can make these calls through another one, too,
 * whose first argument says which: a rule about a call is one about that as well.
 */

#define SOCKETCALL "socketcall", UINT32_MAX
#define IPC "ipc", 0xffff /* above it is a version */

static const struct {
	const char *name;
	struct pal__seccomp_multiplexer by;
} multiplexed[] = {
	{"socket", {SOCKETCALL, 1}},
	{"bind", {SOCKETCALL, 2}},
	{"connect", {SOCKETCALL, 3}},
	{"listen", {SOCKETCALL, 4}},
	{"accept", {SOCKETCALL, 5}},
	{"getsockname", {SOCKETCALL, 6}},
	{"getpeername", {SOCKETCALL, 7}},
	{"socketpair", {SOCKETCALL, 8}},
	{"send", {SOCKETCALL, 9}},
	{"recv", {SOCKETCALL, 10}},
	{"sendto", {SOCKETCALL, 11}},
	{"recvfrom", {SOCKETCALL, 12}},
	{"shutdown", {SOCKETCALL, 13}},
	{"setsockopt", {SOCKETCALL, 14}},
	{"getsockopt", {SOCKETCALL, 15}},
	{"sendmsg", {SOCKETCALL, 16}},
	{"recvmsg", {SOCKETCALL, 17}},
	{"accept4", {SOCKETCALL, 18}},
	{"recvmmsg", {SOCKETCALL, 19}},
	{"sendmmsg", {SOCKETCALL, 20}},
	{"semop", {IPC, 1}},
	{"semget", {IPC, 2}},
	{"semctl", {IPC, 3}},
	{"semtimedop", {IPC, 4}},
	{"msgsnd", {IPC, 11}},
	{"msgrcv", {IPC, 12}},
	{"msgget", {IPC, 13}},
	{"msgctl", {IPC, 14}},
	{"shmat", {IPC, 21}},
	{"shmdt", {IPC, 22}},
	{"shmget", {IPC, 23}},
	{"shmctl", {IPC, 24}},
};

const struct pal__seccomp_multiplexer *pal__seccomp_multiplexer(const char *name)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(multiplexed); i++)
		if (!strcmp(multiplexed[i].name, name))
			return &multiplexed[i].by;
	return NULL;
}

bool pal__seccomp_multiplexed_rule(const struct pal__seccomp_rule *rule, bool allows,
	const struct pal__seccomp_multiplexer *by, unsigned number, struct pal__seccomp_rule *ret)
{
	/* the call's own arguments are in memory there: what cannot be checked is not allowed */
	if (allows && rule->count)
		return false;
	*ret = (struct pal__seccomp_rule){
		.number = number,
		.verdict = rule->verdict,
		.count = 1,
		.conditions = {{.op = PAL_SECCOMP_EQ, .value = by->which, .mask = by->mask}},
	};
	return true;
}
