/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_PURE_PRIV_H
#define PROCMESH_PAL_PROFILE_PURE_PRIV_H

#include <errno.h>
#include <pal/profile.h>
#include <pal/sandbox.h>

struct pal_builder;

/* The filters of pure computation, to which other ready-made profiles add. 0 or a negative errno. */
#define PAL__PURE_OTHERWISE PAL_SECCOMP_ERRNO(ENOSYS)
#define PAL__PURE_REFUSED PAL_SECCOMP_ERRNO(EACCES)

/* The argument of clone(2) that has its flags. */
#ifdef __s390__
#define PAL__CLONE_FLAGS 1
#else
#define PAL__CLONE_FLAGS 0
#endif

/* Until finalize: files may be opened to read them, and the first program executed. */
int pal__pure_add_starting(struct pal_seccomp *filter, struct pal_error *error);
/* From then on. */
int pal__pure_add_finished(struct pal_seccomp *filter, struct pal_error *error);
/* On top of the latter: files may still be opened to read them. */
int pal__pure_add_reading(struct pal_seccomp *filter, struct pal_error *error);

/* The rest of the two hooks: limits, no_new_privs, no capabilities. */
int pal__pure_apply(struct pal_builder *builder, struct pal_seccomp *filter, struct pal_error *error);
int pal__pure_finalize(
	struct pal_landlock *files, struct pal_seccomp *filter, struct pal_error *error);

#endif
