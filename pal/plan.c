/* SPDX-License-Identifier: MIT */
#include <pal/plan-priv.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pal/signals-priv.h>
#include <pal/util-priv.h>

#define DEFAULT_PATH "/bin:/usr/bin" /* without the current folder that confstr(3) once had */

static int make_argv(struct pal__plan *plan, const struct pal_builder *builder)
{
	plan->argv = calloc(builder->args.count + 2, sizeof *plan->argv);
	if (!plan->argv)
		return -ENOMEM;
	plan->argv[0] = builder->arg0 ? builder->arg0 : builder->program;
	if (builder->args.count)
		memcpy(plan->argv + 1, builder->args.items,
			builder->args.count * sizeof *plan->argv);
	return 0;
}

/* One folder of PATH. What is relative would run whatever the child's folder holds. */
static int add_candidate(
	struct pal__plan *plan, const char *folder, size_t length, const char *program)
{
	char *path;

	if (folder[0] != '/')
		return 0;
	if (asprintf(&path, "%.*s/%s", (int)length, folder, program) < 0)
		return -ENOMEM;
	return pal__strings_take(&plan->candidates, path);
}

static int make_candidates(struct pal__plan *plan, const char *program)
{
	const char *folder = getenv("PATH");
	size_t length;
	int r = 0;

	if (strchr(program, '/'))
		return pal__strings_add(&plan->candidates, program);
	if (!folder)
		folder = DEFAULT_PATH;
	for (; r >= 0; folder += length + 1) {
		length = strcspn(folder, ":");
		r = add_candidate(plan, folder, length, program);
		if (!folder[length])
			break;
	}
	return r;
}

static int make_exec(struct pal__plan *plan, const struct pal_builder *builder)
{
	int r = make_argv(plan, builder);

	if (r >= 0)
		r = pal__environ_merge(&builder->env, environ, &plan->envp);
	if (r >= 0)
		r = make_candidates(plan, builder->program);
	return r;
}

int pal__plan_make(struct pal__plan *plan, const struct pal_builder *builder, bool program,
	const struct pal__streams *streams, int ready_fd, struct pal_error *error)
{
	int r;

	*plan = (struct pal__plan){
		.parent = getpid(),
		.parent_death = builder->parent_death,
		.first_reset_rt = program ? PAL__KERNEL_SIGRTMIN : SIGRTMIN,
		.cwd = builder->cwd,
		.limits = builder->limits,
		.limit_set = builder->limit_set,
		.sandbox = &builder->sandbox,
	};
	plan->fds.carried[PAL__CARRY_LANDLOCK] = builder->sandbox.landlock_fd;
	plan->fds.carried[PAL__CARRY_BORDER] = builder->sandbox.border_fd;
	plan->fds.carried[PAL__CARRY_READY] = ready_fd;
	r = pal__fd_plan_make(&plan->fds, builder, streams);
	if (r >= 0 && program)
		r = make_exec(plan, builder);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_MEMORY, r, "plan of a child");
	return 0;
}

void pal__plan_clear(struct pal__plan *plan)
{
	pal__fd_plan_clear(&plan->fds);
	pal__strings_clear(&plan->candidates);
	free(plan->argv);
	free(plan->envp);
	*plan = (struct pal__plan){0};
}
