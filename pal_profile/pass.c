/* SPDX-License-Identifier: MIT */
#include <pal_profile/text.h>

#include <errno.h>
#include <fcntl.h>
#include <pal/builder.h>
#include <pal/process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>
#include <pal_profile/text-priv.h>
#include <pal_profile/value-priv.h>

/*
 * A profile on its way into a spawned program: a sealed memfd, which nobody can change any more. It begins
 * with a line that says what it is and how long, and one with the profile's name.
 */

#define VARIABLE PAL_PROFILE__VARIABLE
#define MAGIC "procmesh-profile 1 "
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define LARGEST_FD (1 << 20)
#define LARGEST_LETTER (PAL_PROFILE_TEXT_MAX + (64 << 10)) /* with the name of a file */

/* ---- the parent ---- */

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t r = write(fd, bytes, size);

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0) {
			bytes += r;
			size -= (size_t)r;
		}
	}
	return 0;
}

/* A descriptor, or a negative errno. A name with a newline would be another text. */
static int seal(const struct pal_profile *profile)
{
	PAL_CLEANUP_CLOSE int fd = -1;
	PAL_CLEANUP_FREE char *head = NULL;
	const char *name = profile->name ? profile->name : "profile";
	size_t size = strlen(profile->text);
	int r;

	if (asprintf(&head, MAGIC "%zu\n%.*s\n", size, (int)strcspn(name, "\n"), name) < 0) {
		head = NULL;
		return -ENOMEM;
	}
	fd = memfd_create("procmesh-profile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = write_all(fd, head, strlen(head));
	if (r >= 0)
		r = write_all(fd, profile->text, size);
	if (r >= 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = -errno;
	return r < 0 ? r : pal_take_fd(&fd);
}

int pal_profile_pass(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	int fd, child_fd = 3;
	char number[16];

	if (!profile || !builder || pal_check_size(profile, profile->size, sizeof *profile) < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "passing a profile");
	if (!profile->text)
		return pal_error_set(error, PAL_STAGE_PROFILE, -EOPNOTSUPP,
			"%s has no text that could be passed",
			profile->name ? profile->name : "a profile");
	fd = seal(profile);
	if (fd < 0)
		return pal_error_set(error, fd == -ENOMEM ? PAL_STAGE_MEMORY : PAL_STAGE_PROFILE,
			fd, "passing a profile");
	while (pal_builder_has_fd(builder, child_fd))
		child_fd++;
	pal_builder_take_fd(builder, fd, child_fd);
	snprintf(number, sizeof number, "%d", child_fd);
	pal_builder_env(builder, VARIABLE, number);
	return 0;
}

/* ---- the child ---- */

/* The size of the text, and where it begins; its name ends in NUL then. -EBADMSG. */
static int open_letter(char *bytes, size_t size, char **name, char **text, uint64_t *text_size)
{
	char *line = bytes, *end = memchr(bytes, '\n', size);

	if (!end || strncmp(line, MAGIC, strlen(MAGIC)) != 0)
		return -EBADMSG;
	*end++ = 0;
	if (pal_profile__count(line + strlen(MAGIC), text_size) < 0)
		return -EBADMSG;
	*name = end;
	end = memchr(end, '\n', size - (size_t)(end - bytes));
	if (!end || *text_size != size - (size_t)(end + 1 - bytes))
		return -EBADMSG;
	*end = 0;
	*text = end + 1;
	return 0;
}

/* All of it, NUL behind it. The offset of the file is shared with other children, and is not used. */
static int read_sealed(int fd, char **ret, size_t *ret_size)
{
	PAL_CLEANUP_FREE char *bytes = NULL;
	struct stat status;
	size_t size = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size > LARGEST_LETTER)
		return -E2BIG;
	bytes = malloc((size_t)status.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (size < (size_t)status.st_size) {
		ssize_t r = pread(fd, bytes + size, (size_t)status.st_size - size, (off_t)size);

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -EBADMSG;
		size += r > 0 ? (size_t)r : 0;
	}
	bytes[size] = 0;
	*ret = PAL_TAKE_POINTER(bytes);
	*ret_size = size;
	return 0;
}

static int read_letter(int fd, struct pal_profile **ret, struct pal_error *error)
{
	PAL_CLEANUP_FREE char *bytes = NULL;
	char *name, *text;
	uint64_t text_size;
	size_t size = 0;
	int seals = fcntl(fd, F_GET_SEALS), r;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return pal_error_set(error, PAL_STAGE_PROFILE, -EBADMSG,
			VARIABLE ": descriptor %d is no sealed profile", fd);
	r = read_sealed(fd, &bytes, &size);
	if (r >= 0)
		r = open_letter(bytes, size, &name, &text, &text_size);
	if (r < 0)
		return pal_error_set(error, r == -ENOMEM ? PAL_STAGE_MEMORY : PAL_STAGE_PROFILE, r,
			VARIABLE ": descriptor %d", fd);
	return pal_profile__parse(text, (size_t)text_size, name, true, ret, error);
}

int pal_profile_inherited(struct pal_profile **ret, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int fd = -1;
	const char *value = getenv(VARIABLE);
	struct pal_profile *profile = NULL;
	long number = 0;
	int r = 0;

	if (!ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "inherited profile");
	if (value) {
		r = pal_profile__integer(value, 3, LARGEST_FD, &number);
		unsetenv(VARIABLE);
		if (r < 0)
			return pal_error_set(error, PAL_STAGE_PROFILE, -EBADMSG,
				VARIABLE " is no number of a descriptor");
		/* nothing else is closed on somebody's word */
		if (fcntl((int)number, F_GET_SEALS) >= 0)
			fd = (int)number;
		r = read_letter((int)number, &profile, error);
	}
	if (r >= 0)
		*ret = profile;
	return r;
}
