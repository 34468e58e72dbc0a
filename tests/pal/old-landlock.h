/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PAL_OLD_LANDLOCK_H
#define PROCMESH_TESTS_PAL_OLD_LANDLOCK_H

/*
 * The library meets a kernel of before. Of programs that are linked with
 * --wrap=syscall: Landlock has the ABI that is set here, in this process and its
 * children, and what is newer is refused as that ABI refuses it. Rulesets that pass are the kernel's own.
 */
#define OLD_LANDLOCK_NONE (-1) /* no Landlock at all */
#define OLD_LANDLOCK_OFF 0     /* what the kernel has */
extern int old_landlock_abi;

#endif
