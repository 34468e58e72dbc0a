/* SPDX-License-Identifier: MIT */
#include <pal/plan-priv.h>

#include <errno.h>
#include <limits.h>
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

/* PATH, where the program is to be searched; else NULL. The child's environment is in the plan already. */
static const char *search_path(const struct pal__plan *plan, const struct pal_builder *builder)
{
	const char *path = NULL;

	if (strchr(builder->program, '/') || builder->search & PAL_SEARCH_NONE)
		return NULL;
	if (!(builder->search & PAL_SEARCH_CHILD_PATH))
		path = getenv("PATH");
	else
		for (char **entry = plan->envp; *entry && !path; entry++)
			if (strncmp(*entry, "PATH=", 5) == 0)
				path = *entry + 5;
	return path ? path : DEFAULT_PATH;
}

static int make_candidates(struct pal__plan *plan, const struct pal_builder *builder)
{
	const char *program = builder->program, *folder = search_path(plan, builder);
	int r = 0;

	plan->as_execvp = builder->search & PAL_SEARCH_RELATIVE;
	if (!folder)
		return pal__strings_add(&plan->candidates, program);
	plan->key.path = strdup(folder);
	if (!plan->key.path)
		return -ENOMEM;
	while (r >= 0) {
		size_t length = strcspn(folder, ":");

		/* what is relative would run whatever the child's folder holds */
		if ((*folder == '/' || plan->as_execvp) && length < PATH_MAX)
			r = pal__strings_take(&plan->candidates, join(folder, length, program));
		if (!folder[length])
			break;
		folder += length + 1;
	}
	return r;
}

/* FNV-1a over the entries up to their '='. */
static uint64_t hash_names(char *const *entries)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *entries; entries++)
		for (const char *byte = *entries;; byte++) {
			hash = (hash ^ (unsigned char)*byte) * UINT64_C(0x100000001b3);
			if (!*byte || *byte == '=')
				break;
		}
	return hash;
}

static bool inherits(const struct pal__environ *env)
{
	return !env->cleared && !env->verbatim;
}

static int make_environment(struct pal__plan *plan, const struct pal_builder *builder)
{
	size_t count = 0;

	while (inherits(&builder->env) && environ && environ[count])
		count++;
	plan->key.inherited = calloc(count + 1, sizeof *plan->key.inherited);
	if (!plan->key.inherited)
		return -ENOMEM;
	/* environ can shrink in another thread; what follows its NULL is never read */
	for (size_t i = 0; i < count && environ[i]; i++)
		plan->key.inherited[i] = environ[i];
	plan->key.names = hash_names(plan->key.inherited);
	return pal__environ_merge(&builder->env, plan->key.inherited, &plan->envp);
}

static int make_exec(struct pal__plan *plan, const struct pal_builder *builder)
{
	int r = make_argv(plan, builder);

	if (r >= 0)
		r = make_environment(plan, builder);
	if (r >= 0)
		r = make_candidates(plan, builder);
	return r;
}

/* ---- whether a plan can be used again ---- */

/* Values that are changed in place show through the pointers. */
static bool same_environment(const struct pal__plan *plan, const struct pal_builder *builder)
{
	size_t i = 0;

	if (!inherits(&builder->env) || !environ)
		return !plan->key.inherited[0];
	while (environ[i] && plan->key.inherited[i] == environ[i])
		i++;
	return plan->key.inherited[i] == environ[i] &&
	       plan->key.names == hash_names(plan->key.inherited);
}

static bool same_path(const struct pal__plan *plan, const struct pal_builder *builder)
{
	const char *path = search_path(plan, builder);

	return path && plan->key.path ? strcmp(path, plan->key.path) == 0
				      : !path && !plan->key.path;
}

static bool exec_fits(
	const struct pal__plan *plan, const struct pal_builder *builder, bool program)
{
	return plan->key.valid && !builder->changed && plan->key.program == program &&
	       (!program || (same_environment(plan, builder) && same_path(plan, builder)));
}

/* With pipes the numbers can be others in every spawn. */
static bool fds_fit(const struct pal__plan *plan, const struct pal__streams *streams,
	const int *carried)
{
	return memcmp(&plan->key.streams, streams, sizeof *streams) == 0 &&
	       memcmp(plan->key.carried, carried, sizeof plan->key.carried) == 0;
}

static int make_fds(struct pal__plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams, const int *carried)
{
	int r;

	plan->key.valid = false;
	pal__fd_plan_clear(&plan->fds);
	memcpy(plan->fds.carried, carried, sizeof plan->fds.carried);
	r = pal__fd_plan_make(&plan->fds, builder, streams);
	if (r < 0)
		return r;
	plan->key.streams = *streams;
	memcpy(plan->key.carried, carried, sizeof plan->key.carried);
	plan->key.valid = true;
	return 0;
}

static int make_derived(struct pal__plan *plan, const struct pal_builder *builder, bool program,
	const struct pal__streams *streams, const int *carried)
{
	int r;

	pal__plan_clear(plan);
	r = program ? make_exec(plan, builder) : 0;
	plan->key.program = program;
	return r < 0 ? r : make_fds(plan, builder, streams, carried);
}

/* ---- the plan ---- */

static struct pal__sigset mask_of(const struct pal__signals *signals)
{
	switch (signals->mask_kind) {
	case PAL__MASK_SET:
		return signals->mask;
	case PAL__MASK_KEPT:
		return pal__signals_mask();
	case PAL__MASK_EMPTY:
		break;
	}
	return (struct pal__sigset){{0}};
}

/* What costs nothing to look up is looked up for every spawn, in the thread that spawns. */
static void borrow(struct pal__plan *plan, const struct pal_builder *builder, bool program)
{
	plan->parent = getpid();
	plan->parent_death = pal__builder_arms_death(builder, program) ? builder->parent_death : 0;
	plan->first_reset_rt = program ? PAL__KERNEL_SIGRTMIN : SIGRTMIN;
	plan->mask = mask_of(&builder->signals);
	plan->signals = &builder->signals;
	plan->cgroup_fd = builder->process.cgroup_fd;
	plan->process = &builder->process;
	plan->steps = &builder->steps;
	plan->cwd = builder->cwd;
	plan->limits = builder->limits;
	plan->limit_set = builder->limit_set;
	plan->sandbox = &builder->sandbox;
	plan->root = &builder->root;
}

int pal__plan_update(struct pal__plan *plan, const struct pal_builder *builder, bool program,
	const struct pal__streams *streams, const struct pal__plan_fds *own, struct pal_error *error)
{
	int carried[PAL__CARRIED] = {
		[PAL__CARRY_LANDLOCK] = builder->sandbox.landlock_fd,
		[PAL__CARRY_BORDER] = builder->sandbox.border_fd,
		[PAL__CARRY_HANDOVER] = streams->handover[1],
		[PAL__CARRY_HANDOVER_OTHER] = streams->handover[0],
		[PAL__CARRY_READY] = own->ready,
		[PAL__CARRY_CWD] = builder->cwd_fd,
		[PAL__CARRY_PARENT] = own->parent,
	};
	int r = 0;

	memcpy(&carried[PAL__CARRY_STACKED], builder->sandbox.stacked_fds,
		sizeof builder->sandbox.stacked_fds);
	if (!exec_fits(plan, builder, program))
		r = make_derived(plan, builder, program, streams, carried);
	else if (!fds_fit(plan, streams, carried))
		r = make_fds(plan, builder, streams, carried);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_MEMORY, r, "plan of a child");
	borrow(plan, builder, program);
	pal__ns_plan_make(&plan->namespaces, builder, program, own->sockets);
	return 0;
}

void pal__plan_clear(struct pal__plan *plan)
{
	pal__fd_plan_clear(&plan->fds);
	pal__strings_clear(&plan->candidates);
	free(plan->argv);
	free(plan->envp);
	free(plan->key.path);
	free(plan->key.inherited);
	*plan = (struct pal__plan){0};
}

void pal__plan_free(struct pal__plan *plan)
{
	if (plan)
		pal__plan_clear(plan);
	free(plan);
}
