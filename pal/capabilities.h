/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CAPABILITIES_H
#define PROCMESH_PAL_CAPABILITIES_H

#include <pal/export.h>
#include <stdbool.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct pal_builder;

/* capabilities(7): what of root's power a child has, whatever its user. */

/* Masks of 1 << CAP_x. */
struct pal_capabilities {
	uint64_t bounding;
	uint64_t permitted;
	uint64_t effective;
	uint64_t inheritable;
	uint64_t ambient;
};
#define PAL_CAPABILITIES_NONE ((struct pal_capabilities){0, 0, 0, 0, 0})

/*
 * The five sets of the child, as they are when its program is executed - also
 * when uid() makes it another user: a change of user (process.h) takes none away from
 * what can be asked for here. Capabilities that this
 * process does not have cannot be given (-EPERM at PAL_STAGE_CAPABILITIES), nor
 * ambient ones that are not permitted and inheritable too; leaving the bounding
 * set narrower than now needs CAP_SETPCAP, and without it the bounding set is
 * left alone if and only if no_new_privs is set too, which makes it moot.
 * Numbers above the running kernel's last capability are ignored. The bounding
 * set is a limit and is only ever narrowed: UINT64_MAX leaves it as it is.
 *
 * What exec makes of the sets is in capabilities(7). For user 0 without
 * no_new_privs it makes everything in the bounding set permitted and effective
 * again: narrow that set too, or set no_new_privs. For any other user only the
 * ambient set reaches an ordinary program.
 */
PAL_EXPORT void pal_builder_capabilities(struct pal_builder *builder, const struct pal_capabilities *sets);

/*
 * The same, of what user 0 has: a child that is another user by then, whoever
 * has said so and when, has of all sets but the bounding one only what is
 * ambient, as after an exec. For profiles, which do not know who the child will be.
 */
PAL_EXPORT void pal_builder_capabilities_of_root(
	struct pal_builder *builder, const struct pal_capabilities *sets);

/*
 * Without pal_builder_capabilities(), which says all there is to say: the
 * permitted set stays, and is effective, when uid() makes the child another
 * user than root, where the kernel clears both. For pal_fork; exec leaves
 * nothing of it, see above.
 */
PAL_EXPORT void pal_builder_keep_capabilities(struct pal_builder *builder, bool on);

/*
 * SECBIT_* of <linux/securebits.h>, all at once: those not named are cleared.
 * They are set after the ids and all capabilities but the last one that it
 * takes, CAP_SETPCAP: -EPERM at PAL_STAGE_CAPABILITIES without it, as for a
 * bit that is locked. (A change of user takes it, unless one of the two calls above
 * holds on to it.) SECBIT_KEEP_CAPS and its lock outlast nothing here: exec
 * clears the bit.
 */
PAL_EXPORT void pal_builder_securebits(struct pal_builder *builder, unsigned bits);

/* "net_bind_service", "cap_sys_admin": the mask of one name, 0 if libcap does not know it. Any thread. */
PAL_EXPORT uint64_t pal_capability_from_name(const char *name);
/* "cap_net_bind_service"; NULL for a number that this library has no name for. Any thread. */
PAL_EXPORT const char *pal_capability_name(unsigned number);
/*
 * The mask of a list of such names between spaces or commas; a list that begins with
 * '~' stands for all but those (bits without a name included). Of an empty list: 0,
 * and of "~" all. -EINVAL for an unknown name; *ret is written on success only. Any thread.
 */
PAL_EXPORT int pal_capabilities_parse(const char *list, uint64_t *ret) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
