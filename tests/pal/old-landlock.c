/* SPDX-License-Identifier: MIT */
#include "old-landlock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>

#include <pal/landlock-abi-priv.h>

int old_landlock_abi = OLD_LANDLOCK_OFF;

static int newer_rights(const struct pal__landlock_ruleset_attr *attr)
{
	uint64_t files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

	files |= old_landlock_abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
	files |= old_landlock_abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
	files |= old_landlock_abi >= 5 ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0;
	return (attr->handled_access_fs & ~files) ||
	       (old_landlock_abi < 4 && attr->handled_access_net) ||
	       (old_landlock_abi < 6 && attr->scoped);
}

/* The errno of a call that this kernel would make, or 0. */
static int refusal_of(long number, const long arguments[6])
{
	bool is_landlock = number == SYS_landlock_create_ruleset ||
			   number == SYS_landlock_add_rule || number == SYS_landlock_restrict_self;
	const void *attr = (const void *)arguments[0];

	if (old_landlock_abi == OLD_LANDLOCK_OFF || !is_landlock)
		return 0;
	if (old_landlock_abi == OLD_LANDLOCK_NONE)
		return ENOSYS;
	return number == SYS_landlock_create_ruleset && attr && newer_rights(attr) ? EINVAL : 0;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
/* Takes six arguments where there may be fewer, as libc's own does: not for a sanitizer to see. */
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list args;
	int error;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(args, long);
	va_end(args);
	error = refusal_of(number, arguments);
	if (error) {
		errno = error;
		return -1;
	}
	if (old_landlock_abi > 0 && number == SYS_landlock_create_ruleset &&
		arguments[2] == LANDLOCK_CREATE_RULESET_VERSION)
		return old_landlock_abi;
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
		arguments[4], arguments[5]);
}
