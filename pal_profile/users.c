/* SPDX-License-Identifier: MIT */
#include <pal_profile/users-priv.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>
#include <pal_profile/value-priv.h>

#define LARGEST_ENTRY (1u << 20)

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* (uid_t)-1 means "not changed" to system calls, and 65535 did so once. */
static int read_id(const char *text, unsigned *ret)
{
	long number;
	int r = pal_profile__integer(text, 0, UINT32_MAX - 1L, &number);

	if (r >= 0 && number == UINT16_MAX)
		r = -EINVAL;
	if (r >= 0)
		*ret = (unsigned)number;
	return r;
}

/* `buffer` grows until the entry fits. -ESRCH: there is none. */
static int user_entry(const char *name, struct passwd *entry, char **buffer)
{
	for (size_t size = 1024; size <= LARGEST_ENTRY; size *= 4) {
		char *grown = realloc(*buffer, size);
		struct passwd *found = NULL;
		int code;

		if (!grown)
			return -ENOMEM;
		*buffer = grown;
		if (is_number(name))
			code = getpwuid_r(
				(uid_t)strtoul(name, NULL, 10), entry, grown, size, &found);
		else
			code = getpwnam_r(name, entry, grown, size, &found);
		if (code != ERANGE)
			return found ? 0 : code == ENOMEM ? -ENOMEM : -ESRCH;
	}
	return -E2BIG;
}

static void forget_user(struct pal_profile__process *process)
{
	free(process->user_name);
	free(process->home);
	process->user_name = process->home = NULL;
	process->user_set = false;
	process->user_group = (gid_t)-1;
}

int pal_profile__find_user(struct pal_profile__process *process, const char *name)
{
	PAL_CLEANUP_FREE char *buffer = NULL;
	struct passwd entry;
	unsigned number = 0;
	int r;

	forget_user(process);
	if (!*name)
		return 0;
	if (is_number(name)) {
		r = read_id(name, &number);
		if (r < 0)
			return r;
		process->user = number;
	}
	r = user_entry(name, &entry, &buffer);
	if (r == -ESRCH && is_number(name)) {
		process->user_set = true;
		return 0;
	}
	if (r < 0)
		return r;
	process->user = entry.pw_uid;
	process->user_group = entry.pw_gid;
	process->user_name = strdup(entry.pw_name);
	process->home = strdup(entry.pw_dir);
	process->user_set = true;
	return process->user_name && process->home ? 0 : -ENOMEM;
}

int pal_profile__find_group(const char *name, gid_t *ret)
{
	PAL_CLEANUP_FREE char *buffer = NULL;

	if (is_number(name))
		return read_id(name, ret);
	for (size_t size = 1024; size <= LARGEST_ENTRY; size *= 4) {
		char *grown = realloc(buffer, size);
		struct group entry, *found = NULL;
		int code;

		if (!grown)
			return -ENOMEM;
		buffer = grown;
		code = getgrnam_r(name, &entry, grown, size, &found);
		if (found)
			*ret = entry.gr_gid;
		if (code != ERANGE)
			return found ? 0 : code == ENOMEM ? -ENOMEM : -ESRCH;
	}
	return -E2BIG;
}

gid_t pal_profile__group_of(const struct pal_profile__process *process)
{
	return process->group_set  ? process->group
	       : process->user_set ? process->user_group
				   : (gid_t)-1;
}

/* All groups that a user by name is in, `group` among them. *ret is the caller's. */
static int groups_of(const char *user, gid_t group, gid_t **ret, size_t *ret_count)
{
	int count = 32;

	for (;;) {
		int room = count;
		gid_t *groups = calloc((size_t)room, sizeof *groups);

		if (!groups)
			return -ENOMEM;
		if (getgrouplist(user, group, groups, &count) >= 0) {
			*ret = groups;
			*ret_count = (size_t)count;
			return 0;
		}
		free(groups);
		if (count <= room) /* not that there are more: it has no memory */
			return -ENOMEM;
	}
}

int pal_profile__add_groups_of_user(struct pal_profile__process *process)
{
	PAL_CLEANUP_FREE gid_t *groups = NULL;
	size_t count = 0;
	gid_t *grown;
	int r;

	if (!process->user_name)
		return 0;
	r = groups_of(process->user_name, pal_profile__group_of(process), &groups, &count);
	if (r < 0)
		return r;
	grown = reallocarray(groups, count + process->group_count + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	groups = NULL; /* it has moved */
	for (size_t i = 0; i < process->group_count; i++)
		grown[count++] = process->groups[i];
	free(process->groups);
	process->groups = grown;
	process->group_count = count;
	return 0;
}
