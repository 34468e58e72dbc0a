/* SPDX-License-Identifier: MIT */
#include <pal_profile/places-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/root.h>
#include <pal/util-priv.h>

/* ---- what the keys for whole areas stand for ---- */

static int add(
	struct pal_profile__places *places, enum pal_profile__place_kind kind, const char *path)
{
	struct pal_profile__place place = {.kind = kind,
		.path = strdup(path),
		.optional = kind != PAL_PROFILE__DEV && kind != PAL_PROFILE__PROC,
		.mode = 0755};

	return pal_profile__place_add(places, place);
}

static int add_all(struct pal_profile__places *places, enum pal_profile__place_kind kind,
	const char *const *paths)
{
	int r = 0;

	for (; *paths && r >= 0; paths++)
		r = add(places, kind, *paths);
	return r;
}

static int add_system(struct pal_profile__places *places, enum pal_profile__protect protect)
{
	static const char *const programs[] = {"/usr", "/boot", "/efi", NULL};
	static const char *const interfaces[] = {"/dev", "/proc", "/sys", NULL};
	int r = 0;

	if (protect == PAL_PROFILE__PROTECT_STRICT) {
		r = add(places, PAL_PROFILE__READ_ONLY, "/");
		return r < 0 ? r : add_all(places, PAL_PROFILE__READ_WRITE, interfaces);
	}
	if (protect != PAL_PROFILE__PROTECT_NO)
		r = add_all(places, PAL_PROFILE__READ_ONLY, programs);
	if (r >= 0 && protect == PAL_PROFILE__PROTECT_FULL)
		r = add(places, PAL_PROFILE__READ_ONLY, "/etc");
	return r;
}

static int add_home(struct pal_profile__places *places, enum pal_profile__protect protect)
{
	static const char *const homes[] = {"/home", "/root", "/run/user", NULL};
	static const enum pal_profile__place_kind kinds[] = {
		[PAL_PROFILE__PROTECT_YES] = PAL_PROFILE__HIDE,
		[PAL_PROFILE__PROTECT_FULL] = PAL_PROFILE__READ_ONLY,
		[PAL_PROFILE__PROTECT_STRICT] = PAL_PROFILE__TMPFS,
	};
	size_t before = places->count;
	int r = 0;

	if (protect != PAL_PROFILE__PROTECT_NO)
		r = add_all(places, kinds[protect], homes);
	for (size_t i = before; i < places->count; i++)
		places->items[i].read_only = true;
	return r;
}

static int add_tmp(struct pal_profile__places *places)
{
	static const char *const folders[] = {"/tmp", "/var/tmp", NULL};
	size_t before = places->count;
	int r = add_all(places, PAL_PROFILE__TMPFS, folders);

	for (size_t i = before; i < places->count; i++)
		places->items[i].mode = 01777;
	return r;
}

static int add_kernel(struct pal_profile__places *places, const struct pal_profile__files *files)
{
	static const char *const tunables[] = {"/proc/sys", "/proc/sysrq-trigger",
		"/proc/latency_stats", "/proc/mtrr", "/proc/acpi", "/proc/asound", "/proc/bus",
		"/proc/fs", "/proc/irq", "/sys", NULL};
	static const char *const addresses[] = {"/proc/kallsyms", "/proc/kcore", NULL};
	static const char *const modules[] = {"/usr/lib/modules", "/lib/modules", NULL};
	static const char *const logs[] = {"/dev/kmsg", "/proc/kmsg", NULL};
	int r = 0;

	if (files->kernel_tunables) {
		r = add_all(places, PAL_PROFILE__READ_ONLY, tunables);
		if (r >= 0)
			r = add_all(places, PAL_PROFILE__HIDE, addresses);
	}
	if (r >= 0 && files->kernel_modules)
		r = add_all(places, PAL_PROFILE__HIDE, modules);
	if (r >= 0 && files->kernel_logs)
		r = add_all(places, PAL_PROFILE__HIDE, logs);
	if (r >= 0 && files->control_groups)
		r = add(places, PAL_PROFILE__READ_ONLY, "/sys/fs/cgroup");
	return r;
}

static int add_areas(
	struct pal_profile__places *places, const struct pal_profile__settings *settings)
{
	const struct pal_profile__files *files = &settings->files;
	int r = add_system(places, files->system);

	if (r >= 0)
		r = add_home(places, files->home);
	if (r >= 0 && files->tmp)
		r = add_tmp(places);
	if (r >= 0 && files->devices)
		r = add(places, PAL_PROFILE__DEV, "/dev");
	if (r >= 0 && settings->process.pids)
		r = add(places, PAL_PROFILE__PROC, "/proc");
	return r < 0 ? r : add_kernel(places, files);
}

/* ---- one list ---- */

static int copy_places(struct pal_profile__places *to, const struct pal_profile__places *from)
{
	int r = 0;

	for (size_t i = 0; i < from->count && r >= 0; i++) {
		struct pal_profile__place place = from->items[i];

		place.path = strdup(place.path);
		place.source = place.source ? strdup(place.source) : NULL;
		r = pal_profile__place_add(to, place);
	}
	return r;
}

/* As the kernel will find it: without symbolic links, without "//" and "/." A path that leads nowhere stays. */
static int resolve_path(char **path)
{
	char *resolved = realpath(*path, NULL);

	if (!resolved)
		return errno == ENOMEM ? -ENOMEM : 0;
	free(*path);
	*path = resolved;
	return 0;
}

/* '/' comes before everything: what is in a folder follows it at once. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	return (*a == '/' ? 0 : (unsigned char)*a) - (*b == '/' ? 0 : (unsigned char)*b);
}

static int compare_places(const void *first, const void *second)
{
	const struct pal_profile__place *a = first, *b = second;
	int order = compare_paths(a->path, b->path);

	return order ? order : (int)a->kind - (int)b->kind;
}

/* ---- what is there ---- */

static bool is_mount(const struct pal_profile__place *place)
{
	return place->kind == PAL_PROFILE__TMPFS || place->kind == PAL_PROFILE__BIND ||
	       place->kind == PAL_PROFILE__DEV || place->kind == PAL_PROFILE__PROC;
}

/* Symbolic links do not lead out of the root, nor will they in the child. 1, 0, or a negative errno: cannot be seen. */
static int look(const char *root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	PAL_CLEANUP_CLOSE int folder = -1, fd = -1;
	int saved = errno, r = 1;

	folder = open(root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder >= 0)
		fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
	if (fd < 0)
		r = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (r == -EXDEV) /* a link of /proc; is_there() has another meaning for it */
		r = -ELOOP;
	errno = saved;
	return r;
}

/* Where the mount that it is in comes from. -EXDEV: from no folder of the host's. */
static int is_there(const struct pal_profile__places *places, const char *root,
	const struct pal_profile__place *place)
{
	const struct pal_profile__place *cover =
		pal_profile__holds_at(places, place->path, place).cover;
	PAL_CLEANUP_FREE char *path = NULL;
	int r = 0;

	if (cover && cover->kind == PAL_PROFILE__BIND) {
		path = pal_profile__host_path(places, root, place->path, place, &r);
		return r < 0 ? r : look(NULL, path);
	}
	if (cover && cover->kind != PAL_PROFILE__PROC)
		return -EXDEV;
	return look(root, place->path);
}

/* What pal_builder_mount_dev() says that it has. */
static bool is_in_dev(const char *name)
{
	static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty",
		"shm", "pts", "pts/ptmx", "ptmx", "fd", "stdin", "stdout", "stderr"};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* A folder that is made to mount something in it. */
static bool is_made(const struct pal_profile__places *places, const char *path)
{
	for (size_t i = 0; i < places->count; i++)
		if (is_mount(&places->items[i]) && strcmp(places->items[i].path, path) != 0 &&
			pal_profile__is_within(places->items[i].path, path))
			return true;
	return false;
}

/* In a file system of the child's own there is its root, and what is put there. */
static bool is_in_own(
	const struct pal_profile__places *places, const struct pal_profile__place *place)
{
	const struct pal_profile__place *cover =
		pal_profile__holds_at(places, place->path, place).cover;

	if (is_mount(place)) /* is another of the text's already, or in an empty one */
		return false;
	if (!strcmp(cover->path, place->path))
		return true;
	return cover->kind == PAL_PROFILE__DEV ? is_in_dev(place->path + strlen(cover->path) + 1)
					       : is_made(places, place->path);
}

/* One that nobody here can reach stays out of reach; of one that cannot be asked about mounting it will tell. */
static int is_optional_there(const struct pal_profile__places *places, const char *root,
	const struct pal_profile__place *place)
{
	int r = place->kind == PAL_PROFILE__BIND ? look(NULL, place->source)
						 : is_there(places, root, place);

	if (r == -EACCES)
		return 0;
	if (r == -EXDEV)
		return is_in_own(places, place);
	return r < 0 && r != -ENOMEM ? 1 : r;
}

/* What has to be there, and is not. What cannot be seen from here is left to the mounts. */
static int check_place(const struct pal_profile__places *places, const char *root,
	const struct pal_profile__place *place, const char *name, struct pal_error *error)
{
	const char *missing = NULL;
	int r;

	if (place->kind == PAL_PROFILE__BIND && look(NULL, place->source) == 0)
		missing = place->source;
	r = is_there(places, root, place);
	if (r == 0)
		missing = place->path;
	if (missing)
		return pal_profile__refuse(
			error, name, place->line, place->key, -ENOENT, "%s", missing);
	return r == -ENOMEM ? pal_error_set(error, PAL_STAGE_MEMORY, r, "%s", name) : 0;
}

static int check_root(
	const struct pal_profile__files *files, const char *name, struct pal_error *error)
{
	if (!files->root || look(NULL, files->root) != 0)
		return 0;
	return pal_profile__refuse(
		error, name, files->root_line, "RootDirectory", -ENOENT, "%s", files->root);
}

static int check_folder(const struct pal_profile__places *places,
	const struct pal_profile__settings *settings, struct pal_error *error)
{
	const struct pal_profile__process *process = &settings->process;
	const struct pal_profile__place folder = {
		.path = process->cwd_home ? process->home : process->cwd,
		.key = "WorkingDirectory",
		.line = process->cwd_line,
	};

	if (!folder.path || process->cwd_optional)
		return 0;
	return check_place(places, settings->files.root, &folder, settings->stage.name, error);
}

/* Required ones of the text: of what whole areas stand for, none is. */
static int check_places(const struct pal_profile__places *places,
	const struct pal_profile__settings *settings, struct pal_error *error)
{
	const char *name = settings->stage.name;
	int r = check_root(&settings->files, name, error);

	for (size_t i = 0; i < places->count && r >= 0; i++)
		if (places->items[i].line && !places->items[i].optional)
			r = check_place(
				places, settings->files.root, &places->items[i], name, error);
	return r < 0 ? r : check_folder(places, settings, error);
}

/* What an earlier profile has mounted there cannot be looked at from here: the path has to be in it then. */
static int mark_missing(struct pal_profile__places *places, const char *root,
	const struct pal_builder *builder, bool mounts)
{
	int r = 0;

	for (size_t i = 0; i < places->count && r >= 0; i++) {
		struct pal_profile__place *place = &places->items[i];

		if (!place->optional || is_mount(place) != mounts)
			continue;
		r = is_optional_there(places, root, place);
		if (r == 0 && (mounts || !pal_builder_binds_another(builder, place->path)))
			/* nothing asks for an empty kind of place */
			place->kind = PAL_PROFILE__KINDS;
	}
	return r;
}

static int leave_out(struct pal_profile__places *places, const char *root,
	const struct pal_builder *builder)
{
	size_t kept = 0;
	int r = mark_missing(places, root, builder, true);

	if (r >= 0) /* in what is mounted then */
		r = mark_missing(places, root, builder, false);
	for (size_t i = 0; i < places->count; i++)
		if (places->items[i].kind == PAL_PROFILE__KINDS) {
			free(places->items[i].path);
			free(places->items[i].source);
		} else {
			places->items[kept++] = places->items[i];
		}
	places->count = kept;
	return r;
}

int pal_profile__places_collect(const struct pal_profile__settings *settings,
	const struct pal_builder *builder, struct pal_profile__places *ret,
	struct pal_error *error)
{
	struct pal_profile__places places = {0};
	int r = copy_places(&places, &settings->files.places);

	if (r >= 0)
		r = add_areas(&places, settings);
	for (size_t i = 0; i < places.count && r >= 0 && !settings->files.root; i++)
		r = resolve_path(&places.items[i].path);
	if (r >= 0 && places.count)
		qsort(places.items, places.count, sizeof *places.items, compare_places);
	if (r >= 0)
		r = leave_out(&places, settings->files.root, builder);
	if (r < 0)
		pal_error_set(error, PAL_STAGE_MEMORY, r, "places of a profile");
	else
		r = check_places(&places, settings, error);
	if (r < 0) {
		pal_profile__places_clear(&places);
		return r;
	}
	*ret = places;
	return 0;
}

/* ---- questions ---- */

bool pal_profile__is_within(const char *path, const char *outer)
{
	size_t length = strlen(outer);

	if (length == 1) /* the root */
		return true;
	return !strncmp(path, outer, length) && (!path[length] || path[length] == '/');
}

/* The list is sorted: a later one that `path` is in is an inner one, or of the same path. */
struct pal_profile__holds pal_profile__holds_at(const struct pal_profile__places *places,
	const char *path, const struct pal_profile__place *itself)
{
	struct pal_profile__holds holds = {0};

	for (size_t i = 0; i < places->count; i++) {
		const struct pal_profile__place *place = &places->items[i];

		if (!pal_profile__is_within(path, place->path))
			continue;
		if (is_mount(place)) {
			if (place != itself)
				holds = (struct pal_profile__holds){
					place->read_only, place->no_exec, place};
		} else if (place->kind == PAL_PROFILE__READ_WRITE) {
			holds.read_only = false;
		} else if (place->kind == PAL_PROFILE__READ_ONLY) {
			holds.read_only = true; /* also where the same path is to be writable */
		} else if (place->kind == PAL_PROFILE__EXEC) {
			holds.no_exec = false;
		} else if (place->kind == PAL_PROFILE__NO_EXEC) {
			holds.no_exec = true;
		}
	}
	return holds;
}

/* Whether this one needs what others have hidden or taken away. */
static bool lifts(const struct pal_profile__places *before, const struct pal_profile__place *place)
{
	struct pal_profile__holds around = pal_profile__holds_at(before, place->path, NULL);

	switch (place->kind) {
	case PAL_PROFILE__READ_WRITE:
		return around.read_only;
	case PAL_PROFILE__EXEC:
		return around.no_exec;
	case PAL_PROFILE__NO_EXEC: /* the root cannot be mounted on itself */
		return !strcmp(place->path, "/");
	case PAL_PROFILE__BIND:
		return pal_profile__holds_at(before, place->source, NULL).cover;
	case PAL_PROFILE__DEV: /* is filled from what it covers */
		return true;
	default:
		return false;
	}
}

bool pal_profile__places_lift(const struct pal_profile__places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct pal_profile__places before = {places->items, i};

		if (lifts(&before, &places->items[i]))
			return true;
	}
	return false;
}

char *pal_profile__host_path(const struct pal_profile__places *places, const char *root,
	const char *path, const struct pal_profile__place *itself, int *code)
{
	const struct pal_profile__place *cover = pal_profile__holds_at(places, path, itself).cover;
	const char *from = root ? root : "", *rest = path;
	char *joined;

	if (cover && cover->kind != PAL_PROFILE__BIND && cover->kind != PAL_PROFILE__PROC)
		return NULL;
	if (cover && cover->kind == PAL_PROFILE__BIND) {
		from = cover->source;
		rest = path + strlen(cover->path);
	}
	if (asprintf(&joined, "%s%s", from, rest) < 0) {
		*code = -ENOMEM;
		return NULL;
	}
	return joined;
}
