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

/* ---- entries that are everything ---- */

static bool assigns(const char *entry, const char *name, size_t length)
{
	return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

/* Every entry of that name from `first` on; the others stay in their order. */
static void remove_entries(struct pal__strings *entries, const char *name, size_t first)
{
	size_t length = strlen(name), kept = first;

	for (size_t i = first; i < entries->count; i++)
		if (assigns(entries->items[i], name, length))
			free(entries->items[i]);
		else
			entries->items[kept++] = entries->items[i];
	entries->count = kept;
}

/* Takes `entry`, in the place of the first one of that name and instead of all, or at the end. */
static int put_entry(struct pal__strings *entries, const char *name, char *entry)
{
	size_t length = strlen(name), i = 0;

	while (i < entries->count && !assigns(entries->items[i], name, length))
		i++;
	if (i == entries->count)
		return pal__strings_take(entries, entry);
	remove_entries(entries, name, i + 1);
	free(entries->items[i]);
	entries->items[i] = entry;
	return 0;
}

/* ---- setting ---- */

int pal__environ_set(struct pal__environ *env, const char *name, const char *value)
{
	char *entry;

	if (!valid_name(name) || !value)
		return -EINVAL;
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		return -ENOMEM;
	return env->verbatim ? put_entry(&env->entries, name, entry) : put_change(env, name, entry);
}

int pal__environ_remove(struct pal__environ *env, const char *name)
{
	if (!valid_name(name))
		return -EINVAL;
	if (!env->verbatim)
		return put_change(env, name, strdup(name));
	remove_entries(&env->entries, name, 0);
	return 0;
}

void pal__environ_clear(struct pal__environ *env)
{
	pal__strings_clear(&env->changes);
	pal__strings_clear(&env->entries);
	env->cleared = true;
}

int pal__environ_verbatim(struct pal__environ *env, const char *const *entries)
{
	struct pal__strings copies = {0};

	for (size_t i = 0; entries[i]; i++) {
		int r = pal__strings_add(&copies, entries[i]);

		if (r < 0) {
			pal__strings_clear(&copies);
			return r;
		}
	}
	pal__strings_clear(&env->entries);
	env->entries = copies;
	env->verbatim = true;
	return 0;
}

const char *pal__environ_peek(const struct pal__environ *env, const char *name)
{
	const struct pal__strings *strings = env->verbatim ? &env->entries : &env->changes;
	size_t length = strlen(name);

	for (size_t i = 0; i < strings->count; i++)
		if (assigns(strings->items[i], name, length))
			return strings->items[i] + length + 1;
	return NULL;
}

/*
 * Whether a later entry of `entries` has the name that is the first `length`
 * bytes of `name`. Such a name reaches the child once: programs differ in which
 * of two entries they take.
 */
static bool is_repeated(char *const *entries, const char *name, size_t length)
{
	for (; *entries; entries++)
		if (**entries == *name && strncmp(*entries, name, length + 1) == 0)
			return true;
	return false;
}

static bool passes(const struct pal__environ *env, char *const *entry)
{
	const char *name = *entry, *equals = strchr(name, '=');
	size_t length;

	if (!equals)
		return false;
	length = (size_t)(equals - name);
	/* what begins with '=' is no variable, and passes */
	return !length ||
	       (!find_change(env, name, length) && !is_repeated(entry + 1, name, length));
}

/* The entries as they are. */
static int copy_verbatim(const struct pal__environ *env, char ***ret)
{
	char **copy = calloc(env->entries.count + 1, sizeof *copy);

	if (!copy)
		return -ENOMEM;
	if (env->entries.count)
		memcpy(copy, env->entries.items, env->entries.count * sizeof *copy);
	*ret = copy;
	return 0;
}

/* By name: what a child sees does not depend on the order of the calls that made it. */
static int compare_names(const void *a, const void *b)
{
	const char *left = *(char *const *)a, *right = *(char *const *)b;

	while (*left == *right && *left != '=' && *left) {
		left++;
		right++;
	}
	return (*left == '=' ? 0 : (unsigned char)*left) -
	       (*right == '=' ? 0 : (unsigned char)*right);
}

int pal__environ_merge(const struct pal__environ *env, char *const *parent, char ***ret)
{
	size_t inherited = 0, count = 0;
	char **merged;

	if (env->verbatim)
		return copy_verbatim(env, ret);
	while (!env->cleared && parent && parent[inherited])
		inherited++;
	merged = calloc(inherited + env->changes.count + 1, sizeof *merged);
	if (!merged)
		return -ENOMEM;
	/* environ can shrink in another thread; what follows its NULL is never read */
	for (size_t i = 0; i < inherited && parent[i]; i++)
		if (passes(env, &parent[i]))
			merged[count++] = parent[i];
	for (size_t i = 0; i < env->changes.count; i++)
		if (strchr(env->changes.items[i], '='))
			merged[count++] = env->changes.items[i];
	qsort(merged, count, sizeof *merged, compare_names);
	*ret = merged;
	return 0;
}

void pal__environ_free(struct pal__environ *env)
{
	pal__strings_clear(&env->changes);
	pal__strings_clear(&env->entries);
}
