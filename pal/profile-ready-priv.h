/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_READY_PRIV_H
#define PROCMESH_PAL_PROFILE_READY_PRIV_H

#include <pal/landlock.h>
#include <pal/profile.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the hooks below find in `data` of their profile. */
struct pal__ready {
	struct pal_profile profile;
	char *text;
	char **paths; /* NULL at the end */
	size_t path_count;
	uint16_t *ports;
	size_t port_count;
};

/*
 * profile-ready.c. Rules for what the system's programs need, and for `access` to the profile's own paths,
 * and its ports. `builder`: NULL for this process, after its initialisation. `all_ports`: TCP is not
 * restricted, except that nothing is bound.
 */
int pal__ready_ruleset(const struct pal__ready *ready, const struct pal_builder *builder,
	bool all_ports, unsigned access, struct pal_landlock **ret, struct pal_error *error);

int pal__ready_apply_reader(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);
int pal__ready_finalize_reader(const struct pal_profile *profile, struct pal_error *error);
int pal__ready_apply_client(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);
int pal__ready_finalize_client(const struct pal_profile *profile, struct pal_error *error);
/* profile-worker.c */
int pal__ready_apply_worker(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);

#endif
