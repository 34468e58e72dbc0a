/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LANDLOCK_PRIV_H
#define PROCMESH_PAL_LANDLOCK_PRIV_H

#include <pal/sandbox.h>
#include <stdint.h>

struct pal_landlock {
	int fd;
	uint64_t handled_fs; /* what the ruleset denies unless a rule allows it */
	uint64_t handled_net;
};

#endif
