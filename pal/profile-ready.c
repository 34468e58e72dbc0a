/* SPDX-License-Identifier: MIT */
#include <pal/profile-ready-priv.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <pal/builder.h>
#include <pal/process.h>
#include <pal/profile-pure-priv.h>
#include <pal/util-priv.h>

/* Ready-made profiles that have parameters: a file reader and a network client. profile-ready-new.c makes them. */

#define INT_MASK 0xffffffffu

static const struct pal__ready *of(const struct pal_profile *profile)
{
	return profile->data;
}

/* ---- rulesets ---- */

/* What is not there needs no rule. */
static int allow_if_there(struct pal_landlock *ruleset, const char *const *paths, unsigned access,
	struct pal_error *error)
{
	int r = 0;

	for (; *paths && r >= 0; paths++) {
		r = pal_landlock_allow_path(ruleset, *paths, access, error);
		if (r == -ENOENT || r == -EACCES)
			r = 0;
	}
	return r;
}

/* What programs and their libraries begin with. */
static int allow_system(struct pal_landlock *ruleset, struct pal_error *error)
{
	static const char *const programs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32", "/opt", "/nix/store", "/gnu/store", NULL};
	static const char *const settings[] = {"/etc", "/dev/urandom", "/dev/random", "/dev/zero",
		"/proc", "/sys/devices/system/cpu", NULL};
	static const char *const null[] = {"/dev/null", NULL};
	int r = allow_if_there(ruleset, programs, PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, error);

	if (r >= 0)
		r = allow_if_there(ruleset, settings, PAL_LANDLOCK_READ, error);
	if (r >= 0)
		r = allow_if_there(
			ruleset, null, PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE_FILE, error);
	return r;
}

/* The program itself may be somewhere else. One without a slash is searched, in folders of the system. */
static int allow_program(
	struct pal_landlock *ruleset, const struct pal_builder *builder, struct pal_error *error)
{
	const char *const program[] = {pal_builder_peek_program(builder), NULL};

	if (!program[0] || !strchr(program[0], '/'))
		return 0;
	return allow_if_there(ruleset, program, PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, error);
}

static int allow_own(const struct pal__ready *ready, struct pal_landlock *ruleset, unsigned access,
	struct pal_error *error)
{
	int r = 0;

	for (size_t i = 0; i < ready->path_count && r >= 0; i++)
		r = pal_landlock_allow_path(ruleset, ready->paths[i], access, error);
	for (size_t i = 0; i < ready->port_count && r >= 0; i++)
		r = pal_landlock_allow_port(ruleset, ready->ports[i], PAL_LANDLOCK_CONNECT, error);
	return r;
}

/* `all_ports`: TCP is not restricted, except that nothing is bound. */
static int new_ruleset(bool all_ports, struct pal_landlock **ret, struct pal_error *error)
{
	uint64_t files = PAL_LANDLOCK_ALL_FILE_RIGHTS;
	int abi = pal_landlock_abi();

	if (!all_ports || abi < 0)
		return pal_landlock_new(ret, error);
	files &= ~(uint64_t)(abi < 2 ? PAL_LANDLOCK_REFER : 0);
	files &= ~(uint64_t)(abi < 3 ? PAL_LANDLOCK_TRUNCATE : 0);
	files &= ~(uint64_t)(abi < 5 ? PAL_LANDLOCK_IOCTL_DEV : 0);
	return pal_landlock_new_handling(files, abi < 4 ? 0 : PAL_LANDLOCK_BIND,
		abi < 6 ? 0 : PAL_LANDLOCK_SCOPE_SIGNALS | PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS, 0,
		ret, error);
}

int pal__ready_ruleset(const struct pal__ready *ready, const struct pal_builder *builder,
	bool all_ports, unsigned access, struct pal_landlock **ret, struct pal_error *error)
{
	struct pal_landlock *ruleset;
	int r = new_ruleset(all_ports, &ruleset, error);

	if (r < 0)
		return r;
	r = builder ? allow_system(ruleset, error) : 0;
	if (r >= 0 && builder)
		r = allow_program(ruleset, builder, error);
	if (r >= 0)
		r = allow_own(ready, ruleset, access, error);
	if (r < 0) {
		pal_landlock_free(ruleset);
		return r;
	}
	*ret = ruleset;
	return 0;
}

/* ---- filters ---- */

static int no_more(struct pal_seccomp *filter, struct pal_error *error)
{
	(void)filter;
	(void)error;
	return 0;
}

#define FLAGS_OF_TYPE ((uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))

static int allow_socket(struct pal_seccomp *filter, unsigned family, unsigned type,
	unsigned protocol, struct pal_error *error)
{
	const struct pal_seccomp_compare conditions[] = {
		{.arg = 0, .value = family, .mask = INT_MASK},
		{.arg = 1, .value = type, .mask = INT_MASK & ~FLAGS_OF_TYPE},
		{.arg = 2, .value = protocol, .mask = INT_MASK}};

	return pal_seccomp_rule_compare(filter, PAL_SECCOMP_ALLOW, "socket", conditions, 3, error);
}

#define LANDLOCK_WITH_PORTS 4 /* ABI */
#define OPTION_TCP_ULP 31     /* TCP_ULP of linux/tcp.h, which netinet/in.h does not go with */

/* An upper layer, such as SMC, makes another socket of one of TCP. */
static int refuse_layers(struct pal_seccomp *filter, struct pal_error *error)
{
	static const struct pal_seccomp_compare conditions[] = {
		{.arg = 1, .value = IPPROTO_TCP, .mask = INT_MASK},
		{.arg = 2, .value = OPTION_TCP_ULP, .mask = INT_MASK}};

	return pal_seccomp_rule_compare(
		filter, PAL__PURE_REFUSED, "setsockopt", conditions, 2, error);
}

/*
 * Sockets of the internet that call others. Streams of other protocols than TCP are none of
 * Landlock's, whatever their port: MPTCP, which any TCP server answers, and SCTP.
 */
static int add_calling(struct pal_seccomp *filter, struct pal_error *error)
{
	static const char *const calls[] = {"connect", "setsockopt", NULL};
	static const unsigned families[] = {AF_INET, AF_INET6};
	static const struct {
		unsigned type, protocol;
	} kinds[] = {{SOCK_STREAM, 0}, {SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, 0},
		{SOCK_DGRAM, IPPROTO_UDP}};
	int r = pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, calls, error);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(families) && r >= 0; i++)
		for (size_t j = 0; j < PAL_ARRAY_LENGTH(kinds) && r >= 0; j++)
			r = allow_socket(
				filter, families[i], kinds[j].type, kinds[j].protocol, error);
	return r < 0 ? r : refuse_layers(filter, error);
}

typedef int (*add_rules)(struct pal_seccomp *filter, struct pal_error *error);

static int make_filter(
	add_rules first, add_rules second, struct pal_seccomp **ret, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int r = pal_seccomp_new(PAL__PURE_OTHERWISE, &filter, error);

	if (r < 0)
		return r;
	r = first(filter, error);
	if (r >= 0)
		r = second(filter, error);
	if (r < 0) {
		pal_seccomp_free(filter);
		return r;
	}
	*ret = filter;
	return 0;
}

static int apply_made(struct pal_builder *builder, struct pal_landlock *ruleset,
	struct pal_seccomp *filter, struct pal_error *error)
{
	int r = pal__pure_apply(builder, filter, error);

	if (r >= 0)
		pal_builder_landlock(builder, ruleset);
	return r;
}

static int start(const struct pal__ready *ready, struct pal_builder *builder, add_rules more,
	bool all_ports, struct pal_error *error)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_seccomp *filter = NULL;
	int r = pal__ready_ruleset(ready, builder, all_ports, PAL_LANDLOCK_READ, &ruleset, error);

	if (r >= 0)
		r = make_filter(pal__pure_add_starting, more, &filter, error);
	if (r >= 0)
		r = apply_made(builder, ruleset, filter, error);
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	return r;
}

static int finish(
	const struct pal__ready *ready, add_rules more, bool all_ports, struct pal_error *error)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_seccomp *filter = NULL;
	int r = pal__ready_ruleset(ready, NULL, all_ports, PAL_LANDLOCK_READ, &ruleset, error);

	if (r >= 0)
		r = make_filter(pal__pure_add_finished, more, &filter, error);
	if (r >= 0)
		r = pal__pure_finalize(ruleset, filter, error);
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	return r;
}

/* ---- the three ---- */

int pal__ready_apply_reader(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	return start(of(profile), builder, no_more, false, error);
}

int pal__ready_finalize_reader(const struct pal_profile *profile, struct pal_error *error)
{
	return finish(of(profile), pal__pure_add_reading, false, error);
}

/* What the kernel cannot restrict is not left open: all others would be. */
static int need_ports(const struct pal__ready *ready, struct pal_error *error)
{
	int abi = pal_landlock_abi();

	if (!ready->port_count || abi >= LANDLOCK_WITH_PORTS)
		return 0;
	if (abi < 0)
		return pal_error_set(error, PAL_STAGE_LANDLOCK, abi, "the kernel has no Landlock");
	return pal_error_set(error, PAL_STAGE_LANDLOCK, -EOPNOTSUPP,
		"the kernel has Landlock ABI %d, which restricts no ports", abi);
}

int pal__ready_apply_client(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	int r = need_ports(of(profile), error);

	if (r < 0)
		return r;
	return start(of(profile), builder, add_calling, !of(profile)->port_count, error);
}

int pal__ready_finalize_client(const struct pal_profile *profile, struct pal_error *error)
{
	int r = need_ports(of(profile), error);

	if (r < 0)
		return r;
	return finish(of(profile), add_calling, !of(profile)->port_count, error);
}
