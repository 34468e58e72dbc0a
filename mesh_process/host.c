/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process.h>

struct mesh_node *mesh_process_host_node(void)
{
	return NULL;
}
