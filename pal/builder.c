/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/profile.h>
#include <pal/util-priv.h>

/* The setters: they copy and check, and make no system call. */

void pal__builder_fail(struct pal_builder *builder, int stage, int code, const char *format, ...)
{
	char text[PAL_ERROR_TEXT_SIZE];
	va_list args;

	if (!builder || builder->first_error.code)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	pal_error_set(&builder->first_error, stage, code, "%s", text);
}

/* For setters that can be given nonsense or run out of memory; 0 passes. */
static void check(struct pal_builder *builder, int code, const char *what)
{
	builder->changed = true;
	if (code == -ENOMEM)
		pal__builder_fail(builder, PAL_STAGE_MEMORY, code, "%s", what);
	else if (code < 0)
		pal__builder_fail(builder, PAL_STAGE_ARGUMENT, code, "%s", what);
}

static int replace_string(char **string, const char *with)
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

static int put_request(struct pal_builder *builder, struct pal__fd_request request)
{
	struct pal__fd_request *fds = builder->fds;

	for (size_t i = 0; i < builder->fd_count; i++)
		if (fds[i].child_fd == request.child_fd) {
			fds[i] = request;
			return 0;
		}
	fds = reallocarray(fds, builder->fd_count + 1, sizeof *fds);
	if (!fds)
		return -ENOMEM;
	builder->fds = fds;
	fds[builder->fd_count++] = request;
	return 0;
}

struct pal_builder *pal_builder_new(const char *program)
{
	struct pal_builder *builder = calloc(1, sizeof *builder);

	if (!builder)
		return NULL;
	builder->sandbox = (struct pal__sandbox)PAL__SANDBOX_INIT;
	builder->close_others = true;
	builder->start_deadline = PAL_DEADLINE_NONE;
	builder->vfork = true;
	for (int fd = 0; fd < 3; fd++)
		check(builder,
			put_request(builder, (struct pal__fd_request){fd, PAL_STDIO_INHERIT, -1}),
			"standard streams");
	if (program)
		check(builder, *program ? replace_string(&builder->program, program) : -EINVAL,
			"program");
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
	free(builder->program);
	free(builder->arg0);
	free(builder->cwd);
	free(builder->fds);
	free(builder->closes);
	free(builder);
	errno = saved;
}

void pal_builder_arg0(struct pal_builder *builder, const char *arg0)
{
	if (builder)
		check(builder, replace_string(&builder->arg0, arg0), "arg0");
}

void pal_builder_arg(struct pal_builder *builder, const char *arg)
{
	if (builder)
		check(builder, arg ? pal__strings_add(&builder->args, arg) : -EINVAL, "argument");
}

void pal_builder_args(struct pal_builder *builder, const char *const *args)
{
	if (builder && !args)
		check(builder, -EINVAL, "arguments");
	for (size_t i = 0; builder && args && args[i]; i++)
		pal_builder_arg(builder, args[i]);
}

void pal_builder_env(struct pal_builder *builder, const char *name, const char *value)
{
	if (builder)
		check(builder, pal__environ_set(&builder->env, name, value),
			"environment variable");
}

void pal_builder_env_remove(struct pal_builder *builder, const char *name)
{
	if (builder)
		check(builder, pal__environ_remove(&builder->env, name), "environment variable");
}

void pal_builder_env_clear(struct pal_builder *builder)
{
	if (!builder)
		return;
	pal__environ_clear(&builder->env);
	builder->changed = true;
}

static void set_stream(
	struct pal_builder *builder, int stream, struct pal_stdio from, const char *name)
{
	bool valid = from.kind == PAL_STDIO_KIND_INHERIT || from.kind == PAL_STDIO_KIND_NULL ||
		     from.kind == PAL_STDIO_KIND_PIPE ||
		     (from.kind == PAL_STDIO_KIND_FD && from.fd >= 0);

	if (builder)
		check(builder,
			valid ? put_request(builder, (struct pal__fd_request){stream, from, -1})
			      : -EINVAL,
			name);
}

void pal_builder_stdin(struct pal_builder *builder, struct pal_stdio from)
{
	set_stream(builder, 0, from, "stdin");
}

void pal_builder_stdout(struct pal_builder *builder, struct pal_stdio to)
{
	set_stream(builder, 1, to, "stdout");
}

void pal_builder_stderr(struct pal_builder *builder, struct pal_stdio to)
{
	set_stream(builder, 2, to, "stderr");
}

void pal_builder_dup_fd(struct pal_builder *builder, int fd, int child_fd)
{
	if (!builder)
		return;
	if (fd < 0 || child_fd < 0)
		check(builder, -EINVAL, "dup_fd with a negative descriptor");
	else
		check(builder,
			put_request(builder, (struct pal__fd_request){child_fd, PAL_STDIO_FD(fd),
						     builder->fd_calls}),
			"dup_fd");
	builder->fd_calls++;
}

void pal_builder_close_fd(struct pal_builder *builder, int child_fd)
{
	struct pal__fd_close *closes;

	if (!builder)
		return;
	if (child_fd < 0) {
		check(builder, -EINVAL, "close_fd with a negative descriptor");
		return;
	}
	closes = reallocarray(builder->closes, builder->close_count + 1, sizeof *closes);
	if (!closes) {
		check(builder, -ENOMEM, "close_fd");
		return;
	}
	builder->closes = closes;
	closes[builder->close_count++] = (struct pal__fd_close){child_fd, builder->fd_calls++};
	builder->changed = true;
}

void pal_builder_close_others(struct pal_builder *builder, bool on)
{
	if (!builder)
		return;
	builder->close_others = on;
	builder->changed = true;
}

void pal_builder_cwd(struct pal_builder *builder, const char *path)
{
	if (builder)
		check(builder, path && *path ? replace_string(&builder->cwd, path) : -EINVAL,
			"cwd");
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

void pal_builder_start_deadline(struct pal_builder *builder, pal_deadline deadline)
{
	if (builder)
		builder->start_deadline = deadline;
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
		check(builder, r, "sandbox profile");
		return;
	}
	r = profile->apply ? profile->apply(profile, builder, &error) : 0;
	if (r >= 0 || builder->first_error.code)
		return;
	if (error.code)
		builder->first_error = error;
	else
		pal__builder_fail(builder, PAL_STAGE_PROFILE, r, "sandbox profile %s",
			profile->name ? profile->name : "without a name");
}
