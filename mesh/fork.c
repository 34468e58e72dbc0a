/* SPDX-License-Identifier: MIT */
#include <mesh/fork-priv.h>

#include <pthread.h>

#include <mesh/machine-priv.h>

uint16_t mesh__forks;

/* The one thread of the child, between fork and whatever the program does there. */
static void in_child(void)
{
	mesh__forks++;
	mesh__space_start_again();
}

__attribute__((constructor)) static void watch(void)
{
	(void)pthread_atfork(NULL, NULL, in_child);
}
