/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <pal/builder.h>
#include <pal/profile.h>
#include <pal_profile/text.h>

/*
 * PROCMESH_PROFILE=FILE: every child runs under the sandbox profile in that file, or there is no child.
 *
 * The file is read, and its users are looked up, when this program is loaded. Later the program may have
 * another root or user, and another file may be found under that name: from inside a chroot(2) nobody
 * shall choose what confines. From then on nothing here changes: no lock, and none that a fork could copy.
 *
 * The child does not get the variable. It and all that it starts are held by the kernel already, and
 * most profiles cannot be applied twice: they take away what applying them needs.
 */

#define VARIABLE "PROCMESH_PROFILE"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct pal_profile *profile; /* NULL: none was asked for, or `refusal` */
static struct pal_error refusal;    /* code 0: none */

/* Relative to which folder, and whose? An empty name is one, too: of a variable that was not set. */
static int load(const char *name, struct pal_profile **ret)
{
	if (*name != '/')
		return pal_error_set(&refusal, PAL_STAGE_PROFILE, -EINVAL,
			VARIABLE " is no absolute name: \"%s\"", name);
	return pal_profile_load(name, ret, &refusal);
}

static void read_environment(void)
{
	const char *name = secure_getenv(VARIABLE);
	struct pal_profile *loaded;

	if (!name || load(name, &loaded) < 0)
		return;
	if (loaded->finalize) {
		/* half of it would be less than was asked for */
		pal_error_set(&refusal, PAL_STAGE_PROFILE, -EOPNOTSUPP,
			"%s: [Finalize], its own or that of X-Profile=, is nothing that unmodified programs enforce",
			name);
		pal_profile_free(loaded);
		return;
	}
	profile = loaded;
}

/* Constructors of other libraries, which run earlier, may start children already. */
__attribute__((constructor)) static void read_once(void)
{
	pthread_once(&once, read_environment);
}

int spawn_preload__confine(struct pal_builder *builder, struct pal_error *error)
{
	read_once();
	if (refusal.code) {
		*error = refusal;
		return refusal.code;
	}
	if (profile) {
		pal_builder_env_remove(builder, VARIABLE); /* the profile may set it again */
		pal_builder_sandbox(builder, profile);
	}
	return 0;
}

/* ---- what the caller is told ---- */

/* Whether only a profile has the builder do anything at this stage. */
static bool is_of_profile(int stage)
{
	switch (stage) {
	case PAL_STAGE_PROFILE:
	case PAL_STAGE_NAMESPACE:
	case PAL_STAGE_ID_MAP:
	case PAL_STAGE_HOSTNAME:
	case PAL_STAGE_LOOPBACK:
	case PAL_STAGE_MOUNT:
	case PAL_STAGE_NICE:
	case PAL_STAGE_AFFINITY:
	case PAL_STAGE_RLIMIT:
	case PAL_STAGE_GROUPS:
	case PAL_STAGE_GID: /* those of POSIX_SPAWN_RESETIDS cannot fail */
	case PAL_STAGE_UID:
	case PAL_STAGE_CHDIR:
	case PAL_STAGE_CAPABILITIES:
	case PAL_STAGE_NO_NEW_PRIVS:
	case PAL_STAGE_LANDLOCK:
	case PAL_STAGE_SECCOMP:
		return true;
	default:
		return false;
	}
}

/* ENOENT would be taken for a program that is missing, and others for a reason to try it in another way. */
int spawn_preload__code(const struct pal_error *error)
{
	return is_of_profile(error->stage) ? EPERM : -error->code;
}

bool spawn_preload__is_refusal(int code)
{
	return code == EPERM && (profile || refusal.code);
}
