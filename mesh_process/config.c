/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <mesh/invitation.h>
#include <pal/util-priv.h>
#include <stdlib.h>
#include <string.h>

/* Remembers the first failure of a setter, for launch to return. */
static void fail(struct mesh_process_config *config, int code, const char *what, const char *value)
{
	if (!config->first_error.code)
		pal_error_set(&config->first_error, PAL_STAGE_ARGUMENT, code, "host '%s': %s '%s'",
			config->name ? config->name : "", what, value ? value : "(null)");
}

/* Room for one more element of `size` bytes behind `count` ones; the array or NULL. */
static void *grow(struct mesh_process_config *config, void *array, size_t count, size_t size)
{
	void *grown = reallocarray(array, count + 1, size);

	if (!grown)
		fail(config, -ENOMEM, "growing a list of", "the config");
	return grown;
}

/* A copy that is owned by the config; NULL, remembered, for a NULL or when memory runs out. */
static char *copy(struct mesh_process_config *config, const char *what, const char *value)
{
	char *copied = value ? strdup(value) : NULL;

	if (!copied)
		fail(config, value ? -ENOMEM : -EINVAL, what, value);
	return copied;
}

struct mesh_process_config *mesh_process_config_new(const char *name)
{
	struct mesh_process_config *config = calloc(1, sizeof *config);

	if (!config)
		return NULL;
	config->stderr_fd = -1;
	config->join_ms = MESH_PROCESS_DEFAULT_JOIN_MS;
	config->name = copy(config, "the name", name);
	if (config->name && (!*name || strlen(name) > MESH_NAME_MAX))
		fail(config, -EINVAL, "the name", name);
	return config;
}

static void free_env_change(struct mesh_process__env_change *change)
{
	free(change->name);
	free(change->value);
}

void mesh_process_config_free(struct mesh_process_config *config)
{
	int saved = errno;

	if (!config)
		return;
	for (size_t i = 0; i < config->env_count; i++)
		free_env_change(&config->env[i]);
	free(config->env);
	for (size_t i = 0; i < config->arg_count; i++)
		free(config->args[i]);
	free(config->args);
	free(config->program);
	free(config->name);
	pal_close(config->stderr_fd);
	free(config);
	errno = saved;
}

void mesh_process_config_program(struct mesh_process_config *config, const char *program)
{
	if (!config)
		return;
	free(config->program);
	config->program = copy(config, "the program", program);
}

void mesh_process_config_arg(struct mesh_process_config *config, const char *arg)
{
	char **args, *copied;

	if (!config || !(copied = copy(config, "an argument", arg)))
		return;
	args = grow(config, config->args, config->arg_count, sizeof *args);
	if (!args) {
		free(copied);
		return;
	}
	config->args = args;
	config->args[config->arg_count++] = copied;
}

void mesh_process_config_skip_name_arg(struct mesh_process_config *config, bool skip)
{
	if (config)
		config->skip_name_arg = skip;
}

/* Takes over the change's strings. */
static void add_env_change(
	struct mesh_process_config *config, struct mesh_process__env_change change)
{
	struct mesh_process__env_change *env =
		grow(config, config->env, config->env_count, sizeof *env);

	if (!env) {
		free_env_change(&change);
		return;
	}
	config->env = env;
	config->env[config->env_count++] = change;
}

void mesh_process_config_env(
	struct mesh_process_config *config, const char *name, const char *value)
{
	struct mesh_process__env_change change = {.kind = MESH_PROCESS__ENV_SET};

	if (!config)
		return;
	if (name && !strcmp(name, MESH_PROCESS_INVITATION_VARIABLE)) {
		fail(config, -EINVAL, "setting the invitation's own variable", name);
		return;
	}
	change.name = copy(config, "a variable's name", name);
	change.value = copy(config, "a variable's value", value);
	if (change.name && change.value)
		add_env_change(config, change);
	else
		free_env_change(&change);
}

void mesh_process_config_env_remove(struct mesh_process_config *config, const char *name)
{
	struct mesh_process__env_change change = {.kind = MESH_PROCESS__ENV_REMOVE};

	if (!config)
		return;
	change.name = copy(config, "a variable's name", name);
	if (change.name)
		add_env_change(config, change);
}

void mesh_process_config_env_clear(struct mesh_process_config *config)
{
	if (config)
		add_env_change(config,
			(struct mesh_process__env_change){.kind = MESH_PROCESS__ENV_CLEAR});
}

void mesh_process_config_stderr(struct mesh_process_config *config, int fd)
{
	int copied;

	if (!config)
		return;
	copied = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copied < 0) {
		fail(config, -errno, "copying the descriptor for", "stderr");
		return;
	}
	pal_close(config->stderr_fd);
	config->stderr_fd = copied;
}

void mesh_process_config_sandbox(
	struct mesh_process_config *config, const struct pal_profile *profile)
{
	if (config)
		config->profile = profile;
}

void mesh_process_config_join_deadline(struct mesh_process_config *config, int64_t ms)
{
	if (config)
		config->join_ms = ms;
}
