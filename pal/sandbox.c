/* SPDX-License-Identifier: MIT */
#include <pal/sandbox-priv.h>

#include <fcntl.h>
#include <string.h>

#include <pal/builder-priv.h>
#include <pal/landlock-priv.h>
#include <pal/profile-priv.h>
#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

/*
 * The builder's half: what is asked for is resolved, compiled and duplicated
 * here, so that the child (sandbox-child.c) has only system calls left to make.
 */

void pal_builder_no_new_privs(struct pal_builder *builder, bool on)
{
	if (builder) /* what a profile has said stays */
		builder->sandbox.no_new_privs =
			on || (builder->sandbox.settled && builder->sandbox.no_new_privs);
}

void pal_builder_landlock(struct pal_builder *builder, const struct pal_landlock *ruleset)
{
	struct pal__sandbox before;
	int fd = -1;

	if (!builder)
		return;
	if (!ruleset) { /* never taken for "none": it may be what a failed pal_landlock_new left */
		pal__builder_fail(builder, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock ruleset");
		return;
	}
	if (ruleset->fd >= 0)
		fd = fcntl(ruleset->fd, F_DUPFD_CLOEXEC, 3); /* a closed stdin stays closed */
	if (ruleset->fd >= 0 && fd < 0) {
		pal__builder_fail(
			builder, PAL_STAGE_LANDLOCK, -errno, "copying a Landlock ruleset");
		return;
	}
	pal__setter_begin(builder, &before);
	pal_close(builder->sandbox.landlock_fd);
	builder->sandbox.landlock_fd = fd;
	builder->sandbox.landlock_flags = ruleset->restrict_flags;
	pal__landlock_words_unref(builder->sandbox.landlock_view.words);
	builder->sandbox.landlock_view = (struct pal__landlock_view){
		.files = ruleset->handled_fs,
		.ports = ruleset->handled_net,
		.scopes = (unsigned)ruleset->scopes,
		.missing = ruleset->missing,
		.words = pal__landlock_words_ref(ruleset->words),
	};
	pal__setter_end(builder, &before);
}

int pal__builder_border(struct pal_builder *builder, struct pal_error *error)
{
	int fd;

	if (builder->sandbox.border_fd >= 0)
		return 0;
	fd = pal__landlock_border();
	if (fd < 0)
		return pal_error_set(error, PAL_STAGE_LANDLOCK, fd, "making a Landlock ruleset");
	builder->sandbox.border_fd = fd;
	return 0;
}

/* The outcome of making `program`, 0 or not, which `error` is about. */
static void take_program(struct pal_builder *builder, int result,
	const struct pal__seccomp_program *program, const struct pal_error *error)
{
	struct pal__sandbox *sandbox = &builder->sandbox;

	if (result < 0) {
		if (!builder->first_error.code)
			builder->first_error = *error;
		return;
	}
	pal__seccomp_program_free(&sandbox->seccomp);
	sandbox->seccomp = program->code;
	sandbox->exec_key = program->exec_key;
	sandbox->start_key = program->start_key;
	sandbox->notify = program->notify;
}

/* One secret for all filters that allow the first exec. */
static void take_filter(struct pal_builder *builder, const struct pal_seccomp *filter)
{
	struct pal__seccomp_program program;
	struct pal_error error;
	struct pal_seccomp with_key;

	if (filter && filter->exec_key && builder->sandbox.shared_key) {
		with_key = *filter;
		with_key.exec_key = builder->sandbox.shared_key;
		filter = &with_key;
	}
	take_program(builder, pal__seccomp_compile(filter, &program, &error), &program, &error);
}

void pal_builder_seccomp(struct pal_builder *builder, const struct pal_seccomp *filter)
{
	struct pal__sandbox before;

	if (!builder)
		return;
	pal__setter_begin(builder, &before);
	take_filter(builder, filter);
	pal__setter_end(builder, &before);
}

void pal_builder_seccomp_bpf(
	struct pal_builder *builder, const struct sock_filter *code, size_t count)
{
	struct pal__seccomp_program program;
	struct pal__sandbox before;
	struct pal_error error;

	if (!builder)
		return;
	pal__setter_begin(builder, &before);
	take_program(builder, pal__seccomp_copy(code, count, &program, &error), &program, &error);
	pal__setter_end(builder, &before);
}

void pal__sandbox_forget(struct pal__sandbox *sandbox)
{
	sandbox->landlock_fd = -1;
	for (size_t i = 0; i < PAL__STACKED_MAX; i++)
		sandbox->stacked_fds[i] = -1;
	sandbox->border_fd = -1;
}

void pal__sandbox_clear(struct pal__sandbox *sandbox)
{
	pal_close(sandbox->landlock_fd);
	for (size_t i = 0; i < PAL__STACKED_MAX; i++) {
		pal_close(sandbox->stacked_fds[i]);
		pal__landlock_words_unref(sandbox->stacked_views[i].words);
	}
	pal__landlock_words_unref(sandbox->landlock_view.words);
	pal_close(sandbox->border_fd);
	pal__seccomp_program_free(&sandbox->seccomp);
	explicit_bzero(&sandbox->exec_key, sizeof sandbox->exec_key);
	explicit_bzero(&sandbox->start_key, sizeof sandbox->start_key);
	*sandbox = (struct pal__sandbox)PAL__SANDBOX_INIT;
}
