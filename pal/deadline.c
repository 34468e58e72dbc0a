/* SPDX-License-Identifier: MIT */
#include <pal/deadline-priv.h>

#include <limits.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)

int64_t pal__now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

pal_deadline pal_deadline_after_ms(int64_t ms)
{
	int64_t now = pal__now_ns();

	if (ms <= 0)
		return now;
	if (ms > (PAL_DEADLINE_NONE - now) / NS_PER_MS)
		return PAL_DEADLINE_NONE;
	return now + ms * NS_PER_MS;
}

int pal_deadline_left_ms(pal_deadline deadline)
{
	int64_t left;

	if (deadline == PAL_DEADLINE_NONE)
		return -1;
	if (deadline <= 0)
		return 0;
	left = deadline - pal__now_ns();
	if (left <= 0)
		return 0;
	left = left / NS_PER_MS + (left % NS_PER_MS != 0);
	return left > INT_MAX ? INT_MAX : (int)left;
}
