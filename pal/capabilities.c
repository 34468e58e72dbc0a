/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/capabilities-priv.h>
#include <pal/util-priv.h>

#define LONGEST_NAME 64

uint64_t pal_capability_from_name(const char *name)
{
	char full[LONGEST_NAME], *known;
	cap_value_t number;
	int length, saved = errno;
	bool same;

	if (!name)
		return 0;
	length = snprintf(
		full, sizeof full, "%s%s", strncasecmp(name, "cap_", 4) ? "cap_" : "", name);
	if (length < 0 || (size_t)length >= sizeof full || cap_from_name(full, &number) < 0 ||
		number >= 64) {
		errno = saved;
		return 0;
	}
	/* cap_from_name stops reading at the first character that cannot be part of a name */
	known = cap_to_name(number);
	same = known && strcasecmp(known, full) == 0;
	cap_free(known);
	errno = saved;
	return same ? UINT64_C(1) << number : 0;
}

static bool has_capability_number(unsigned number)
{
	return syscall(SYS_prctl, PR_CAPBSET_READ, (unsigned long)number, 0, 0, 0) >= 0;
}

/*
 * The running kernel's last capability; it may have more or fewer than the
 * headers. Where a filter forbids to ask, the highest that can be: too many
 * make the child fail, too few would leave it some.
 */
static unsigned last_capability(void)
{
	unsigned last = 0;

	if (!has_capability_number(0))
		return 63;
	for (unsigned step = 32; step; step /= 2)
		if (has_capability_number(last + step))
			last += step;
	return last;
}

void pal__capabilities_plan(struct pal__sandbox *sandbox, const struct pal_capabilities *sets)
{
	int saved = errno;
	unsigned last = last_capability();
	uint64_t known = UINT64_MAX >> (63 - last);

	sandbox->set_capabilities = true;
	sandbox->last_capability = last;
	sandbox->capabilities = (struct pal_capabilities){
		.bounding = sets->bounding & known,
		.permitted = sets->permitted & known,
		.effective = sets->effective & known,
		.inheritable = sets->inheritable & known,
		.ambient = sets->ambient & known,
	};
	errno = saved;
}
