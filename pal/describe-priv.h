/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_DESCRIBE_PRIV_H
#define PROCMESH_PAL_DESCRIBE_PRIV_H

#include <pal/builder-priv.h>
#include <stdio.h>

/* What the child has of the sets, as far as the builder says who it is. */
struct pal_capabilities pal__describe_capabilities(const struct pal_builder *builder);

/* Parts of pal_profile_describe: lines that begin with "- ", from what a builder has. */
void pal__describe_files(FILE *out, const struct pal_builder *builder);
void pal__describe_landlock(FILE *out, const struct pal__sandbox *sandbox);
void pal__describe_filter(FILE *out, const struct sock_fprog *program, bool first_exec);

#endif
