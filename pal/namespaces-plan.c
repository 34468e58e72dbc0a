/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/clone-priv.h>
#include <pal/util-priv.h>

/* What namespaces.c has been told, made ready for the child (namespaces-child.c). */

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* By the number of the PAL_NS_ bit. */
static const struct {
	int flag;
	const char *name;
} kinds[PAL__NS_KINDS] = {
	{CLONE_NEWUSER, "user"},
	{CLONE_NEWNS, "mount"},
	{CLONE_NEWPID, "pid"},
	{CLONE_NEWIPC, "ipc"},
	{CLONE_NEWUTS, "uts"},
	{CLONE_NEWNET, "network"},
	{CLONE_NEWCGROUP, "cgroup"},
	{CLONE_NEWTIME, "time"},
};

static unsigned kind_of(unsigned which)
{
	return (unsigned)__builtin_ctz(which);
}

static unsigned joined_flags(const struct pal__namespaces *namespaces)
{
	unsigned flags = 0;

	for (size_t i = 0; i < namespaces->join_count; i++)
		flags |= namespaces->joins[i].which;
	return flags;
}

bool pal__has_capability(unsigned number)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(number)].effective & CAP_TO_MASK(number);
}

static bool has_pid(const struct pal_builder *builder)
{
	const struct pal__namespaces *asked = &builder->namespaces;

	return (asked->flags | joined_flags(asked)) & PAL_NS_PID;
}

/* ---- whether a builder can be spawned from ---- */

static int invalid(struct pal_error *error, const char *what)
{
	return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "%s", what);
}

static int check_root(const struct pal_builder *builder, unsigned all, struct pal_error *error)
{
	for (size_t i = 0; i < builder->root.count; i++) {
		const struct pal__mount *mount = &builder->root.items[i];
		enum pal__mount_kind kind = mount->kind;

		/* the process would not see it: its root is what lies below */
		if (pal__mount_is_root(mount) && !builder->root.private_root)
			return invalid(error, "mount on / without a private root");
		/* it would cover all that the others have been asked for */
		if (pal__mount_is_root(mount) && i > 0)
			return invalid(error, "mount on / that is not the first");
		if (kind == PAL__MOUNT_PROC && !(all & PAL_NS_PID))
			return invalid(error, "mount_proc without a pid namespace");
		if (kind == PAL__MOUNT_SYMLINK && !builder->root.private_root)
			return invalid(error, "symbolic link without a private root");
	}
	return 0;
}

static int check_requests(const struct pal_builder *builder, struct pal_error *error)
{
	const struct pal__namespaces *asked = &builder->namespaces;
	unsigned joined = joined_flags(asked);
	bool maps = asked->uids.lines || asked->gids.lines || asked->setgroups;

	if (asked->flags & joined)
		return invalid(error, "a namespace both new and joined");
	if (maps && !(asked->flags & PAL_NS_USER))
		return invalid(error, "id map without a new user namespace");
	if (asked->forbid_user && !(asked->flags & PAL_NS_USER))
		return invalid(error, "forbid_user_namespaces without a new one");
	if (asked->init && !has_pid(builder))
		return invalid(error, "pid_init without a pid namespace");
	return check_root(builder, asked->flags | joined, error);
}

/* The user to whom a namespace belongs. 0 or a negative errno. */
static int owner_of(const struct pal__join *join, uid_t *ret)
{
	PAL_CLEANUP_CLOSE int user = -1;

	if (join->which == PAL_NS_USER)
		return ioctl(join->fd, NS_GET_OWNER_UID, ret) < 0 ? -errno : 0;
	user = ioctl(join->fd, NS_GET_USERNS);
	if (user < 0)
		return -errno;
	return ioctl(user, NS_GET_OWNER_UID, ret) < 0 ? -errno : 0;
}

/*
 * The first user namespace of all has no owner to ask for, and those around ours
 * are not shown to us (-EPERM): nobody below us has made either.
 */
static int check_join(const struct pal__join *join, struct pal_error *error)
{
	const char *name = kinds[kind_of(join->which)].name;
	int type = ioctl(join->fd, NS_GET_NSTYPE), r;
	uid_t owner;

	if (type < 0 && errno != ENOTTY)
		r = -errno;
	else if (type != kinds[kind_of(join->which)].flag)
		r = -EINVAL;
	else {
		r = owner_of(join, &owner);
		if (r == -EPERM || (r >= 0 && (owner == 0 || owner == geteuid())))
			return 0;
		if (r >= 0)
			r = -EPERM;
	}
	pal_error_set(
		error, PAL_STAGE_NAMESPACE, r, "descriptor %d as %s namespace", join->fd, name);
	if (error)
		error->index = (int)join->which;
	return r;
}

int pal__namespaces_check(const struct pal_builder *builder, struct pal_error *error)
{
	const struct pal__namespaces *asked = &builder->namespaces;
	int r = check_requests(builder, error);

	for (size_t i = 0; r >= 0 && i < asked->join_count; i++)
		r = check_join(&asked->joins[i], error);
	return r;
}

/* ---- how the child gets into them ---- */

static bool is_own_id(const struct pal__id_map *map, unsigned id)
{
	return !map->lines || (map->lines == 1 && map->count == 1 && map->outside == id);
}

static bool denies_setgroups(const struct pal__namespaces *asked)
{
	if (asked->setgroups == PAL__SETGROUPS_UNSAID)
		return !pal__has_capability(CAP_SETGID);
	return asked->setgroups == PAL__SETGROUPS_DENIED;
}

/*
 * The process in the new namespace may write one line with its own id, and for
 * groups only without setgroups(2); everything else is for somebody outside who
 * has CAP_SETUID and CAP_SETGID there.
 */
static bool needs_helper(const struct pal__namespaces *asked)
{
	return !is_own_id(&asked->uids, geteuid()) || !is_own_id(&asked->gids, getegid()) ||
	       !denies_setgroups(asked);
}

/*
 * Whether a process of ours can write them that shares our memory: mapper-priv.h. Not if it were the
 * first of a pid namespace that we have made for children: all of that ends with the first.
 * ThreadSanitizer keeps books for each thread, which two processes that run at once would spoil.
 */
static bool can_have_mapper(void)
{
#ifdef PAL__CLONE_FOR_TSAN
	return false;
#else
	struct stat own, of_children;

	return stat("/proc/self/ns/pid", &own) == 0 &&
	       stat("/proc/self/ns/pid_for_children", &of_children) == 0 &&
	       own.st_ino == of_children.st_ino && own.st_dev == of_children.st_dev;
#endif
}

static int flags_of_birth(const struct pal__namespaces *asked)
{
	return (asked->flags & PAL_NS_USER ? CLONE_NEWUSER : 0) |
	       (asked->flags & PAL_NS_PID ? CLONE_NEWPID : 0);
}

/*
 * Up to two processes less, and as many copies of our memory: the child is cloned into its
 * user and pid namespaces. Not where it has something to do before, as who it is here.
 */
static int born_inside(const struct pal_builder *builder, bool program)
{
	const struct pal__namespaces *asked = &builder->namespaces;

	if (!program || asked->join_count || builder->process.cgroup_fd >= 0 ||
		builder->process.procs_count)
		return 0;
	if (asked->flags & PAL_NS_USER && needs_helper(asked) && !can_have_mapper())
		return 0;
	return flags_of_birth(asked);
}

bool pal__namespaces_divide(const struct pal_builder *builder, bool program)
{
	return has_pid(builder) && !(born_inside(builder, program) & CLONE_NEWPID);
}

bool pal__namespaces_hide_parent(const struct pal_builder *builder)
{
	return has_pid(builder);
}

bool pal__namespaces_init(const struct pal_builder *builder, bool program)
{
	return has_pid(builder) && (builder->namespaces.init || !program);
}

/*
 * A user namespace changes credentials, and a time namespace the clocks' pages;
 * who makes another process of itself must not do so in our memory either.
 */
bool pal__namespaces_share_memory(const struct pal_builder *builder)
{
	const struct pal__namespaces *asked = &builder->namespaces;
	unsigned all = asked->flags | joined_flags(asked);

	if (all & (PAL_NS_USER | PAL_NS_TIME))
		return false;
	return !(all & PAL_NS_PID) || (born_inside(builder, true) && !asked->init);
}

/* ---- the plan ---- */

#define NO_ID ((unsigned)-1)

/* What `id` is inside, NO_ID: nothing. Line by line: "inside outside count". */
static unsigned inside_of(const struct pal__id_map *map, unsigned id)
{
	const char *line = map->text;
	unsigned inside, outside, count;

	for (; line && sscanf(line, "%u %u %u", &inside, &outside, &count) == 3;
		line = strchr(line, '\n') + 1)
		if (id >= outside && id - outside < count)
			return inside + (id - outside);
	return map->text ? NO_ID : id;
}

/* The three may be different users, of whom not all have a number inside. */
static unsigned same_user(const struct pal__id_map *map)
{
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) < 0 || real != effective || saved != effective)
		return NO_ID;
	return inside_of(map, effective);
}

static void plan_map(struct pal__map_plan *plan, const struct pal__id_map *map, unsigned id)
{
	snprintf(plan->own, sizeof plan->own, "%u %u 1\n", id, id);
	plan->text = map->text;
	plan->size = strlen(map->text ? map->text : plan->own);
	plan->first = inside_of(map, id) == NO_ID ? map->inside : NO_ID;
}

static void plan_user(struct pal__ns_plan *plan, const struct pal_builder *builder)
{
	const struct pal__namespaces *asked = &builder->namespaces;

	plan->user = asked->flags & PAL_NS_USER;
	if (!plan->user)
		return;
	plan->deny_setgroups = denies_setgroups(asked);
	plan->mapper = plan->born & CLONE_NEWUSER && needs_helper(asked);
	plan->helper = !plan->born && needs_helper(asked);
	plan_map(&plan->uids, &asked->uids, geteuid());
	plan_map(&plan->gids, &asked->gids, getegid());
	plan->same_uid = same_user(&asked->uids);
	plan->drop_groups = builder->process.groups_kind == PAL__GROUPS_UNSAID;
}

static int call_fork(void)
{
	return fork();
}

void pal__ns_plan_make(struct pal__ns_plan *plan, const struct pal_builder *builder, bool program,
	const int sockets[2])
{
	const struct pal__namespaces *asked = &builder->namespaces;

	*plan = (struct pal__ns_plan){
		.used = asked->flags || asked->join_count,
		.joins = asked->joins,
		.join_count = asked->join_count,
		.divides = sockets[0] >= 0,
		.sockets = {sockets[0], sockets[1]},
		.init = pal__namespaces_init(builder, program),
		.fork_call = program ? NULL : call_fork,
		.hostname = asked->hostname,
		.hostname_length = asked->hostname ? strlen(asked->hostname) : 0,
		.loopback = asked->loopback,
		.forbid_user = asked->forbid_user,
		.user_joined = joined_flags(asked) & PAL_NS_USER,
		.pid_joined = joined_flags(asked) & PAL_NS_PID,
		.same_uid = NO_ID,
	};
	for (unsigned kind = kind_of(PAL_NS_MOUNT); kind < PAL__NS_KINDS; kind++)
		if (asked->flags >> kind & 1)
			plan->unshared |= kinds[kind].flag;
	/* who does not divide must be born in its pid namespace, whatever has changed since that was decided */
	if (!plan->divides && asked->flags & PAL_NS_PID)
		plan->born = flags_of_birth(asked);
	else if (!plan->divides)
		plan->born = born_inside(builder, program);
	plan->unshared &= ~plan->born;
	if (plan->join_count)
		plan->user_joined_last = pal__has_capability(CAP_SYS_ADMIN);
	plan_user(plan, builder);
}
