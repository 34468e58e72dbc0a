/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

/* What was set so far, for the apply hooks of profiles. */

const char *pal_builder_peek_program(const struct pal_builder *builder)
{
	return builder ? builder->program : NULL;
}

uid_t pal_builder_get_uid(const struct pal_builder *builder)
{
	return builder ? builder->process.uid : (uid_t)-1;
}

gid_t pal_builder_get_gid(const struct pal_builder *builder)
{
	return builder ? builder->process.gid : (gid_t)-1;
}

bool pal_builder_has_fd(const struct pal_builder *builder, int child_fd)
{
	return builder && pal__builder_gives_fd(builder, child_fd);
}

bool pal_builder_get_close_others(const struct pal_builder *builder)
{
	return builder && builder->close_others;
}

bool pal_builder_get_setsid(const struct pal_builder *builder)
{
	return builder && (builder->process.setsid || builder->process.tty >= 0);
}

bool pal_builder_get_no_new_privs(const struct pal_builder *builder)
{
	return builder && builder->sandbox.no_new_privs;
}

int pal_builder_get_parent_death(const struct pal_builder *builder)
{
	return builder ? builder->parent_death : 0;
}

bool pal_builder_get_rlimit(const struct pal_builder *builder, int resource, struct rlimit *ret)
{
	if (!builder || resource < 0 || resource >= (int)RLIM_NLIMITS ||
		!builder->limit_set[resource])
		return false;
	*ret = builder->limits[resource];
	return true;
}

const char *pal_builder_peek_env(const struct pal_builder *builder, const char *name)
{
	return builder && name ? pal__environ_peek(&builder->env, name) : NULL;
}

bool pal_builder_get_env_inherited(const struct pal_builder *builder)
{
	return builder && !builder->env.cleared && !builder->env.verbatim;
}
