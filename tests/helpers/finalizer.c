/* SPDX-License-Identifier: MIT */
#include <pal_profile/text.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/*
 * finalizer ACTION: takes the profile that was passed, enforces its second half, and then tries the action in
 * a thread that was there before. Exits with 0 or its errno; 200: no profile was passed; else 255 with a
 * line about what failed.
 */

const char *__asan_default_options(void) __attribute__((visibility("default")));
const char *__asan_default_options(void)
{
	return "detect_leaks=0"; /* it would trace the process, which a profile may forbid */
}

static int gate[2];

static int act(const char *action)
{
	struct utsname name;

	if (!strcmp(action, "uname"))
		return uname(&name) < 0 ? errno : 0;
	if (!strcmp(action, "read"))
		return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
	if (!strcmp(action, "state")) /* nothing of the profile is left over */
		return getenv("PROCMESH_PROFILE_FD") ? 1 : fcntl(3, F_GETFD) >= 0 ? 2 : 0;
	return 254;
}

static void *act_later(void *action)
{
	char byte;

	while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
		;
	return (void *)(intptr_t)act(action);
}

static int fail(const struct pal_error *error)
{
	fprintf(stderr, "%s\n", pal_error_text(error));
	return 255;
}

int main(int argc, char **argv)
{
	struct pal_error error = {0};
	struct pal_profile *profile;
	pthread_t thread;
	void *result;

	if (argc != 2)
		return 254;
	if (pal_profile_inherited(&profile, &error) < 0)
		return fail(&error);
	if (!profile)
		return 200;
	if (!strcmp(argv[1], "state"))
		return act(argv[1]);
	if (pipe2(gate, O_CLOEXEC) < 0 || pthread_create(&thread, NULL, act_later, argv[1]) != 0)
		return 253;
	if (pal_profile_finalize(profile, &error) < 0)
		return fail(&error);
	if (write(gate[1], "x", 1) != 1 || pthread_join(thread, &result) != 0)
		return 252;
	return (int)(intptr_t)result;
}
