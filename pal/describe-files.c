/* SPDX-License-Identifier: MIT */
#include <pal/describe-priv.h>

#include <linux/capability.h>
#include <unistd.h>

#include <pal/capabilities-priv.h>
#include <pal/landlock.h>
#include <pal/namespaces.h>

#include <pal/util-priv.h>

/* ---- mounts ---- */

static void put_flags(FILE *out, const struct pal__mount *mount)
{
	if (mount->flags & PAL_MOUNT_READ_ONLY)
		fputs(", read-only", out);
	if (mount->flags & PAL_MOUNT_NO_EXEC)
		fputs(", nothing in it is executed", out);
	if (mount->flags & PAL_MOUNT_OPTIONAL)
		fputs(", if it is there", out);
	fputs("\n", out);
}

static void put_mount(FILE *out, const struct pal__mount *mount)
{
	switch (mount->kind) {
	case PAL__MOUNT_BIND:
		fprintf(out, "  - /%s is the host's %s", mount->target, mount->source);
		put_flags(out, mount);
		break;
	case PAL__MOUNT_TMPFS:
		fprintf(out, "  - /%s is empty at first, and in memory%s%s", mount->target,
			*mount->size ? ", at most bytes: " : "", mount->size);
		put_flags(out, mount);
		break;
	case PAL__MOUNT_PROC:
		fprintf(out, "  - /%s shows its own processes\n", mount->target);
		break;
	case PAL__MOUNT_DEV:
		fprintf(out,
			"  - /%s has null, zero, full, random, terminals, and no other device\n",
			mount->target);
		break;
	case PAL__MOUNT_SYMLINK:
		fprintf(out, "  - /%s%s%s leads to %s\n", mount->target, *mount->target ? "/" : "",
			mount->name, mount->source);
		break;
	case PAL__MOUNT_KEEP:
		fprintf(out, "  - /%s stays as it is:\n", mount->target);
		break;
	case PAL__MOUNT_READ_ONLY:
		fprintf(out, "  - /%s is read-only%s\n", mount->target,
			mount->recursive ? ", with what is mounted in it" : "");
		break;
	case PAL__MOUNT_HIDE:
		fprintf(out, "  - /%s cannot be opened\n", mount->target);
		break;
	}
}

struct pal_capabilities pal__describe_capabilities(const struct pal_builder *builder)
{
	uid_t uid = builder->process.uid;

	if (uid == (uid_t)-1)
		uid = builder->process.reset_ids ? getuid() : geteuid();
	return pal__capabilities_of(&builder->sandbox, uid == 0);
}

/* As far as the capabilities say. */
static bool may_mount(const struct pal_builder *builder)
{
	const struct pal_capabilities sets = pal__describe_capabilities(builder);
	const struct pal__sandbox *sandbox = &builder->sandbox;

	if (!sandbox->set_capabilities)
		return true;
	return (sets.permitted | (sandbox->no_new_privs ? 0 : sets.bounding)) >> CAP_SYS_ADMIN & 1;
}

void pal__describe_files(FILE *out, const struct pal_builder *builder)
{
	const struct pal__root *root = &builder->root;

	if (root->private_root)
		fputs("- files: a root of its own, in which there is only:\n", out);
	else if (root->count)
		fputs("- files: the host's, but\n", out);
	for (size_t i = 0; i < root->count; i++)
		put_mount(out, &root->items[i]);
	if (root->count && may_mount(builder))
		fputs("  - who has cap_sys_admin in there, as root and user 0 of a user namespace have, can undo covers and read-only\n",
			out);
}

/* ---- Landlock ---- */

/* What best effort has left out. */
static void put_missing(FILE *out, const struct pal_landlock_rights *missing)
{
	char words[PAL__LANDLOCK_WORDS_SIZE];

	if (!(missing->files | missing->ports | missing->scopes))
		return;
	fputs("  - but this kernel cannot deny, and so nothing does:", out);
	if (missing->files) {
		pal__landlock_file_words(missing->files, words);
		fprintf(out, " %s;", words);
	}
	if (missing->ports)
		fputs(" TCP ports;", out);
	if (missing->scopes & PAL_LANDLOCK_SCOPE_SIGNALS)
		fputs(" signals to processes outside;", out);
	if (missing->scopes & PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS)
		fputs(" abstract sockets outside;", out);
	fputs("\n", out);
}

static void put_view(FILE *out, const struct pal__landlock_view *view)
{
	if (!view->words)
		return;
	fputs("- Landlock denies", out);
	if (view->files)
		fputs(" files,", out);
	if (view->ports)
		fputs(" TCP ports,", out);
	if (view->scopes & PAL_LANDLOCK_SCOPE_SIGNALS)
		fputs(" signals to processes outside,", out);
	if (view->scopes & PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS)
		fputs(" abstract sockets outside,", out);
	if (!view->files && !view->ports && !view->scopes)
		fputs(" nothing\n", out);
	else
		fputs(view->words->lines.count ? " but:\n" : " without exception\n", out);
	for (size_t i = 0; i < view->words->lines.count; i++)
		fprintf(out, "  - %s\n", view->words->lines.items[i]);
	put_missing(out, &view->missing);
}

void pal__describe_landlock(FILE *out, const struct pal__sandbox *sandbox)
{
	for (size_t i = 0; i < PAL__STACKED_MAX; i++)
		put_view(out, &sandbox->stacked_views[i]);
	put_view(out, &sandbox->landlock_view);
	if (sandbox->border_fd >= 0)
		fputs("- Landlock: it cannot signal, trace or read processes outside\n", out);
}
