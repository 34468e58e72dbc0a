/* SPDX-License-Identifier: MIT */
#include <pal/capabilities.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/capabilities-priv.h>
#include <pal/profile-priv.h>
#include <pal/util-priv.h>

#define LONGEST_NAME 64
#define BETWEEN_NAMES " \t\n,"

/* clang-format off */
static const char *const names[] = { /* by number */
	"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid",
	"cap_kill", "cap_setgid", "cap_setuid", "cap_setpcap", "cap_linux_immutable",
	"cap_net_bind_service", "cap_net_broadcast", "cap_net_admin", "cap_net_raw",
	"cap_ipc_lock", "cap_ipc_owner", "cap_sys_module", "cap_sys_rawio", "cap_sys_chroot",
	"cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice",
	"cap_sys_resource", "cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease",
	"cap_audit_write", "cap_audit_control", "cap_setfcap", "cap_mac_override",
	"cap_mac_admin", "cap_syslog", "cap_wake_alarm", "cap_block_suspend", "cap_audit_read",
	"cap_perfmon", "cap_bpf", "cap_checkpoint_restore",
};
/* clang-format on */

const char *pal_capability_name(unsigned number)
{
	return number < PAL_ARRAY_LENGTH(names) ? names[number] : NULL;
}

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

int pal_capabilities_parse(const char *list, uint64_t *ret)
{
	uint64_t mask = 0;
	bool inverted;

	if (!list || !ret)
		return -EINVAL;
	list += strspn(list, BETWEEN_NAMES);
	inverted = *list == '~';
	list += inverted;
	for (;;) {
		char name[LONGEST_NAME];
		uint64_t one;
		size_t length;

		list += strspn(list, BETWEEN_NAMES);
		length = strcspn(list, BETWEEN_NAMES);
		if (!length)
			break;
		if (length >= sizeof name)
			return -EINVAL;
		memcpy(name, list, length);
		name[length] = '\0';
		one = pal_capability_from_name(name);
		if (!one)
			return -EINVAL;
		mask |= one;
		list += length;
	}
	*ret = inverted ? ~mask : mask;
	return 0;
}

/* 1, 0, or negative: there is no such capability, or a filter forbids to ask. */
static int bounding_holds(unsigned number)
{
	return (int)syscall(SYS_prctl, PR_CAPBSET_READ, (unsigned long)number, 0, 0, 0);
}

/*
 * The running kernel's last capability; it may have more or fewer than the
 * headers. Where a filter forbids to ask, the highest that can be: too many
 * make the child fail, too few would leave it some.
 */
static unsigned last_capability(void)
{
	unsigned last = 0;

	if (bounding_holds(0) < 0)
		return 63;
	for (unsigned step = 32; step; step /= 2)
		if (bounding_holds(last + step) >= 0)
			last += step;
	return last;
}

void pal__capabilities_plan(struct pal__sandbox *sandbox, const struct pal_capabilities *sets)
{
	int saved = errno;
	unsigned last = last_capability();
	uint64_t known = UINT64_MAX >> (63 - last);

	sandbox->set_capabilities = true;
	sandbox->unless_root = UINT64_MAX;
	sandbox->last_capability = last;
	sandbox->capabilities = (struct pal_capabilities){
		.bounding = sets->bounding & known,
		.permitted = sets->permitted & known,
		.effective = sets->effective & known,
		.inheritable = sets->inheritable & known,
		.ambient = sets->ambient & known,
	};
	sandbox->bounding_seen = 0;
	for (unsigned number = 0; number <= last; number++)
		if (bounding_holds(number) == 1)
			sandbox->bounding_seen |= UINT64_C(1) << number;
	errno = saved;
}

static void set_capabilities(
	struct pal_builder *builder, const struct pal_capabilities *sets, uint64_t unless_root)
{
	struct pal__sandbox before;

	if (!builder)
		return;
	if (!sets) {
		pal__builder_fail(builder, PAL_STAGE_ARGUMENT, -EINVAL, "capabilities");
		return;
	}
	pal__setter_begin(builder, &before);
	pal__capabilities_plan(&builder->sandbox, sets);
	builder->sandbox.unless_root = unless_root;
	pal__setter_end(builder, &before);
}

void pal_builder_capabilities(struct pal_builder *builder, const struct pal_capabilities *sets)
{
	set_capabilities(builder, sets, UINT64_MAX);
}

void pal_builder_capabilities_of_root(
	struct pal_builder *builder, const struct pal_capabilities *sets)
{
	set_capabilities(builder, sets, sets ? sets->ambient : 0);
}

void pal_builder_keep_capabilities(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->sandbox.keep_capabilities = on;
}

void pal_builder_securebits(struct pal_builder *builder, unsigned bits)
{
	struct pal__sandbox before;

	if (!builder)
		return;
	pal__setter_begin(builder, &before);
	builder->sandbox.securebits = bits;
	builder->sandbox.set_securebits = true;
	pal__setter_end(builder, &before);
}
