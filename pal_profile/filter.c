/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pal/namespaces.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <pal/util-priv.h>

/*
 * The filter that a stage asks for. First what SystemCallFilter= says, then, as
 * the later rules count, what the other keys take away from it: so these only touch calls
 * that would be allowed. Calls that are newer than this library are ENOSYS, because they
 * may do what a key here denies by another name (fchmodat2).
 */

#define INT_MASK 0xffffffffu
#define DENIED PAL_SECCOMP_ERRNO(EPERM)

#ifndef SHM_EXEC
#define SHM_EXEC 0100000
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifdef __s390__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

struct making {
	const struct pal_profile__filter *asked;
	struct pal_seccomp *filter;
	struct pal_error *error;
};

/* ---- SystemCallFilter= ---- */

static bool is_in(const char *group, const char *name)
{
	const char *const *members = pal_seccomp_group_members(group);

	for (; members && *members; members++)
		if (!strcmp(*members, name) || (**members == '@' && is_in(*members, name)))
			return true;
	return false;
}

static bool is_about(const struct pal_profile__call *call, const char *name)
{
	return *call->name == '@' ? is_in(call->name, name) : !strcmp(call->name, name);
}

bool pal_profile__allows(const struct pal_profile__filter *asked, const char *name)
{
	const struct pal_profile__calls *calls = &asked->calls;
	bool allowed = !calls->set || !calls->allow_list || is_in("@default", name);

	for (size_t i = 0; i < calls->count; i++)
		if (is_about(&calls->items[i], name))
			allowed = !calls->items[i].deny;
	return allowed;
}

static int denial(const struct pal_profile__filter *asked)
{
	return asked->otherwise ? asked->otherwise : PAL_SECCOMP_KILL;
}

/* Members that libseccomp has no name for are newer than those it has: ENOSYS, whatever is said of them. */
static int add_known(struct making *making, int action, const char *name)
{
	int r = pal_seccomp_rule(making->filter, action, name, NULL);

	if (r == -EINVAL)
		return 0;
	return r < 0 ? pal_error_set(making->error, PAL_STAGE_SECCOMP, r, "%s", name) : 0;
}

static int add_group(struct making *making, int action, const char *group)
{
	const char *const *members = pal_seccomp_group_members(group);
	int r = 0;

	for (; *members && r >= 0; members++)
		r = **members == '@' ? add_group(making, action, *members)
				     : add_known(making, action, *members);
	return r;
}

static int add_call(struct making *making, const struct pal_profile__call *call)
{
	int action = !call->deny    ? PAL_SECCOMP_ALLOW
		     : call->action ? call->action
				    : denial(making->asked);

	if (*call->name == '@')
		return add_group(making, action, call->name);
	return pal_seccomp_rule(making->filter, action, call->name, making->error);
}

/* The signal mask is the last thing that a child changes before it executes its program. */
static int add_calls(struct making *making)
{
	const struct pal_profile__calls *calls = &making->asked->calls;
	int r = 0;

	if (calls->set && calls->allow_list) {
		r = add_group(making, PAL_SECCOMP_ALLOW, "@default");
		if (r >= 0)
			r = pal_seccomp_rule(
				making->filter, PAL_SECCOMP_ALLOW, "rt_sigprocmask", making->error);
	}
	for (size_t i = 0; i < calls->count && r >= 0; i++)
		r = add_call(making, &calls->items[i]);
	return r;
}

/* ---- what is taken away ---- */

static int deny_where(struct making *making, int action, const char *name,
	const struct pal_seccomp_compare *conditions, size_t count)
{
	if (!pal_profile__allows(making->asked, name))
		return 0;
	return pal_seccomp_rule_compare(
		making->filter, action, name, conditions, count, making->error);
}

static int deny_masked(
	struct making *making, const char *name, unsigned arg, uint64_t mask, uint64_t value)
{
	const struct pal_seccomp_compare condition = {
		.arg = arg, .op = PAL_SECCOMP_EQ, .value = value, .mask = mask};

	return deny_where(making, DENIED, name, &condition, 1);
}

static int deny(struct making *making, int action, const char *name)
{
	if (!pal_profile__allows(making->asked, name))
		return 0;
	return pal_seccomp_rule(making->filter, action, name, making->error);
}

static int deny_group(struct making *making, const char *group)
{
	const char *const *members = pal_seccomp_group_members(group);
	int r = 0;

	for (; *members && r >= 0; members++)
		if (**members == '@')
			r = deny_group(making, *members);
		else if (pal_profile__allows(making->asked, *members))
			r = add_known(making, DENIED, *members);
	return r;
}

static int deny_families_between(
	struct making *making, const char *name, unsigned first, uint64_t last)
{
	const struct pal_seccomp_compare conditions[] = {
		{.arg = 0, .op = PAL_SECCOMP_GE, .value = first, .mask = INT_MASK},
		{.arg = 0, .op = PAL_SECCOMP_LE, .value = last, .mask = INT_MASK}};

	return deny_where(making, PAL_SECCOMP_ERRNO(EAFNOSUPPORT), name, conditions, 2);
}

static int deny_families(struct making *making, const char *name, uint64_t allowed)
{
	int r = 0;

	for (unsigned first = 0, last; first < PAL_PROFILE__FAMILIES && r >= 0; first = last + 1) {
		last = first;
		if (allowed >> first & 1)
			continue;
		while (last + 1 < PAL_PROFILE__FAMILIES && !(allowed >> (last + 1) & 1))
			last++;
		r = deny_families_between(making, name, first, last);
	}
	return r < 0 ? r : deny_families_between(making, name, PAL_PROFILE__FAMILIES, INT_MASK);
}

#define TYPE_MASK 0xfu /* what else is in a socket's type are flags */

/* One of a pair of datagram sockets can send to any address: no pairs but those that stay one. */
static int restrict_pairs(struct making *making)
{
	const struct pal_seccomp_compare unconnected[] = {
		{.arg = 1, .op = PAL_SECCOMP_NE, .value = SOCK_STREAM, .mask = TYPE_MASK},
		{.arg = 1, .op = PAL_SECCOMP_NE, .value = SOCK_SEQPACKET, .mask = TYPE_MASK}};
	const uint64_t local = UINT64_C(1) << AF_UNIX, allowed = making->asked->families;
	int r = deny_families(making, "socketpair", allowed | local);

	if (r >= 0 && !(allowed & local))
		r = deny_where(making, PAL_SECCOMP_ERRNO(EAFNOSUPPORT), "socketpair", unconnected,
			PAL_ARRAY_LENGTH(unconnected));
	return r;
}

/* socketcall(2) of older architectures hides its arguments: libc has socket(2) there, too. */
static int restrict_families(struct making *making)
{
	int r = deny(making, PAL_SECCOMP_ERRNO(ENOSYS), "socketcall");

	if (r >= 0)
		r = deny_families(making, "socket", making->asked->families);
	if (r >= 0)
		r = restrict_pairs(making);
	/* a ring makes sockets, too, and its entries are not for filters to see */
	return r < 0 ? r : deny(making, DENIED, "io_uring_setup");
}

/*
 * Stream protocols fall back to TCP (MPTCP, SMC), and newer kernels have more of them: there is
 * only TCP itself. Sockets of SCTP of the other type connect, too.
 */
static int stop_other_streams(struct making *making, unsigned family)
{
	const struct pal_seccomp_compare stream[] = {{.arg = 0, .value = family, .mask = INT_MASK},
		{.arg = 1, .value = SOCK_STREAM, .mask = TYPE_MASK},
		{.arg = 2, .op = PAL_SECCOMP_NE, .value = 0, .mask = INT_MASK},
		{.arg = 2, .op = PAL_SECCOMP_NE, .value = IPPROTO_TCP, .mask = INT_MASK}};
	const struct pal_seccomp_compare sctp[] = {{.arg = 0, .value = family, .mask = INT_MASK},
		{.arg = 2, .value = IPPROTO_SCTP, .mask = INT_MASK}};
	const int action = PAL_SECCOMP_ERRNO(EPROTONOSUPPORT);
	int r = deny_where(making, action, "socket", stream, PAL_ARRAY_LENGTH(stream));

	return r < 0 ? r : deny_where(making, action, "socket", sctp, PAL_ARRAY_LENGTH(sctp));
}

/*
 * What connects to TCP servers and is no TCP for Landlock: other protocols, and
 * messages that connect. The errors are those of a kernel without these, so that programs fall back.
 */
static int stop_port_evasion(struct making *making)
{
	static const unsigned families[] = {AF_INET, AF_INET6};
	static const struct {
		const char *name;
		unsigned arg;
	} sends[] = {{"send", 3}, {"sendto", 3}, {"sendmsg", 2}, {"sendmmsg", 3}};
	/* a TCP socket becomes one of SMC by it */
	const struct pal_seccomp_compare other_protocol[] = {
		{.arg = 1, .value = IPPROTO_TCP, .mask = INT_MASK},
		{.arg = 2, .value = TCP_ULP, .mask = INT_MASK}};
	int r = deny_families_between(making, "socket", AF_SMC, AF_SMC);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(families) && r >= 0; i++)
		r = stop_other_streams(making, families[i]);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(sends) && r >= 0; i++) {
		const struct pal_seccomp_compare condition = {
			.arg = sends[i].arg, .value = MSG_FASTOPEN, .mask = MSG_FASTOPEN};

		r = deny_where(making, PAL_SECCOMP_ERRNO(EOPNOTSUPP), sends[i].name, &condition, 1);
	}
	if (r >= 0)
		r = deny_where(making, PAL_SECCOMP_ERRNO(ENOPROTOOPT), "setsockopt", other_protocol,
			PAL_ARRAY_LENGTH(other_protocol));
	if (r >= 0) /* these hide their arguments */
		r = deny(making, PAL_SECCOMP_ERRNO(ENOSYS), "socketcall");
	return r < 0 ? r : deny(making, DENIED, "io_uring_setup");
}

static const struct {
	unsigned kind, flag;
} namespaces[] = {{PAL_NS_USER, CLONE_NEWUSER}, {PAL_NS_MOUNT, CLONE_NEWNS},
	{PAL_NS_PID, CLONE_NEWPID}, {PAL_NS_IPC, CLONE_NEWIPC}, {PAL_NS_UTS, CLONE_NEWUTS},
	{PAL_NS_NET, CLONE_NEWNET}, {PAL_NS_CGROUP, CLONE_NEWCGROUP}, {PAL_NS_TIME, CLONE_NEWTIME}};

static int restrict_namespaces(struct making *making)
{
	int r = deny(making, PAL_SECCOMP_ERRNO(ENOSYS), "clone3"); /* hides its flags */

	if (r >= 0) /* whatever kind the descriptor is of */
		r = deny_masked(making, "setns", 1, INT_MASK, 0);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(namespaces) && r >= 0; i++) {
		uint64_t flag = namespaces[i].flag;

		if (making->asked->namespaces & namespaces[i].kind)
			continue;
		r = deny_masked(making, "unshare", 0, flag, flag);
		if (r >= 0)
			r = deny_masked(making, "setns", 1, flag, flag);
		if (r >= 0 &&
			flag != CLONE_NEWTIME) /* that bit is part of a signal's number there */
			r = deny_masked(making, "clone", CLONE_FLAGS, flag, flag);
	}
	return r;
}

#define ASK_FOR_PERSONALITY 0xffffffffu

static int restrict_memory(struct making *making)
{
	const uint64_t both = PROT_WRITE | PROT_EXEC;
	/* with it all memory that is mapped to be read is code */
	const struct pal_seccomp_compare executable[] = {
		{.arg = 0, .value = READ_IMPLIES_EXEC, .mask = READ_IMPLIES_EXEC},
		{.arg = 0, .op = PAL_SECCOMP_NE, .value = ASK_FOR_PERSONALITY, .mask = INT_MASK}};
	int r = deny_masked(making, "mmap", 2, both, both);

	if (r >= 0)
		r = deny_masked(making, "mmap2", 2, both, both);
	if (r >= 0)
		r = deny_masked(making, "mprotect", 2, PROT_EXEC, PROT_EXEC);
	if (r >= 0)
		r = deny_masked(making, "pkey_mprotect", 2, PROT_EXEC, PROT_EXEC);
	if (r >= 0)
		r = deny_masked(making, "shmat", 2, SHM_EXEC, SHM_EXEC);
	if (r >= 0)
		r = deny_where(
			making, DENIED, "personality", executable, PAL_ARRAY_LENGTH(executable));
	return r < 0 ? r : deny(making, PAL_SECCOMP_ERRNO(ENOSYS), "ipc");
}

static int lock_personality(struct making *making)
{
	int now = personality(ASK_FOR_PERSONALITY);
	const struct pal_seccomp_compare conditions[] = {
		{.arg = 0, .op = PAL_SECCOMP_NE, .value = (uint32_t)now, .mask = INT_MASK},
		{.arg = 0, .op = PAL_SECCOMP_NE, .value = ASK_FOR_PERSONALITY, .mask = INT_MASK}};

	if (now < 0)
		return pal_error_set(making->error, PAL_STAGE_SECCOMP, -errno, "personality");
	return deny_where(making, DENIED, "personality", conditions, 2);
}

/* sched_setattr(2) hides its policy. */
static int restrict_realtime(struct making *making)
{
	const struct pal_seccomp_compare conditions[] = {
		{.arg = 1, .op = PAL_SECCOMP_NE, .value = SCHED_OTHER, .mask = INT_MASK},
		{.arg = 1, .op = PAL_SECCOMP_NE, .value = SCHED_BATCH, .mask = INT_MASK},
		{.arg = 1, .op = PAL_SECCOMP_NE, .value = SCHED_IDLE, .mask = INT_MASK}};
	int r = deny_where(making, DENIED, "sched_setscheduler", conditions, 3);

	return r < 0 ? r : deny(making, DENIED, "sched_setattr");
}

/* Only where something is created is there a mode in the argument: else it may be anything. */
static int restrict_created(struct making *making, const char *name, unsigned flags, uint64_t bit)
{
	static const uint64_t creating[] = {O_CREAT, O_TMPFILE & ~O_DIRECTORY};
	int r = 0;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(creating) && r >= 0; i++) {
		const struct pal_seccomp_compare conditions[] = {
			{.arg = flags, .value = creating[i], .mask = creating[i]},
			{.arg = flags + 1, .value = bit, .mask = bit}};

		r = deny_where(making, DENIED, name, conditions, PAL_ARRAY_LENGTH(conditions));
	}
	return r;
}

static int restrict_mode(struct making *making, uint64_t bit)
{
	static const struct {
		const char *name;
		unsigned arg;
	} modes[] = {{"chmod", 1}, {"fchmod", 1}, {"fchmodat", 2}, {"mkdir", 1}, {"mkdirat", 2},
		{"mknod", 1}, {"mknodat", 2}, {"creat", 1}};
	int r = 0;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(modes) && r >= 0; i++)
		r = deny_masked(making, modes[i].name, modes[i].arg, bit, bit);
	if (r >= 0)
		r = restrict_created(making, "open", 1, bit);
	return r < 0 ? r : restrict_created(making, "openat", 2, bit);
}

static int restrict_suid(struct making *making)
{
	/* each hides it, or does it for a ring */
	static const char *const hidden[] = {"openat2", "io_uring_setup"};
	int r = restrict_mode(making, S_ISUID);

	if (r >= 0)
		r = restrict_mode(making, S_ISGID);
	if (r >= 0 && pal_profile__allows(making->asked, "fchmodat2"))
		r = add_known(making, PAL_SECCOMP_ERRNO(ENOSYS), "fchmodat2");
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(hidden) && r >= 0; i++)
		r = deny(making, PAL_SECCOMP_ERRNO(ENOSYS), hidden[i]);
	return r;
}

static int restrict_hostname(struct making *making)
{
	int r = deny(making, DENIED, "sethostname");

	return r < 0 ? r : deny(making, DENIED, "setdomainname");
}

/* ---- all of it ---- */

static bool asks_for_anything(const struct pal_profile__filter *asked)
{
	return asked->calls.set || asked->architectures || asked->families_set ||
	       asked->namespaces_set || asked->no_write_execute || asked->lock_personality ||
	       asked->no_realtime || asked->no_suid || asked->no_hostname || asked->no_clock ||
	       asked->no_modules || asked->no_kernel_log || asked->no_raw_io ||
	       asked->no_port_evasion;
}

static int take_away(struct making *making)
{
	const struct pal_profile__filter *asked = making->asked;
	int r = 0;

	if (asked->families_set)
		r = restrict_families(making);
	if (r >= 0 && asked->no_port_evasion)
		r = stop_port_evasion(making);
	if (r >= 0 && asked->namespaces_set)
		r = restrict_namespaces(making);
	if (r >= 0 && asked->no_write_execute)
		r = restrict_memory(making);
	if (r >= 0 && asked->lock_personality)
		r = lock_personality(making);
	if (r >= 0 && asked->no_realtime)
		r = restrict_realtime(making);
	if (r >= 0 && asked->no_suid)
		r = restrict_suid(making);
	if (r >= 0 && asked->no_hostname)
		r = restrict_hostname(making);
	if (r >= 0 && asked->no_clock)
		r = deny_group(making, "@clock");
	if (r >= 0 && asked->no_modules)
		r = deny_group(making, "@module");
	if (r >= 0 && asked->no_raw_io)
		r = deny_group(making, "@raw-io");
	if (r >= 0 && asked->no_kernel_log)
		r = deny(making, DENIED, "syslog");
	return r;
}

int pal_profile__make_filter(
	const struct pal_profile__filter *filter, struct pal_seccomp **ret, struct pal_error *error)
{
	bool allow_list = filter->calls.set && filter->calls.allow_list;
	struct making making = {.asked = filter, .error = error};
	int r;

	if (!asks_for_anything(filter)) {
		*ret = NULL;
		return 0;
	}
	r = pal_seccomp_new(allow_list ? denial(filter) : PAL_SECCOMP_ALLOW, &making.filter, error);
	if (r < 0)
		return r;
	r = pal_seccomp_newer(making.filter, PAL_SECCOMP_ERRNO(ENOSYS), error);
	if (r >= 0)
		r = add_calls(&making);
	if (r >= 0)
		r = take_away(&making);
	if (r < 0) {
		pal_seccomp_free(making.filter);
		return r;
	}
	*ret = making.filter;
	return 0;
}
