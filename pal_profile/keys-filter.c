/* SPDX-License-Identifier: MIT */
#include <pal_profile/keys-priv.h>

#include <errno.h>
#include <pal/namespaces.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <pal/util-priv.h>
#include <pal_profile/value-priv.h>

/* Keys that become a filter for system calls: filter.c makes it. */

#define FILTER(member) offsetof(struct pal_profile__stage, filter.member)

static struct pal_profile__filter *filter_of(struct pal_profile__context *context)
{
	return &context->stage->filter;
}

/* "EPERM", "13", "kill" */
static int read_action(const char *text, int *ret)
{
	if (strcmp(text, "kill") != 0)
		return pal_profile__errno(text, ret);
	*ret = PAL_SECCOMP_KILL;
	return 0;
}

/* Whether the name is one: the compiler of filters knows. */
static int check_call(const char *name)
{
	struct pal_seccomp *filter;
	int r;

	if (*name == '@')
		return pal_seccomp_group_members(name) ? 0 : -EINVAL;
	r = pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, NULL);
	if (r < 0)
		return r;
	r = pal_seccomp_rule(filter, PAL_SECCOMP_KILL, name, NULL);
	pal_seccomp_free(filter);
	return r;
}

static int add_call(struct pal_profile__calls *calls, const struct pal_profile__call *call)
{
	struct pal_profile__call *items;

	if (calls->count >= PAL_PROFILE__MOST)
		return -E2BIG;
	items = reallocarray(calls->items, calls->count + 1, sizeof *items);
	if (!items)
		return -ENOMEM;
	calls->items = items;
	items[calls->count] = *call;
	items[calls->count].name = strdup(call->name);
	if (!items[calls->count].name)
		return -ENOMEM;
	calls->count++;
	return 0;
}

static int read_call(struct pal_profile__context *context, bool deny, char *word)
{
	struct pal_profile__call call = {.name = word, .deny = deny};
	char *action = strchr(word, ':');
	int r;

	if (action)
		*action++ = 0;
	r = check_call(word);
	if (r < 0)
		return pal_profile__bad(context, r, "there is no call or group %s", word);
	if (action && !deny)
		return pal_profile__bad(
			context, -EINVAL, "%s is allowed, not \"%s\"", word, action);
	r = action ? read_action(action, &call.action) : 0;
	if (r < 0)
		return pal_profile__bad(context, r, "%s", action);
	return pal_profile__bad(context, add_call(&filter_of(context)->calls, &call), "%s", word);
}

static void forget_calls(struct pal_profile__calls *calls)
{
	while (calls->count)
		free(calls->items[--calls->count].name);
	calls->set = false;
}

/* The first list says whether all else is denied or allowed; later ones add and take away. */
static int read_calls(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__calls *calls = &filter_of(context)->calls;
	bool deny = *value == '~';
	char *word;
	int r;

	(void)key;
	if (!*value) {
		forget_calls(calls);
		return 0;
	}
	if (!calls->set)
		calls->allow_list = !deny;
	calls->set = true;
	calls->line = context->line;
	value += deny;
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = read_call(context, deny, word);
		if (r < 0)
			return r;
	}
	return r;
}

static int read_error_number(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__filter *filter = filter_of(context);

	(void)key;
	filter->otherwise_line = context->line;
	if (*value)
		return pal_profile__bad(
			context, read_action(value, &filter->otherwise), "%s", value);
	filter->otherwise = 0;
	return 0;
}

static bool is_native(const char *name)
{
	static const char *const names[] = {
		"native",
#if defined(__x86_64__) && !defined(__ILP32__)
		"x86-64",
#elif defined(__i386__)
		"x86",
#elif defined(__aarch64__)
		"arm64",
#elif defined(__arm__)
		"arm",
#elif defined(__s390x__)
		"s390x",
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
		"ppc64-le",
#elif defined(__riscv) && __riscv_xlen == 64
		"riscv64",
#endif
	};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static int read_architectures(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	char *word;
	int r;

	(void)key;
	filter_of(context)->architectures = *value;
	while ((r = pal_profile__next(context, &value, &word)) > 0)
		if (!is_native(word))
			return pal_profile__bad(context, -EOPNOTSUPP,
				"%s: only the native one can be allowed", word);
	return r;
}

/* ---- address families ---- */

/* clang-format off */
static const struct {
	const char *name;
	unsigned number;
} families[] = {
	{"AF_UNIX", AF_UNIX}, {"AF_LOCAL", AF_LOCAL}, {"AF_INET", AF_INET}, {"AF_AX25", AF_AX25},
	{"AF_IPX", AF_IPX}, {"AF_APPLETALK", AF_APPLETALK}, {"AF_NETROM", AF_NETROM},
	{"AF_BRIDGE", AF_BRIDGE}, {"AF_ATMPVC", AF_ATMPVC}, {"AF_X25", AF_X25},
	{"AF_INET6", AF_INET6}, {"AF_ROSE", AF_ROSE}, {"AF_NETBEUI", AF_NETBEUI},
	{"AF_SECURITY", AF_SECURITY}, {"AF_KEY", AF_KEY}, {"AF_NETLINK", AF_NETLINK},
	{"AF_ROUTE", AF_ROUTE}, {"AF_PACKET", AF_PACKET}, {"AF_ECONET", AF_ECONET},
	{"AF_ATMSVC", AF_ATMSVC}, {"AF_RDS", AF_RDS}, {"AF_SNA", AF_SNA}, {"AF_IRDA", AF_IRDA},
	{"AF_PPPOX", AF_PPPOX}, {"AF_WANPIPE", AF_WANPIPE}, {"AF_LLC", AF_LLC}, {"AF_IB", AF_IB},
	{"AF_MPLS", AF_MPLS}, {"AF_CAN", AF_CAN}, {"AF_TIPC", AF_TIPC},
	{"AF_BLUETOOTH", AF_BLUETOOTH}, {"AF_IUCV", AF_IUCV}, {"AF_RXRPC", AF_RXRPC},
	{"AF_ISDN", AF_ISDN}, {"AF_PHONET", AF_PHONET}, {"AF_IEEE802154", AF_IEEE802154},
	{"AF_CAIF", AF_CAIF}, {"AF_ALG", AF_ALG}, {"AF_NFC", AF_NFC}, {"AF_VSOCK", AF_VSOCK},
	{"AF_KCM", AF_KCM}, {"AF_QIPCRTR", AF_QIPCRTR}, {"AF_SMC", AF_SMC}, {"AF_XDP", AF_XDP},
};
/* clang-format on */

_Static_assert(AF_MAX <= PAL_PROFILE__FAMILIES, "a family has a bit");

static int find_family(const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(families); i++)
		if (!strcmp(families[i].name, name)) {
			*ret |= UINT64_C(1) << families[i].number;
			return 0;
		}
	return -EINVAL;
}

static int read_families(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__filter *filter = filter_of(context);
	bool deny = *value == '~', none = !strcmp(value, "none");
	uint64_t listed = 0;
	char *word;
	int r = 0;

	(void)key;
	if (!*value) {
		filter->families_set = false;
		return 0;
	}
	value += deny;
	while (!none && (r = pal_profile__next(context, &value, &word)) > 0)
		if (find_family(word, &listed) < 0)
			return pal_profile__bad(context, -EINVAL, "%s is no address family", word);
	if (r < 0)
		return r;
	if (!filter->families_set || none)
		filter->families = deny ? UINT64_MAX : 0;
	filter->families_set = true;
	filter->families = deny ? filter->families & ~listed : filter->families | listed;
	return 0;
}

/* ---- namespaces ---- */

#define ALL_NAMESPACES                                                                             \
	(PAL_NS_USER | PAL_NS_MOUNT | PAL_NS_PID | PAL_NS_IPC | PAL_NS_UTS | PAL_NS_NET |          \
		PAL_NS_CGROUP | PAL_NS_TIME)

static int find_namespace(const char *name, unsigned *ret)
{
	static const struct {
		const char *name;
		unsigned flag;
	} kinds[] = {{"cgroup", PAL_NS_CGROUP}, {"ipc", PAL_NS_IPC}, {"net", PAL_NS_NET},
		{"mnt", PAL_NS_MOUNT}, {"pid", PAL_NS_PID}, {"user", PAL_NS_USER},
		{"uts", PAL_NS_UTS}, {"time", PAL_NS_TIME}};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(kinds); i++)
		if (!strcmp(kinds[i].name, name)) {
			*ret |= kinds[i].flag;
			return 0;
		}
	return -EINVAL;
}

static int read_namespaces(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__filter *filter = filter_of(context);
	bool on = false, deny = *value == '~';
	unsigned listed = 0;
	char *word;
	int r;

	(void)key;
	if (!*value || pal_profile__bool(value, &on) >= 0) {
		filter->namespaces_set = on;
		filter->namespaces = 0;
		return 0;
	}
	value += deny;
	while ((r = pal_profile__next(context, &value, &word)) > 0)
		if (find_namespace(word, &listed) < 0)
			return pal_profile__bad(
				context, -EINVAL, "%s is no kind of namespace", word);
	if (r < 0)
		return r;
	if (!filter->namespaces_set)
		filter->namespaces = deny ? ALL_NAMESPACES : 0;
	filter->namespaces_set = true;
	filter->namespaces = deny ? filter->namespaces & ~listed : filter->namespaces | listed;
	return 0;
}

static int read_personality(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	filter_of(context)->personality_line = context->line;
	return pal_profile__read_bool(context, key, value);
}

const struct pal_profile__key pal_profile__filter_keys[] = {
	{"SystemCallFilter", read_calls, 0, 0, true},
	{"SystemCallErrorNumber", read_error_number, 0, 0, true},
	{"SystemCallArchitectures", read_architectures, 0, 0, true},
	{"RestrictAddressFamilies", read_families, 0, 0, true},
	{"RestrictNamespaces", read_namespaces, 0, 0, true},
	{"MemoryDenyWriteExecute", pal_profile__read_bool, FILTER(no_write_execute), 0, true},
	{"LockPersonality", read_personality, FILTER(lock_personality), 0, true},
	{"RestrictRealtime", pal_profile__read_bool, FILTER(no_realtime), 0, true},
	{"RestrictSUIDSGID", pal_profile__read_bool, FILTER(no_suid), 0, true},
	{"ProtectClock", pal_profile__read_bool, FILTER(no_clock), 0, true},
	{"ProtectHostname", pal_profile__read_bool,
		offsetof(struct pal_profile__settings, stage.filter.no_hostname), 0, false},
	{0},
};
