/* SPDX-License-Identifier: MIT */
#include <pal_profile/text.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>
#include <pal_profile/settings-priv.h>
#include <pal_profile/text-priv.h>
#include <pal_profile/users-priv.h>

/* A profile that was read. */
struct text_profile {
	struct pal_profile profile; /* what the caller has */
	struct pal_profile own;     /* what the keys say */
	struct pal_profile
		*stacked; /* X-Profile=, with what the keys say on top; NULL: there is none */
	struct pal_profile__settings settings;
	char *name;
	char *text;
};

static struct text_profile *of(const struct pal_profile *profile)
{
	return profile->data;
}

static void destroy(struct pal_profile *profile)
{
	struct text_profile *text = of(profile);

	pal_profile_free(text->stacked);
	pal_profile__settings_clear(&text->settings);
	free(text->name);
	free(text->text);
	free(text);
}

/* ---- hooks ---- */

static int apply_own(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const struct pal_profile__settings *settings = &of(profile)->settings;
	int r = pal_profile__apply_process(settings, builder, error);

	if (r >= 0)
		r = pal_profile__apply_files(settings, builder, error);
	return r < 0 ? r : pal_profile__apply_stage(settings, builder, error);
}

static int finalize_own(const struct pal_profile *profile, struct pal_error *error)
{
	return pal_profile__finalize_stage(&of(profile)->settings.finalize, error);
}

static int apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const struct pal_profile *stacked = of(profile)->stacked;

	return stacked ? stacked->apply(stacked, builder, error)
		       : apply_own(profile, builder, error);
}

/* What the keys say first: a ready-made profile leaves nothing with which more could be enforced. */
static int finalize(const struct pal_profile *profile, struct pal_error *error)
{
	const struct pal_profile *base = of(profile)->settings.stage.base;
	int r = pal_profile_finalize(&of(profile)->own, error);

	return r < 0 || !base ? r : pal_profile_finalize(base, error);
}

static int refuse_to_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)builder;
	return pal_error_set(error, PAL_STAGE_PROFILE, -EOPNOTSUPP,
		"%s: a profile that was inherited can only be finalized", profile->name);
}

/* ---- making one ---- */

/* What needs all lines. */
static int complete(
	struct pal_profile__settings *settings, const char *name, struct pal_error *error)
{
	int r = pal_profile__check_settings(settings, error);

	if (r < 0)
		return r;
	r = pal_profile__add_groups_of_user(&settings->process);
	return r < 0 ? pal_error_set(error, PAL_STAGE_MEMORY, r, "%s: groups of a user", name) : 0;
}

static int fill(struct text_profile *made, const char *text, size_t size, const char *name,
	bool inherited, struct pal_error *error)
{
	int r;

	made->name = strdup(name);
	made->text = malloc(size + 1);
	if (!made->name || !made->text)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "%s", name);
	made->settings.stage.name = made->settings.finalize.name = made->name;
	memcpy(made->text, text, size);
	made->text[size] = 0;
	r = pal_profile__parse_settings(&made->settings, text, size, name, inherited, error);
	if (r < 0)
		return r;
	made->own = (struct pal_profile){
		.size = sizeof made->own,
		.name = made->name,
		.apply = apply_own,
		.finalize = made->settings.has_finalize ? finalize_own : NULL,
		.data = made,
	};
	made->profile = made->own;
	made->profile.finalize = NULL;
	made->profile.apply = inherited ? refuse_to_apply : apply;
	made->profile.destroy = destroy;
	made->profile.text = made->text;
	r = complete(&made->settings, name, error);
	if (r >= 0 && made->settings.stage.base)
		r = pal_profile_compose(
			made->settings.stage.base, &made->own, &made->stacked, error);
	if (r >= 0 && (made->stacked ? made->stacked : &made->own)->finalize)
		made->profile.finalize = finalize;
	return r;
}

int pal_profile__parse(const char *text, size_t size, const char *name, bool inherited,
	struct pal_profile **ret, struct pal_error *error)
{
	struct text_profile *made;
	int r;

	if ((!text && size) || !name || !ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "profile text");
	if (size > PAL_PROFILE_TEXT_MAX)
		return pal_error_set(error, PAL_STAGE_PROFILE, -E2BIG, "%s", name);
	made = calloc(1, sizeof *made);
	if (!made)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "%s", name);
	made->profile.data = made;
	r = fill(made, text ? text : "", size, name, inherited, error);
	if (r < 0) {
		destroy(&made->profile);
		return r;
	}
	*ret = &made->profile;
	return 0;
}

int pal_profile_parse(const char *text, size_t size, const char *name, struct pal_profile **ret,
	struct pal_error *error)
{
	return pal_profile__parse(text, size, name, false, ret, error);
}

/* ---- files ---- */

/* All that can be read from the descriptor, NUL behind it. -E2BIG, -ENOMEM, or read(2)'s. */
static int read_all(int fd, char **ret, size_t *ret_size)
{
	PAL_CLEANUP_FREE char *text = NULL;
	size_t size = 0, room = 0;

	for (;;) {
		ssize_t r;

		if (size + 1 >= room) {
			char *grown = realloc(text, room = 2 * room + 4096);

			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		do
			r = read(fd, text + size, room - size - 1);
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		size += (size_t)r;
		if (size > PAL_PROFILE_TEXT_MAX)
			return -E2BIG;
	}
	text[size] = 0;
	*ret = PAL_TAKE_POINTER(text);
	*ret_size = size;
	return 0;
}

int pal_profile_load(const char *path, struct pal_profile **ret, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int fd = -1;
	PAL_CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	int r;

	if (!path || !ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "profile file");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	r = fd < 0 ? -errno : read_all(fd, &text, &size);
	if (r < 0)
		return pal_error_set(
			error, r == -ENOMEM ? PAL_STAGE_MEMORY : PAL_STAGE_PROFILE, r, "%s", path);
	return pal_profile_parse(text, size, path, ret, error);
}
