/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

/* The setters of namespaces.h. namespaces-plan.c makes of it what the child does. */

#define ALL_FLAGS                                                                                  \
	(PAL_NS_USER | PAL_NS_MOUNT | PAL_NS_PID | PAL_NS_IPC | PAL_NS_UTS | PAL_NS_NET |          \
		PAL_NS_CGROUP | PAL_NS_TIME)
#define ID_MAP_LINES 340 /* the kernel's UID_GID_MAP_MAX_EXTENTS */
#define HOSTNAME_MAX 64

void pal__namespaces_clear(struct pal__namespaces *namespaces)
{
	free(namespaces->uids.text);
	free(namespaces->gids.text);
	free(namespaces->hostname);
	*namespaces = (struct pal__namespaces){0};
}

void pal_builder_namespaces(struct pal_builder *builder, unsigned flags)
{
	if (!builder)
		return;
	if (flags & ~ALL_FLAGS)
		pal__builder_check(builder, -EINVAL, "namespace flags");
	else
		builder->namespaces.flags |= flags;
}

/* ---- user namespaces ---- */

static bool is_range(unsigned first, unsigned count)
{
	return count && first + (count - 1) >= first && first + (count - 1) != (unsigned)-1;
}

/* Whole lines: each ends where the next begins. */
static bool has_line(const struct pal__id_map *map, const char *line)
{
	const char *at = map->text;

	while (at && (at = strstr(at, line)) && at > map->text && at[-1] != '\n')
		at++;
	return at;
}

static int add_line(struct pal__id_map *map, unsigned inside, unsigned outside, unsigned count)
{
	char line[PAL__ID_LINE_SIZE], *text;

	if (!is_range(inside, count) || !is_range(outside, count))
		return -EINVAL;
	snprintf(line, sizeof line, "%u %u %u\n", inside, outside, count);
	if (has_line(map, line)) /* two profiles that say the same */
		return 0;
	if (map->lines == ID_MAP_LINES)
		return -EINVAL;
	if (asprintf(&text, "%s%s", map->text ? map->text : "", line) < 0)
		return -ENOMEM;
	free(map->text);
	map->text = text;
	if (map->lines++ == 0) {
		map->inside = inside;
		map->outside = outside;
		map->count = count;
	}
	return 0;
}

void pal_builder_map_uid(struct pal_builder *builder, uid_t inside, uid_t outside, unsigned count)
{
	if (builder)
		pal__builder_check(builder,
			add_line(&builder->namespaces.uids, inside, outside, count), "map of uids");
}

void pal_builder_map_gid(struct pal_builder *builder, gid_t inside, gid_t outside, unsigned count)
{
	if (builder)
		pal__builder_check(builder,
			add_line(&builder->namespaces.gids, inside, outside, count), "map of gids");
}

void pal_builder_deny_setgroups(struct pal_builder *builder, bool on)
{
	if (!builder)
		return;
	if (builder->sandbox.settled && builder->namespaces.setgroups == PAL__SETGROUPS_DENIED)
		return; /* by a profile */
	builder->namespaces.setgroups = on ? PAL__SETGROUPS_DENIED : PAL__SETGROUPS_ALLOWED;
}

void pal_builder_forbid_user_namespaces(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->namespaces.forbid_user =
			on || (builder->sandbox.settled && builder->namespaces.forbid_user);
}

/* ---- the others ---- */

void pal_builder_join_namespace(struct pal_builder *builder, unsigned which, int fd)
{
	struct pal__namespaces *namespaces;
	size_t i = 0;

	if (!builder)
		return;
	namespaces = &builder->namespaces;
	if (fd < 0 || !which || which & ~ALL_FLAGS || which & (which - 1)) {
		pal__builder_fail(builder, PAL_STAGE_ARGUMENT, fd < 0 ? -EBADF : -EINVAL,
			"namespace %#x to join by descriptor %d", which, fd);
		return;
	}
	while (i < namespaces->join_count && namespaces->joins[i].which != which)
		i++;
	namespaces->joins[i] = (struct pal__join){which, fd};
	if (i == namespaces->join_count)
		namespaces->join_count++;
}

void pal_builder_pid_init(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->namespaces.init = on;
}

void pal_builder_hostname(struct pal_builder *builder, const char *name)
{
	if (!builder)
		return;
	if (!name || !*name || strlen(name) > HOSTNAME_MAX) {
		pal__builder_check(builder, -EINVAL, "hostname");
		return;
	}
	pal__builder_check(
		builder, pal__builder_replace(&builder->namespaces.hostname, name), "hostname");
	builder->namespaces.flags |= PAL_NS_UTS;
}

void pal_builder_loopback(struct pal_builder *builder, bool on)
{
	if (!builder)
		return;
	builder->namespaces.loopback = on;
	if (on)
		builder->namespaces.flags |= PAL_NS_NET;
}
