/* SPDX-License-Identifier: MIT */
#include <pal/profile-ready-priv.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/root-priv.h>
#include <pal/util-priv.h>

/* Makes the ready-made profiles that have parameters, also by name; each knows its text. */

static void destroy(struct pal_profile *profile)
{
	struct pal__ready *ready = profile->data;

	for (size_t i = 0; i < ready->path_count; i++)
		free(ready->paths[i]);
	free(ready->paths);
	free(ready->ports);
	free(ready->text);
	free(ready);
}

/* ---- making them ---- */

static const struct kind {
	const char *name;
	int (*apply)(const struct pal_profile *profile, struct pal_builder *builder,
		struct pal_error *error);
	int (*finalize)(const struct pal_profile *profile, struct pal_error *error);
	bool has_ports;
	size_t most; /* parameters; 0: not said */
} kinds[] = {
	{"file-reader", pal__ready_apply_reader, pal__ready_finalize_reader, false, 0},
	{"network-client", pal__ready_apply_client, pal__ready_finalize_client, true, 0},
	{"build-worker", pal__ready_apply_worker, NULL, false, PAL__KEPT_MAX},
};

static int out_of_memory(struct pal_error *error)
{
	return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "sandbox profile");
}

/* A word between quotes, with what would end or change it escaped. */
static void put_word(FILE *text, const char *word)
{
	fputs(" \"", text);
	for (; *word; word++)
		if (strchr("\"\\%", *word))
			fprintf(text, *word == '%' ? "%%%%" : "\\%c", *word);
		else if ((unsigned char)*word < 0x20 || *word == 0x7f)
			fprintf(text, "\\x%02x", (unsigned char)*word);
		else
			fputc(*word, text);
	fputc('"', text);
}

static int write_text(struct pal__ready *ready)
{
	size_t size;
	FILE *text = open_memstream(&ready->text, &size);
	bool bad;

	if (!text)
		return -ENOMEM;
	fprintf(text, "X-Profile=%s", ready->profile.name);
	for (size_t i = 0; i < ready->path_count; i++)
		put_word(text, ready->paths[i]);
	for (size_t i = 0; i < ready->port_count; i++)
		fprintf(text, " %u", (unsigned)ready->ports[i]);
	fputc('\n', text);
	bad = ferror(text);
	bad |= fclose(text) != 0;
	ready->profile.text = ready->text;
	return bad || !ready->text ? -ENOMEM : 0;
}

static struct pal__ready *new_ready(const struct kind *kind)
{
	struct pal__ready *ready = calloc(1, sizeof *ready);

	if (ready)
		ready->profile = (struct pal_profile){
			.size = sizeof ready->profile,
			.name = kind->name,
			.apply = kind->apply,
			.finalize = kind->finalize,
			.data = ready,
			.destroy = destroy,
		};
	return ready;
}

static int copy_paths(struct pal__ready *ready, const char *const *paths, size_t count)
{
	ready->paths = calloc(count + 1, sizeof *ready->paths);
	if (!ready->paths)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!paths[i] || *paths[i] != '/')
			return -EINVAL;
		ready->paths[i] = strdup(paths[i]);
		if (!ready->paths[i])
			return -ENOMEM;
		ready->path_count++;
	}
	return 0;
}

static int copy_ports(struct pal__ready *ready, const uint16_t *ports, size_t count)
{
	ready->ports = calloc(count + 1, sizeof *ready->ports);
	if (!ready->ports)
		return -ENOMEM;
	if (count)
		memcpy(ready->ports, ports, count * sizeof *ports);
	ready->port_count = count;
	return 0;
}

/* Either `paths` or `ports`, as the kind wants. */
static int make(const struct kind *kind, const char *const *paths, const uint16_t *ports,
	size_t count, struct pal_profile **ret, struct pal_error *error)
{
	struct pal__ready *ready;
	int r;

	if (!ret || (count && !(kind->has_ports ? (const void *)ports : (const void *)paths)))
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "%s", kind->name);
	if (kind->most && count > kind->most)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -E2BIG,
			"%s with more than %zu folders", kind->name, kind->most);
	ready = new_ready(kind);
	if (!ready)
		return out_of_memory(error);
	r = kind->has_ports ? copy_ports(ready, ports, count) : copy_paths(ready, paths, count);
	if (r >= 0)
		r = write_text(ready);
	if (r < 0) {
		destroy(&ready->profile);
		return r == -ENOMEM ? out_of_memory(error)
				    : pal_error_set(error, PAL_STAGE_ARGUMENT, r,
					      "%s wants absolute paths", kind->name);
	}
	*ret = &ready->profile;
	return 0;
}

static size_t length_of(const char *const *paths)
{
	size_t count = 0;

	while (paths && paths[count])
		count++;
	return count;
}

int pal_profile_file_reader_new(
	const char *const *paths, struct pal_profile **ret, struct pal_error *error)
{
	return make(&kinds[0], paths, NULL, length_of(paths), ret, error);
}

int pal_profile_network_client_new(
	const uint16_t *ports, size_t count, struct pal_profile **ret, struct pal_error *error)
{
	return make(&kinds[1], NULL, ports, count, ret, error);
}

int pal_profile_build_worker_new(
	const char *const *folders, struct pal_profile **ret, struct pal_error *error)
{
	return make(&kinds[2], folders, NULL, length_of(folders), ret, error);
}

/* ---- by name ---- */

static int read_ports(const char *const *words, size_t count, uint16_t *ports)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = words[i] ? strlen(words[i]) : 0;
		unsigned long port;

		if (!length || length > 5 || words[i][strspn(words[i], "0123456789")])
			return -EINVAL;
		port = strtoul(words[i], NULL, 10);
		if (port > UINT16_MAX)
			return -EINVAL;
		ports[i] = (uint16_t)port;
	}
	return 0;
}

static int make_with_ports(const struct kind *kind, const char *const *words, size_t count,
	struct pal_profile **ret, struct pal_error *error)
{
	PAL_CLEANUP_FREE uint16_t *ports = calloc(count + 1, sizeof *ports);

	if (!ports)
		return out_of_memory(error);
	if (read_ports(words, count, ports) < 0)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "%s wants ports", kind->name);
	return make(kind, NULL, ports, count, ret, error);
}

static int make_pure(size_t count, struct pal_profile **ret, struct pal_error *error)
{
	struct pal__ready *ready;
	struct kind pure = {pal_profile_pure_compute()->name, pal_profile_pure_compute()->apply,
		pal_profile_pure_compute()->finalize, false, 0};

	if (count)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "pure-computation has no parameters");
	ready = new_ready(&pure);
	if (!ready)
		return out_of_memory(error);
	ready->profile.text = pal_profile_pure_compute()->text;
	*ret = &ready->profile;
	return 0;
}

int pal_profile_by_name(const char *name, const char *const *parameters, size_t count,
	struct pal_profile **ret, struct pal_error *error)
{
	if (!name || !ret || (count && !parameters))
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "profile by name");
	if (!strcmp(name, "pure-computation"))
		return make_pure(count, ret, error);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return kinds[i].has_ports
				       ? make_with_ports(&kinds[i], parameters, count, ret, error)
				       : make(&kinds[i], parameters, NULL, count, ret, error);
	return pal_error_set(
		error, PAL_STAGE_ARGUMENT, -EINVAL, "there is no ready-made profile %s", name);
}
