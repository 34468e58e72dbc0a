/* SPDX-License-Identifier: MIT */
#include <pal/helper.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <pal/helper-thread-priv.h>
#include <pal/threads-priv.h>

/* What the thread takes over from who started it. */
struct start {
	char name[16]; /* what the kernel keeps */
	void *(*run)(void *arg);
	void (*wake)(void *arg);
	void *arg;
};

static void *run_helper(void *arg)
{
	struct start start = *(struct start *)arg;
	struct pal__helper self;
	void *result;

	free(arg);
	pal__helper_enter(&self, start.name, start.wake, start.arg);
	result = start.run(start.arg);
	pal__helper_leave(&self);
	return result;
}

int pal_helper_start(
	pthread_t *ret, const char *name, void *(*run)(void *arg), void (*wake)(void *arg), void *arg)
{
	struct start *start;
	int r;

	if (!ret || !name || !run || !wake)
		return -EINVAL;
	start = malloc(sizeof *start);
	if (!start)
		return -ENOMEM;
	*start = (struct start){.run = run, .wake = wake, .arg = arg};
	snprintf(start->name, sizeof start->name, "%s", name);
	r = pal__helper_thread_start(ret, PAL__THREAD_USERS, run_helper, start);
	if (r < 0)
		free(start);
	return r;
}

void pal_helper_take_part(void)
{
	int saved = errno;

	pal__threads_take_part();
	errno = saved;
}
