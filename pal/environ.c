/* SPDX-License-Identifier: MIT */
#include <pal/environ-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

/* The change of the variable whose name is the first `length` bytes of `name`, or NULL. */
static char **find_change(const struct pal__environ *env, const char *name, size_t length)
{
	for (size_t i = 0; i < env->changes.count; i++) {
		char *change = env->changes.items[i];

		if (strncmp(change, name, length) == 0 &&
			(change[length] == '=' || !change[length]))
			return &env->changes.items[i];
	}
	return NULL;
}

/* Takes `change`, in place of an earlier one of the same name. */
static int put_change(struct pal__environ *env, const char *name, char *change)
{
	char **earlier = find_change(env, name, strlen(name));

	if (!change || !earlier)
		return pal__strings_take(&env->changes, change);
	free(*earlier);
	*earlier = change;
	return 0;
}

static bool valid_name(const char *name)
{
	return name && *name && !strchr(name, '=');
}

int pal__environ_set(struct pal__environ *env, const char *name, const char *value)
{
	char *entry;

	if (!valid_name(name) || !value)
		return -EINVAL;
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		return -ENOMEM;
	return put_change(env, name, entry);
}

int pal__environ_remove(struct pal__environ *env, const char *name)
{
	if (!valid_name(name))
		return -EINVAL;
	return put_change(env, name, strdup(name));
}

void pal__environ_clear(struct pal__environ *env)
{
	pal__strings_clear(&env->changes);
	env->cleared = true;
}

int pal__environ_merge(const struct pal__environ *env, char *const *parent, char ***ret)
{
	size_t inherited = 0, count = 0;
	char **merged;

	while (!env->cleared && parent && parent[inherited])
		inherited++;
	merged = calloc(inherited + env->changes.count + 1, sizeof *merged);
	if (!merged)
		return -ENOMEM;
	for (size_t i = 0; i < inherited; i++) {
		/* environ can shrink in another thread; what follows its NULL is never read */
		const char *equals = parent[i] ? strchr(parent[i], '=') : NULL;

		if (!parent[i])
			break;
		if (equals && !find_change(env, parent[i], (size_t)(equals - parent[i])))
			merged[count++] = parent[i];
	}
	for (size_t i = 0; i < env->changes.count; i++)
		if (strchr(env->changes.items[i], '='))
			merged[count++] = env->changes.items[i];
	*ret = merged;
	return 0;
}

void pal__environ_free(struct pal__environ *env)
{
	pal__strings_clear(&env->changes);
}
