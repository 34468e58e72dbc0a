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

/* As execvp(3) joins them: an empty folder adds nothing to the name. */
static char *join(const char *folder, size_t length, const char *program)
{
	char *path;

	if (!length)
		return strdup(program);
	return asprintf(&path, "%.*s/%s", (int)length, folder, program) < 0 ? NULL : path;
}

static const char *search_path(const struct pal__plan *plan, const struct pal_builder *builder)
{
	if (!(builder->search & PAL_SEARCH_CHILD_PATH))
		return getenv("PATH");
	for (char **entry = plan->envp; *entry; entry++)
		if (strncmp(*entry, "PATH=", 5) == 0)
			return *entry + 5;
	return NULL;
}

static int make_candidates(struct pal__plan *plan, const struct pal_builder *builder)
{
	const char *program = builder->program, *folder;
	int r = 0;

	if (strchr(program, '/'))
		return pal__strings_add(&plan->candidates, program);
	folder = search_path(plan, builder);
	if (!folder)
		folder = DEFAULT_PATH;
	while (r >= 0) {
		size_t length = strcspn(folder, ":");

		/* what is relative would run whatever the child's folder holds */
		if (*folder == '/' || builder->search & PAL_SEARCH_RELATIVE)
			r = pal__strings_take(&plan->candidates, join(folder, length, program));
		if (!folder[length])
			break;
		folder += length + 1;
	}
	return r;
}

static int make_exec(struct pal__plan *plan, const struct pal_builder *builder)
{
	int r = make_argv(plan, builder);

	if (r >= 0)
		r = pal__environ_merge(&builder->env, environ, &plan->envp);
	if (r >= 0)
		r = make_candidates(plan, builder);
	return r;
}

void pal__plan_refresh(struct pal__plan *plan, const struct pal_builder *builder)
{
	plan->parent = getpid();
	switch (builder->signals.mask_kind) {
	case PAL__MASK_EMPTY:
		plan->mask = (struct pal__sigset){{0}};
		break;
	case PAL__MASK_SET:
		plan->mask = builder->signals.mask;
		break;
	case PAL__MASK_KEPT:
		plan->mask = pal__signals_mask();
		break;
	}
}

int pal__plan_make(struct pal__plan *plan, const struct pal_builder *builder, bool program,
	const struct pal__streams *streams, int ready_fd, struct pal_error *error)
{
	int r;

	*plan = (struct pal__plan){
		.parent_death = builder->parent_death,
		.first_reset_rt = program ? PAL__KERNEL_SIGRTMIN : SIGRTMIN,
		.signals = &builder->signals,
		.cgroup_fd = builder->process.cgroup_fd,
		.process = &builder->process,
		.steps = &builder->steps,
		.cwd = builder->cwd,
		.limits = builder->limits,
		.limit_set = builder->limit_set,
		.sandbox = &builder->sandbox,
	};
	plan->fds.carried[PAL__CARRY_LANDLOCK] = builder->sandbox.landlock_fd;
	plan->fds.carried[PAL__CARRY_BORDER] = builder->sandbox.border_fd;
	plan->fds.carried[PAL__CARRY_HANDOVER] = streams->handover[1];
	plan->fds.carried[PAL__CARRY_HANDOVER_OTHER] = streams->handover[0];
	plan->fds.carried[PAL__CARRY_READY] = ready_fd;
	plan->fds.carried[PAL__CARRY_CWD] = builder->cwd_fd;
	pal__plan_refresh(plan, builder);
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
