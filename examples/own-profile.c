/* SPDX-License-Identifier: MIT */

/*
 * A sandbox of one's own for a program that converts text: from a ready-made profile, a text in the words of
 * systemd.exec, and a hook in C. Prints what it does, runs programs in it, and shows what they cannot do.
 *
 *	own-profile            runs three programs and says how they fared
 *	own-profile describe   says in words what the sandbox is
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/pal.h>
#include <pal_profile/text.h>

/* 1. A text. It could as well be a file of the administrator's: pal_profile_load. */
static const char text[] = "[Service]\n"
			   "UMask=0077\n"
			   "LimitFSIZE=1M\n"
			   "IgnoreSIGPIPE=yes\n"
			   "PassEnvironment=LANG PATH\n"
			   "RestrictAddressFamilies=none\n"
			   "RestrictNamespaces=yes\n"
			   "MemoryDenyWriteExecute=yes\n"
			   "LockPersonality=yes\n";

/* 2. A hook: what only this program knows. `data` is the folder that may be read. */
static int apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	static const char *const system[] = {"/usr", "/bin", "/lib", "/lib64", "/etc", NULL};
	struct pal_landlock *files;
	int r = pal_landlock_new(&files, error);

	if (r < 0)
		return r;
	for (size_t i = 0; system[i] && r >= 0; i++) {
		r = pal_landlock_allow_path(
			files, system[i], PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, error);
		if (r == -ENOENT) /* not every system has all of them */
			r = 0;
	}
	if (r >= 0)
		r = pal_landlock_allow_path(files, profile->data, PAL_LANDLOCK_READ, error);
	pal_builder_landlock(builder, files);
	pal_landlock_free(files);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	pal_builder_no_new_privs(builder, true);
	return r;
}

/* Exit code of a shell that runs `script` in the sandbox; 255: it did not start. */
static int run(const struct pal_profile *sandbox, const char *script)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	struct pal_error error = {0};
	struct pal_status status = {.code = 255};
	struct pal_child *child = NULL;

	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, script);
	pal_builder_stderr(builder, PAL_STDIO_NULL);
	pal_builder_sandbox(builder, sandbox);
	if (pal_builder_spawn(builder, &child, &error) < 0 ||
		pal_child_wait(child, PAL_DEADLINE_MS(10000), &status, &error) < 0)
		fprintf(stderr, "%s\n", pal_error_text(&error));
	pal_child_free(child);
	pal_builder_free(builder);
	return status.signaled ? 128 + status.code : status.code;
}

static int show(const struct pal_profile *sandbox)
{
	static const struct {
		const char *what, *script;
		bool works;
	} attempts[] = {
		{"read a setting", "read line < /etc/passwd", true},
		{"run a program", "/bin/true", true},
		{"write a file", "echo text > /tmp/procmesh-own-profile", false},
		{"read what is not its own", "read line < /proc/1/environ", false},
		{"enter a user namespace", "unshare --user true", false},
	};
	int surprises = 0;

	for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
		bool works = run(sandbox, attempts[i].script) == 0;

		printf("%-26s %s\n", attempts[i].what, works ? "works" : "refused");
		surprises += works != attempts[i].works;
	}
	return surprises ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int describe(const struct pal_profile *sandbox)
{
	struct pal_error error = {0};
	char *words;

	if (pal_profile_describe(sandbox, &words, &error) < 0) {
		fprintf(stderr, "%s\n", pal_error_text(&error));
		return EXIT_FAILURE;
	}
	fputs(words, stdout);
	free(words);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	char folder[] = "/usr/share";
	const struct pal_profile own = {
		.size = sizeof own, .name = "files of one folder", .apply = apply, .data = folder};
	struct pal_profile *read = NULL, *both = NULL;
	struct pal_error error = {0};
	int result;

	if (pal_landlock_abi() < 0) {
		printf("SKIP: the kernel has no Landlock\n");
		return 77;
	}
	/* 3. Both at once: everything that one of them forbids is forbidden. */
	if (pal_profile_parse(text, strlen(text), "own-profile", &read, &error) < 0 ||
		pal_profile_compose(&own, read, &both, &error) < 0) {
		fprintf(stderr, "%s\n", pal_error_text(&error));
		pal_profile_free(read);
		return EXIT_FAILURE;
	}
	result = argc > 1 && !strcmp(argv[1], "describe") ? describe(both) : show(both);
	pal_profile_free(both);
	pal_profile_free(read);
	return result;
}
