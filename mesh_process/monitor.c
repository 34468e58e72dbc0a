/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <time.h>

void mesh_process__monitor_init(struct mesh_process__monitor *monitor)
{
	pthread_condattr_t attributes;

	/* On Linux none of these allocates or fails. */
	pthread_mutex_init(&monitor->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&monitor->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void mesh_process__monitor_deinit(struct mesh_process__monitor *monitor)
{
	pthread_cond_destroy(&monitor->changed);
	pthread_mutex_destroy(&monitor->lock);
}

void mesh_process__lock(struct mesh_process__monitor *monitor)
{
	pthread_mutex_lock(&monitor->lock);
}

void mesh_process__unlock(struct mesh_process__monitor *monitor)
{
	pthread_mutex_unlock(&monitor->lock);
}

void mesh_process__changed(struct mesh_process__monitor *monitor)
{
	pthread_cond_broadcast(&monitor->changed);
}

int mesh_process__await(struct mesh_process__monitor *monitor, pal_deadline deadline)
{
	struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};

	if (deadline == PAL_DEADLINE_NONE)
		return -pthread_cond_wait(&monitor->changed, &monitor->lock);
	return -pthread_cond_timedwait(&monitor->changed, &monitor->lock, &until);
}
