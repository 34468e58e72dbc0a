/* SPDX-License-Identifier: MIT */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <pal/process.h>

/* ---- reading and checking ---- */

static int invalid(struct pal_error *error, const char *name, const char *why)
{
	return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL, "options.%s %s", name, why);
}

static int check_streams(const struct isolate_options *options, struct pal_error *error)
{
	static const char *const names[] = {"std_in", "std_out", "std_err"};
	const enum pal_stdio_kind kinds[] = {
		options->std_in.kind, options->std_out.kind, options->std_err.kind};

	for (int i = 0; i < 3; i++) {
		/* As a number: it may be any. */
		if ((unsigned)kinds[i] > PAL_STDIO_KIND_STDOUT)
			return invalid(error, names[i], "is of no kind");
		if (kinds[i] == PAL_STDIO_KIND_STDOUT && i != STDERR_FILENO)
			return invalid(
				error, names[i], "is PAL_STDIO_STDOUT, which is for std_err");
	}
	if (kinds[STDIN_FILENO] == PAL_STDIO_KIND_PIPE)
		return invalid(error, "std_in", "cannot be captured");
	return 0;
}

static int check_numbers(const struct isolate_options *options, struct pal_error *error)
{
	if (options->deadline_ms < 0)
		return invalid(error, "deadline_ms", "is negative");
	if (options->grace_ms < 0)
		return invalid(error, "grace_ms", "is negative");
	if (options->rlimit_count && !options->rlimits)
		return invalid(error, "rlimits", "is NULL");
	if (options->keep_fd_count && !options->keep_fds)
		return invalid(error, "keep_fds", "is NULL");
	if (options->core < ISOLATE_CORE_AS_CALLER || options->core > ISOLATE_CORE_ON)
		return invalid(error, "core", "is none of its values");
	return 0;
}

/* Before this library opens any of its own, which could have the number. */
static int check_open(int fd, struct pal_error *error)
{
	if (fcntl(fd, F_GETFD) >= 0)
		return 0;
	return pal_error_set(
		error, ISOLATE_STAGE_PREPARE, -EBADF, "descriptor %d for the function", fd);
}

static int check_fds(const struct isolate_options *options, struct pal_error *error)
{
	const struct pal_stdio *streams[] = {
		&options->std_in, &options->std_out, &options->std_err};
	int r = 0;

	for (size_t i = 0; i < 3 && r == 0; i++)
		if (streams[i]->kind == PAL_STDIO_KIND_FD)
			r = check_open(streams[i]->fd, error);
	for (size_t i = 0; i < options->keep_fd_count && r == 0; i++)
		r = check_open(options->keep_fds[i], error);
	return r;
}

/* Options of a smaller size are those of an older caller: the fields it does not know are 0. */
int isolate__options_read(
	const struct isolate_options *given, struct isolate_options *ret, struct pal_error *error)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT};
	int r;

	if (given) {
		if (given->size < sizeof given->size)
			return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL,
				"options.size is %zu", given->size);
		for (size_t i = sizeof options; i < given->size; i++)
			if (((const unsigned char *)given)[i])
				return pal_error_set(error, ISOLATE_STAGE_PREPARE, -E2BIG,
					"options set a field that this version does not know");
		memcpy(&options, given,
			given->size < sizeof options ? given->size : sizeof options);
	}
	r = check_numbers(&options, error);
	if (r == 0)
		r = check_streams(&options, error);
	if (r == 0)
		r = check_fds(&options, error);
	if (r == 0)
		*ret = options;
	return r;
}

/* ---- as a builder ---- */

static void set_core(struct pal_builder *builder, enum isolate_core core)
{
	struct rlimit limit;

	if (core == ISOLATE_CORE_AS_CALLER || getrlimit(RLIMIT_CORE, &limit) < 0)
		return;
	/* Cores that a program takes are not limited, but 1 is its own case in the kernel: none at all. */
	limit.rlim_cur = core == ISOLATE_CORE_ON ? limit.rlim_max : limit.rlim_max > 0;
	pal_builder_rlimit(builder, RLIMIT_CORE, limit.rlim_cur, limit.rlim_max);
}

static void set_limits(struct pal_builder *builder, const struct isolate_options *options)
{
	set_core(builder, options->core);
	for (size_t i = 0; i < options->rlimit_count; i++)
		pal_builder_rlimit(builder, options->rlimits[i].resource,
			options->rlimits[i].limit.rlim_cur, options->rlimits[i].limit.rlim_max);
}

static void set_nice(struct pal_builder *builder, int by)
{
	int value;

	if (!by)
		return;
	value = getpriority(PRIO_PROCESS, 0);
	/* Each of the two first, so that their sum cannot overflow. */
	by = by < -40 ? -40 : by > 40 ? 40 : by;
	value += by;
	pal_builder_nice(builder, value < -20 ? -20 : value > 19 ? 19 : value);
}

static void set_fds(struct pal_builder *builder, const struct isolate__call *call)
{
	const struct isolate_options *options = &call->options;

	pal_builder_stdin(builder, options->std_in);
	pal_builder_stdout(builder, options->std_out);
	pal_builder_stderr(builder, options->std_err);
	pal_builder_close_others(builder, options->keep_fds);
	for (size_t i = 0; i < options->keep_fd_count; i++)
		if (options->keep_fds[i] > STDERR_FILENO)
			pal_builder_dup_fd(builder, options->keep_fds[i], options->keep_fds[i]);
	if (options->keep_fds && call->memfd >= 0)
		pal_builder_dup_fd(builder, call->memfd, call->memfd);
}

bool isolate__options_plain(const struct isolate_options *options)
{
	return !options->rlimit_count && !options->sandbox && !options->nice &&
	       options->core == ISOLATE_CORE_AS_CALLER && !options->keep_fds &&
	       options->std_in.kind == PAL_STDIO_KIND_INHERIT &&
	       options->std_out.kind == PAL_STDIO_KIND_INHERIT &&
	       options->std_err.kind == PAL_STDIO_KIND_INHERIT;
}

struct pal_builder *isolate__options_make_builder(const struct isolate__call *call)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	set_fds(builder, call);
	set_limits(builder, &call->options);
	set_nice(builder, call->options.nice);
	pal_builder_parent_death(builder, SIGKILL);
	/* The last one: it is to see, and to narrow, what the others have set. */
	if (call->options.sandbox)
		pal_builder_sandbox(builder, call->options.sandbox);
	return builder;
}

void isolate__options_builder(struct isolate__call *call)
{
	if (!call->builder || !isolate__options_plain(&call->options)) {
		pal_builder_free(call->builder);
		call->builder = isolate__options_make_builder(call);
	}
	pal_builder_start_deadline(call->builder, call->deadline);
	pal_builder_fork_memory(call->builder, call->shared->fork_memory);
}
