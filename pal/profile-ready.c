/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <pal/builder.h>
#include <pal/profile-pure-priv.h>
#include <pal/util-priv.h>

/* The ready-made profiles that have parameters: a file reader, a network client, a worker for builds. */

#define INT_MASK 0xffffffffu

struct ready {
	struct pal_profile profile;
	char *text;
	char **paths; /* NULL at the end */
	size_t path_count;
	uint16_t *ports;
	size_t port_count;
};

static const struct ready *of(const struct pal_profile *profile)
{
	return profile->data;
}

static void destroy(struct pal_profile *profile)
{
	struct ready *ready = profile->data;

	for (size_t i = 0; i < ready->path_count; i++)
		free(ready->paths[i]);
	free(ready->paths);
	free(ready->ports);
	free(ready->text);
	free(ready);
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
		"/proc/self", "/sys/devices/system/cpu", NULL};
	static const char *const null[] = {"/dev/null", NULL};
	int r = allow_if_there(ruleset, programs, PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, error);

	if (r >= 0)
		r = allow_if_there(ruleset, settings, PAL_LANDLOCK_READ, error);
	if (r >= 0)
		r = allow_if_there(
			ruleset, null, PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE_FILE, error);
	return r;
}

static int allow_own(const struct ready *ready, struct pal_landlock *ruleset, unsigned access,
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

/* The ruleset of one stage on the builder, or *ret for this process. */
static int make_ruleset(const struct ready *ready, bool starting, bool all_ports, unsigned access,
	struct pal_landlock **ret, struct pal_error *error)
{
	struct pal_landlock *ruleset;
	int r = new_ruleset(all_ports, &ruleset, error);

	if (r < 0)
		return r;
	r = starting ? allow_system(ruleset, error) : 0;
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

/* Sockets of the internet that call others. */
static int add_calling(struct pal_seccomp *filter, struct pal_error *error)
{
	static const char *const calls[] = {"connect", "setsockopt", NULL};
	static const unsigned families[] = {AF_INET, AF_INET6};
	int r = pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, calls, error);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(families) && r >= 0; i++)
		for (unsigned kind = SOCK_STREAM; kind <= SOCK_DGRAM && r >= 0; kind++) {
			const struct pal_seccomp_compare conditions[] = {
				{.arg = 0, .value = families[i], .mask = INT_MASK},
				{.arg = 1,
					.value = kind,
					.mask = INT_MASK &
						~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK)}};

			r = pal_seccomp_rule_compare(
				filter, PAL_SECCOMP_ALLOW, "socket", conditions, 2, error);
		}
	return r;
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

static int start(const struct ready *ready, struct pal_builder *builder, add_rules more,
	bool all_ports, struct pal_error *error)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_seccomp *filter = NULL;
	int r = make_ruleset(ready, true, all_ports, PAL_LANDLOCK_READ, &ruleset, error);

	if (r >= 0)
		r = make_filter(pal__pure_add_starting, more, &filter, error);
	if (r >= 0)
		r = apply_made(builder, ruleset, filter, error);
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	return r;
}

static int finish(
	const struct ready *ready, add_rules more, bool all_ports, struct pal_error *error)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_seccomp *filter = NULL;
	int r = make_ruleset(ready, false, all_ports, PAL_LANDLOCK_READ, &ruleset, error);

	if (r >= 0)
		r = make_filter(pal__pure_add_finished, more, &filter, error);
	if (r >= 0)
		r = pal__pure_finalize(ruleset, filter, error);
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	return r;
}

/* ---- the three ---- */

static int apply_reader(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	return start(of(profile), builder, no_more, false, error);
}

static int finalize_reader(const struct pal_profile *profile, struct pal_error *error)
{
	return finish(of(profile), pal__pure_add_reading, false, error);
}

static int apply_client(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	return start(of(profile), builder, add_calling, !of(profile)->port_count, error);
}

static int finalize_client(const struct pal_profile *profile, struct pal_error *error)
{
	return finish(of(profile), add_calling, !of(profile)->port_count, error);
}

/* ---- a worker for builds ---- */

/* With flags that nothing which builds software has: other namespaces. */
static int refuse_namespaces(struct pal_seccomp *filter, struct pal_error *error)
{
	static const unsigned flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC,
		CLONE_NEWUTS, CLONE_NEWNET, CLONE_NEWCGROUP};
	static const char *const calls[] = {"unshare", "setns", NULL};
	int r = pal_seccomp_rules(filter, PAL_SECCOMP_ERRNO(EPERM), calls, error);

	if (r >= 0) /* hides them */
		r = pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(ENOSYS), "clone3", error);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(flags) && r >= 0; i++)
		r = pal_seccomp_rule_masked(filter, PAL_SECCOMP_ERRNO(EPERM), "clone",
			PAL__CLONE_FLAGS, flags[i], flags[i], error);
	return r;
}

/* What a compiler, a shell and make do; nothing that leaves the machine or looks at others. */
static int add_building(struct pal_seccomp *filter, struct pal_error *error)
{
	static const char *const hostile[] = {"bpf", "io_uring_setup", "perf_event_open",
		"process_vm_readv", "process_vm_writev", "ptrace", "userfaultfd", NULL};
	static const char *const outside[] = {"socket", "socketcall", NULL};
	int r = pal_seccomp_group(filter, PAL_SECCOMP_ALLOW, "@system-service", error);

	if (r >= 0)
		r = pal_seccomp_rules(filter, PAL_SECCOMP_KILL, hostile, error);
	if (r >= 0) /* also local ones: Landlock does not stop a connection to a path */
		r = pal_seccomp_rules(filter, PAL__PURE_REFUSED, outside, error);
	return r < 0 ? r : refuse_namespaces(filter, error);
}

static int apply_worker(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_seccomp *filter = NULL;
	int r = make_ruleset(of(profile), true, false,
		PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE | PAL_LANDLOCK_EXECUTE, &ruleset, error);

	if (r >= 0)
		r = make_filter(add_building, no_more, &filter, error);
	if (r >= 0) {
		pal_builder_no_new_privs(builder, true);
		pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
		pal_builder_landlock(builder, ruleset);
		pal_builder_seccomp(builder, filter);
	}
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	return r;
}

/* ---- making them ---- */

static const struct kind {
	const char *name;
	int (*apply)(const struct pal_profile *profile, struct pal_builder *builder,
		struct pal_error *error);
	int (*finalize)(const struct pal_profile *profile, struct pal_error *error);
	bool has_ports;
} kinds[] = {
	{"file-reader", apply_reader, finalize_reader, false},
	{"network-client", apply_client, finalize_client, true},
	{"build-worker", apply_worker, NULL, false},
};

static int out_of_memory(struct pal_error *error)
{
	return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "sandbox profile");
}

/* A word between quotes, with what would end or change it escaped. */
static void put_word(FILE *text, const char *word)
{
	fputs(" \"", text);
	for (; *word; word++)
		if (strchr("\"\\%", *word))
			fprintf(text, *word == '%' ? "%%%%" : "\\%c", *word);
		else if ((unsigned char)*word < 0x20 || *word == 0x7f)
			fprintf(text, "\\x%02x", (unsigned char)*word);
		else
			fputc(*word, text);
	fputc('"', text);
}

static int write_text(struct ready *ready)
{
	size_t size;
	FILE *text = open_memstream(&ready->text, &size);
	bool bad;

	if (!text)
		return -ENOMEM;
	fprintf(text, "X-Profile=%s", ready->profile.name);
	for (size_t i = 0; i < ready->path_count; i++)
		put_word(text, ready->paths[i]);
	for (size_t i = 0; i < ready->port_count; i++)
		fprintf(text, " %u", (unsigned)ready->ports[i]);
	fputc('\n', text);
	bad = ferror(text);
	bad |= fclose(text) != 0;
	ready->profile.text = ready->text;
	return bad || !ready->text ? -ENOMEM : 0;
}

static struct ready *new_ready(const struct kind *kind)
{
	struct ready *ready = calloc(1, sizeof *ready);

	if (ready)
		ready->profile = (struct pal_profile){
			.size = sizeof ready->profile,
			.name = kind->name,
			.apply = kind->apply,
			.finalize = kind->finalize,
			.data = ready,
			.destroy = destroy,
		};
	return ready;
}

static int copy_paths(struct ready *ready, const char *const *paths, size_t count)
{
	ready->paths = calloc(count + 1, sizeof *ready->paths);
	if (!ready->paths)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!paths[i] || *paths[i] != '/')
			return -EINVAL;
		ready->paths[i] = strdup(paths[i]);
		if (!ready->paths[i])
			return -ENOMEM;
		ready->path_count++;
	}
	return 0;
}

static int copy_ports(struct ready *ready, const uint16_t *ports, size_t count)
{
	ready->ports = calloc(count + 1, sizeof *ready->ports);
	if (!ready->ports)
		return -ENOMEM;
	if (count)
		memcpy(ready->ports, ports, count * sizeof *ports);
	ready->port_count = count;
	return 0;
}

/* Either `paths` or `ports`, as the kind wants. */
static int make(const struct kind *kind, const char *const *paths, const uint16_t *ports,
	size_t count, struct pal_profile **ret, struct pal_error *error)
{
	struct ready *ready;
	int r;

	if (!ret || (count && !paths && !ports))
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "%s", kind->name);
	ready = new_ready(kind);
	if (!ready)
		return out_of_memory(error);
	r = kind->has_ports ? copy_ports(ready, ports, count) : copy_paths(ready, paths, count);
	if (r >= 0)
		r = write_text(ready);
	if (r < 0) {
		destroy(&ready->profile);
		return r == -ENOMEM ? out_of_memory(error)
				    : pal_error_set(error, PAL_STAGE_ARGUMENT, r,
					      "%s wants absolute paths", kind->name);
	}
	*ret = &ready->profile;
	return 0;
}

static size_t length_of(const char *const *paths)
{
	size_t count = 0;

	while (paths && paths[count])
		count++;
	return count;
}

int pal_profile_file_reader_new(
	const char *const *paths, struct pal_profile **ret, struct pal_error *error)
{
	return make(&kinds[0], paths, NULL, length_of(paths), ret, error);
}

int pal_profile_network_client_new(
	const uint16_t *ports, size_t count, struct pal_profile **ret, struct pal_error *error)
{
	return make(&kinds[1], NULL, ports, count, ret, error);
}

int pal_profile_build_worker_new(
	const char *const *folders, struct pal_profile **ret, struct pal_error *error)
{
	return make(&kinds[2], folders, NULL, length_of(folders), ret, error);
}

/* ---- by name ---- */

static int read_ports(const char *const *words, size_t count, uint16_t *ports)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = words[i] ? strlen(words[i]) : 0;
		unsigned long port;

		if (!length || length > 5 || words[i][strspn(words[i], "0123456789")])
			return -EINVAL;
		port = strtoul(words[i], NULL, 10);
		if (port > UINT16_MAX)
			return -EINVAL;
		ports[i] = (uint16_t)port;
	}
	return 0;
}

static int make_with_ports(const struct kind *kind, const char *const *words, size_t count,
	struct pal_profile **ret, struct pal_error *error)
{
	PAL_CLEANUP_FREE uint16_t *ports = calloc(count + 1, sizeof *ports);

	if (!ports)
		return out_of_memory(error);
	if (read_ports(words, count, ports) < 0)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "%s wants ports", kind->name);
	return make(kind, NULL, ports, count, ret, error);
}

static int make_pure(size_t count, struct pal_profile **ret, struct pal_error *error)
{
	struct ready *ready;
	struct kind pure = {pal_profile_pure_compute()->name, pal_profile_pure_compute()->apply,
		pal_profile_pure_compute()->finalize, false};

	if (count)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "pure-computation has no parameters");
	ready = new_ready(&pure);
	if (!ready)
		return out_of_memory(error);
	ready->profile.text = pal_profile_pure_compute()->text;
	*ret = &ready->profile;
	return 0;
}

int pal_profile_by_name(const char *name, const char *const *parameters, size_t count,
	struct pal_profile **ret, struct pal_error *error)
{
	if (!name || !ret || (count && !parameters))
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "profile by name");
	if (!strcmp(name, "pure-computation"))
		return make_pure(count, ret, error);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return kinds[i].has_ports
				       ? make_with_ports(&kinds[i], parameters, count, ret, error)
				       : make(&kinds[i], parameters, NULL, count, ret, error);
	return pal_error_set(
		error, PAL_STAGE_ARGUMENT, -EINVAL, "there is no ready-made profile %s", name);
}
