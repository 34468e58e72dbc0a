/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/profile-priv.h>
#include <pal/util-priv.h>

/*
 * A builder's beginning and end, and the setters of what is executed: program,
 * arguments, environment, folder, limits. Setters copy and check, and make no
 * system call. The others are in builder-fds.c, builder-process.c,
 * builder-signals.c, builder-steps.c and sandbox.c; builder-peek.c reads.
 */

__attribute__((format(printf, 4, 0))) static void remember(
	struct pal_builder *builder, int stage, int code, const char *format, va_list args)
{
	char text[PAL_ERROR_TEXT_SIZE];

	if (!builder || builder->first_error.code)
		return;
	vsnprintf(text, sizeof text, format, args);
	pal_error_set(&builder->first_error, stage, code, "%s", text);
}

void pal__builder_fail(struct pal_builder *builder, int stage, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	remember(builder, stage, code, format, args);
	va_end(args);
}

void pal__builder_check(struct pal_builder *builder, int code, const char *format, ...)
{
	va_list args;

	builder->changed = true;
	if (code >= 0)
		return;
	va_start(args, format);
	remember(builder, code == -ENOMEM ? PAL_STAGE_MEMORY : PAL_STAGE_ARGUMENT, code, format,
		args);
	va_end(args);
}

/* For messages, where a NULL may be what is wrong. */
static const char *or_null(const char *text)
{
	return text ? text : "(null)";
}

int pal__builder_replace(char **string, const char *with)
{
	char *copy;

	if (!with)
		return -EINVAL;
	copy = strdup(with);
	if (!copy)
		return -ENOMEM;
	free(*string);
	*string = copy;
	return 0;
}

struct pal_builder *pal_builder_new(const char *program)
{
	struct pal_builder *builder = calloc(1, sizeof *builder);

	if (!builder)
		return NULL;
	builder->sandbox = (struct pal__sandbox)PAL__SANDBOX_INIT;
	builder->process = (struct pal__process)PAL__PROCESS_INIT;
	builder->cwd_fd = -1;
	builder->close_others = true;
	builder->start_deadline = PAL_DEADLINE_NONE;
	builder->vfork = true;
	for (int fd = 0; fd < 3; fd++)
		pal__builder_check(builder,
			pal__builder_put_fd(
				builder, (struct pal__fd_request){fd, PAL_STDIO_INHERIT, -1}),
			"standard streams");
	if (program)
		pal__builder_check(builder,
			*program ? pal__builder_replace(&builder->program, program) : -EINVAL,
			"program '%s'", program);
	return builder;
}

void pal_builder_free(struct pal_builder *builder)
{
	int saved = errno;

	if (!builder)
		return;
	pal__plan_free(builder->plan);
	pal__stack_free(&builder->stack);
	pal__sandbox_clear(&builder->sandbox);
	pal__strings_clear(&builder->args);
	pal__environ_free(&builder->env);
	pal__process_clear(&builder->process);
	pal__steps_clear(&builder->steps);
	pal__namespaces_clear(&builder->namespaces);
	pal__root_clear(&builder->root);
	free(builder->program);
	free(builder->arg0);
	free(builder->cwd);
	for (int fd = 0; fd < 3; fd++)
		free(builder->stream_paths[fd]);
	while (builder->owned_count)
		pal_close(builder->owned_fds[--builder->owned_count]);
	free(builder->owned_fds);
	free(builder->fds);
	free(builder->closes);
	free(builder);
	errno = saved;
}

void pal_builder_forget(struct pal_builder *builder)
{
	if (!builder)
		return;
	builder->owned_count = 0;
	pal__sandbox_forget(&builder->sandbox);
	pal_builder_free(builder);
}

void pal_builder_search(struct pal_builder *builder, unsigned flags)
{
	if (!builder)
		return;
	if (flags & ~(PAL_SEARCH_CHILD_PATH | PAL_SEARCH_RELATIVE | PAL_SEARCH_NONE))
		pal__builder_check(builder, -EINVAL, "search flags %#x", flags);
	else
		builder->search = flags;
	builder->changed = true;
}

void pal_builder_arg0(struct pal_builder *builder, const char *arg0)
{
	if (builder)
		pal__builder_check(builder, pal__builder_replace(&builder->arg0, arg0),
			"argument 0: %s", or_null(arg0));
}

void pal_builder_arg(struct pal_builder *builder, const char *arg)
{
	if (builder)
		pal__builder_check(builder, arg ? pal__strings_add(&builder->args, arg) : -EINVAL,
			"argument %zu: %s", builder->args.count + 1, or_null(arg));
}

void pal_builder_args(struct pal_builder *builder, const char *const *args)
{
	if (builder && !args)
		pal__builder_check(builder, -EINVAL, "arguments: (null)");
	for (size_t i = 0; builder && args && args[i]; i++)
		pal_builder_arg(builder, args[i]);
}

void pal_builder_env(struct pal_builder *builder, const char *name, const char *value)
{
	if (builder)
		pal__builder_check(builder, pal__environ_set(&builder->env, name, value),
			"environment variable '%s'%s", or_null(name), value ? "" : " as (null)");
}

void pal_builder_env_remove(struct pal_builder *builder, const char *name)
{
	if (builder)
		pal__builder_check(builder, pal__environ_remove(&builder->env, name),
			"environment variable '%s'", or_null(name));
}

void pal_builder_env_clear(struct pal_builder *builder)
{
	if (!builder)
		return;
	pal__environ_clear(&builder->env);
	builder->changed = true;
}

void pal_builder_env_verbatim(struct pal_builder *builder, const char *const *entries)
{
	if (builder)
		pal__builder_check(builder,
			entries ? pal__environ_verbatim(&builder->env, entries) : -EINVAL,
			"environment%s", entries ? "" : " (null)");
}

void pal_builder_cwd(struct pal_builder *builder, const char *path)
{
	int r;

	if (!builder)
		return;
	r = path && *path ? pal__builder_replace(&builder->cwd, path) : -EINVAL;
	pal__builder_check(builder, r, "cwd '%s'", or_null(path));
	if (r >= 0)
		builder->cwd_fd = -1;
}

void pal_builder_cwd_fd(struct pal_builder *builder, int fd)
{
	if (!builder)
		return;
	if (fd < 0) {
		pal__builder_check(builder, -EINVAL, "cwd_fd %d", fd);
		return;
	}
	free(builder->cwd);
	builder->cwd = NULL;
	builder->cwd_fd = fd;
}

void pal_builder_rlimit(struct pal_builder *builder, int resource, rlim_t soft, rlim_t hard)
{
	if (!builder)
		return;
	if (resource < 0 || resource >= (int)RLIM_NLIMITS) {
		pal__builder_fail(
			builder, PAL_STAGE_ARGUMENT, -EINVAL, "resource limit %d", resource);
		return;
	}
	if (builder->sandbox.settled && builder->limit_set[resource]) { /* a profile's holds, too */
		const struct rlimit *now = &builder->limits[resource];

		soft = soft < now->rlim_cur ? soft : now->rlim_cur;
		hard = hard < now->rlim_max ? hard : now->rlim_max;
	}
	builder->limits[resource] = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
	builder->limit_set[resource] = true;
}

void pal_builder_parent_death(struct pal_builder *builder, int signal)
{
	if (!builder)
		return;
	if (signal < 0 || signal >= _NSIG)
		pal__builder_fail(
			builder, PAL_STAGE_ARGUMENT, -EINVAL, "parent-death signal %d", signal);
	else
		builder->parent_death = signal;
}

void pal_builder_parent_death_of_process(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->death_of_process = on;
}

bool pal__builder_arms_death(const struct pal_builder *builder, bool program)
{
	return builder->parent_death && (program || !builder->death_of_process);
}

void pal_builder_start_deadline(struct pal_builder *builder, pal_deadline deadline)
{
	if (builder)
		builder->start_deadline = deadline;
}

void pal_builder_fork_memory(struct pal_builder *builder, void *memory)
{
	if (builder)
		builder->fork_memory = memory;
}

void pal_builder_fork_unwaited(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->fork_unwaited = on;
}

bool pal__builder_leaves_fork(const struct pal_builder *builder)
{
	return builder->fork_unwaited && builder->fork_memory && !builder->sandbox.notify &&
	       !builder->namespaces.flags && !builder->namespaces.join_count;
}

void pal_builder_vfork(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->vfork = on;
}

void pal_builder_sandbox(struct pal_builder *builder, const struct pal_profile *profile)
{
	struct pal_error error = {0};
	int r;

	if (!builder)
		return;
	r = profile ? pal_check_size(profile, profile->size, sizeof *profile) : -EINVAL;
	if (r < 0) {
		pal__builder_check(
			builder, r, "sandbox profile %s", profile ? "of another size" : "(null)");
		return;
	}
	r = pal__profile_apply(profile, builder, &error);
	if (r >= 0 || builder->first_error.code)
		return;
	if (error.code)
		builder->first_error = error;
	else
		pal__builder_fail(builder, PAL_STAGE_PROFILE, r, "sandbox profile %s",
			profile->name ? profile->name : "without a name");
}
