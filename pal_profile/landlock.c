/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>

#include <pal/util-priv.h>

/* The ruleset that the X-Landlock keys ask for. */

#define PORTS (PAL_LANDLOCK_BIND | PAL_LANDLOCK_CONNECT)

/* All rights on files. The first ABI denies to refer, always, and does not know the right. */
static uint64_t file_rights(void)
{
	uint64_t rights = PAL_LANDLOCK_ALL_FILE_RIGHTS;

	return pal_landlock_abi() < 2 ? rights & ~(uint64_t)PAL_LANDLOCK_REFER : rights;
}

struct kind {
	const char *key;
	unsigned access;
};

/* A path that is wrong is the text's mistake, and not Landlock's. */
static int allow_paths(struct pal_landlock *ruleset, const struct pal_profile__list *paths,
	const struct kind *kind, const char *name, struct pal_error *error)
{
	for (size_t i = 0; i < paths->count; i++) {
		bool optional = *paths->items[i] == '-';
		const char *path = paths->items[i] + optional;
		int r = pal_landlock_allow_path(ruleset, path, kind->access, error);
		bool is_missing = r == -ENOENT || r == -ENOTDIR;

		if (is_missing && !optional)
			return pal_profile__refuse(
				error, name, paths->lines[i], kind->key, r, "%s", path);
		if (r < 0 && !is_missing)
			return r;
	}
	return 0;
}

static int allow_ports(struct pal_landlock *ruleset, const uint16_t *ports, size_t count,
	unsigned access, struct pal_error *error)
{
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++)
		r = pal_landlock_allow_port(ruleset, ports[i], access, error);
	return r;
}

static int allow(struct pal_landlock *ruleset, const struct pal_profile__landlock *asked,
	const char *name, struct pal_error *error)
{
	static const struct kind kinds[PAL_PROFILE__ACCESSES] = {
		[PAL_PROFILE__READ] = {"X-LandlockRead", PAL_LANDLOCK_READ},
		[PAL_PROFILE__WRITE] = {"X-LandlockWrite", PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE},
		[PAL_PROFILE__EXECUTE] = {"X-LandlockExecute",
			PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE},
	};
	int r = 0;

	for (size_t i = 0; i < PAL_PROFILE__ACCESSES && r >= 0; i++)
		r = allow_paths(ruleset, &asked->paths[i], &kinds[i], name, error);
	if (r >= 0)
		r = allow_ports(
			ruleset, asked->connect, asked->connect_count, PAL_LANDLOCK_CONNECT, error);
	if (r >= 0)
		r = allow_ports(ruleset, asked->bind, asked->bind_count, PAL_LANDLOCK_BIND, error);
	return r;
}

bool pal_profile__restricts_files(const struct pal_profile__landlock *landlock)
{
	bool listed = false;

	for (size_t i = 0; i < PAL_PROFILE__ACCESSES; i++)
		listed |= landlock->paths[i].count > 0;
	return landlock->restrict_files || listed;
}

bool pal_profile__restricts_ports(const struct pal_profile__landlock *landlock)
{
	return landlock->restrict_ports || landlock->connect_count || landlock->bind_count;
}

int pal_profile__make_landlock(const struct pal_profile__landlock *landlock, const char *name,
	struct pal_landlock **ret, struct pal_error *error)
{
	uint64_t scopes = (landlock->scope_signals ? PAL_LANDLOCK_SCOPE_SIGNALS : 0) |
			  (landlock->scope_sockets ? PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS : 0);
	bool files = pal_profile__restricts_files(landlock),
	     ports = pal_profile__restricts_ports(landlock);
	struct pal_landlock *ruleset;
	int r;

	if (!files && !ports && !scopes) {
		*ret = NULL;
		return 0;
	}
	r = pal_landlock_new_handling(files ? file_rights() : 0, ports ? PORTS : 0, scopes,
		landlock->best_effort ? PAL_LANDLOCK_BEST_EFFORT : 0, &ruleset, error);
	if (r < 0)
		return r;
	r = allow(ruleset, landlock, name, error);
	if (r < 0) {
		pal_landlock_free(ruleset);
		return r;
	}
	*ret = ruleset;
	return 0;
}
