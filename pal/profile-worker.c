/* SPDX-License-Identifier: MIT */
#include <pal/profile-ready-priv.h>

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <pal/builder-priv.h>
#include <pal/namespaces.h>
#include <pal/profile-pure-priv.h>
#include <pal/util-priv.h>

/*
 * The ready-made profile for builds. Landlock keeps it from opening files and from processes outside. It knows
 * no right to change a file's mode, owner, times and attributes, and a filter does not see whose file a path is: so
 * mounts are read-only but for its folders. System V's objects are in a namespace
 * of its own, because there are no files or rights that could tell its from those of others.
 */

#define INT_MASK 0xffffffffu
#define TYPE_MASK (INT_MASK & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
#define IOPRIO_OF_PROCESS 1     /* IOPRIO_WHO_PROCESS of linux/ioprio.h, of Linux 5.15 */
#define LANDLOCK_WITH_SIGNALS 6 /* ABI */

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

/* A pair that is connected for good. With one of datagrams, messages can be sent to any path. */
static int refuse_datagrams(struct pal_seccomp *filter, struct pal_error *error)
{
	static const unsigned types[] = {SOCK_STREAM, SOCK_SEQPACKET};
	int r = pal_seccomp_rule(filter, PAL__PURE_REFUSED, "socketpair", error);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(types) && r >= 0; i++) {
		const struct pal_seccomp_compare conditions[] = {
			{.arg = 0, .value = AF_UNIX, .mask = INT_MASK},
			{.arg = 1, .value = types[i], .mask = TYPE_MASK}};

		r = pal_seccomp_rule_compare(
			filter, PAL_SECCOMP_ALLOW, "socketpair", conditions, 2, error);
	}
	return r;
}

/*
 * Scheduling and limits of a user's other processes are nobody's but that user's, and none of Landlock's: these
 * calls are for the caller alone, which is 0 to them. The error is the kernel's, for what is not one's own.
 */
static int refuse_others(struct pal_seccomp *filter, struct pal_error *error)
{
	static const struct {
		const char *name;
		unsigned arg;
		unsigned own;
	} calls[] = {{"sched_setaffinity", 0, 0}, {"sched_setattr", 0, 0}, {"sched_setparam", 0, 0},
		{"sched_setscheduler", 0, 0}, {"setpriority", 0, PRIO_PROCESS},
		{"setpriority", 1, 0}, {"ioprio_set", 0, IOPRIO_OF_PROCESS}, {"ioprio_set", 1, 0}};
	static const struct pal_seccomp_compare limits[] = {
		{.arg = 0, .op = PAL_SECCOMP_NE, .value = 0, .mask = INT_MASK},
		{.arg = 2, .op = PAL_SECCOMP_NE, .value = 0, .mask = UINT64_MAX}};
	int r = pal_seccomp_rule_compare(
		filter, PAL_SECCOMP_ERRNO(EPERM), "prlimit64", limits, 2, error);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(calls) && r >= 0; i++) {
		const struct pal_seccomp_compare another = {.arg = calls[i].arg,
			.op = PAL_SECCOMP_NE,
			.value = calls[i].own,
			.mask = INT_MASK};

		r = pal_seccomp_rule_compare(
			filter, PAL_SECCOMP_ERRNO(EPERM), calls[i].name, &another, 1, error);
	}
	return r;
}

/* What is put into a terminal's input is read by whoever else has it. */
static int refuse_typing(struct pal_seccomp *filter, struct pal_error *error)
{
	static const unsigned requests[] = {TIOCSTI, TIOCLINUX};
	int r = 0;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(requests) && r >= 0; i++)
		r = pal_seccomp_rule_masked(
			filter, PAL__PURE_REFUSED, "ioctl", 1, INT_MASK, requests[i], error);
	return r;
}

/* What a compiler, a shell and make do; nothing that leaves the machine or looks at others. */
static int add_building(struct pal_seccomp *filter, struct pal_error *error)
{
	static const char *const hostile[] = {"bpf", "io_uring_setup", "perf_event_open",
		"process_vm_readv", "process_vm_writev", "ptrace", "userfaultfd", NULL};
	static const char *const outside[] = {
		"add_key", "keyctl", "request_key", "socket", "socketcall", NULL};
	int r = pal_seccomp_group(filter, PAL_SECCOMP_ALLOW, "@system-service", error);

	if (r >= 0)
		r = pal_seccomp_rules(filter, PAL_SECCOMP_KILL, hostile, error);
	if (r >= 0) /* also local ones: Landlock does not stop a connection to a path */
		r = pal_seccomp_rules(filter, PAL__PURE_REFUSED, outside, error);
	if (r >= 0)
		r = refuse_datagrams(filter, error);
	if (r >= 0)
		r = refuse_others(filter, error);
	if (r >= 0)
		r = refuse_typing(filter, error);
	return r < 0 ? r : refuse_namespaces(filter, error);
}

static int make_filter(struct pal_seccomp **ret, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int r = pal_seccomp_new(PAL__PURE_OTHERWISE, &filter, error);

	if (r < 0)
		return r;
	r = add_building(filter, error);
	if (r < 0) {
		pal_seccomp_free(filter);
		return r;
	}
	*ret = filter;
	return 0;
}

/* Without the privilege to mount it takes a user namespace, in which it has that. */
static void set_view(const struct pal__ready *ready, struct pal_builder *builder)
{
	unsigned own = PAL_NS_MOUNT | PAL_NS_IPC;

	if (!pal__has_capability(CAP_SYS_ADMIN))
		own |= PAL_NS_USER;
	if (pal_landlock_abi() < LANDLOCK_WITH_SIGNALS) {
		own |= PAL_NS_PID;
		pal_builder_pid_init(builder, true);
	}
	pal_builder_namespaces(builder, own);
	pal__builder_read_only_but(builder, (const char *const *)ready->paths);
	if (ready->path_count) /* compilers would take /tmp */
		pal_builder_env(builder, "TMPDIR", ready->paths[0]);
}

int pal__ready_apply_worker(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const struct pal__ready *ready = profile->data;
	struct pal_landlock *ruleset = NULL;
	struct pal_seccomp *filter = NULL;
	int r = pal__ready_ruleset(ready, builder, false,
		PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE | PAL_LANDLOCK_EXECUTE, &ruleset, error);

	if (r >= 0)
		r = make_filter(&filter, error);
	if (r >= 0) {
		set_view(ready, builder);
		pal_builder_no_new_privs(builder, true);
		pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
		pal_builder_landlock(builder, ruleset);
		pal_builder_seccomp(builder, filter);
	}
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	return r;
}
