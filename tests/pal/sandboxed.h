/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PAL_SANDBOXED_H
#define PROCMESH_TESTS_PAL_SANDBOXED_H

/* For tests that try forbidden things: in a child of its own, as root and as somebody else. */

#include <errno.h>
#include <pal/pal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support.h"

/* For tcase_add_loop_test(tcase, test, 0, USERS): each of them begins with become(_i). */
enum { USER_ROOT, USER_NOBODY, USERS };
#define NOBODY 65534
/* Changes the test's process, which Check has forked for it. Skips where only root could. */
void become_(const char *test, int user);
#define become(user) become_(__func__, (user))

#define needs_landlock() \
	do { \
		if (pal_landlock_abi() < 0) \
			support_skip("no Landlock"); \
	} while (0)

/* Of tests that restrict a running process with Landlock. */
#if BUILT_WITH_TSAN
/* its own thread blocks every signal, so that pal_self_restrict is -EBUSY */
#define needs_self_restrict() support_skip("ThreadSanitizer's thread cannot be restricted")
/* a forked child has such a thread, too, and the kernel wants one thread only */
#define needs_user_namespace_of_fork() \
	support_skip("ThreadSanitizer's thread keeps a forked child from having a user namespace")
#define needs_killed_thread_of_fork() \
	support_skip("ThreadSanitizer waits in a forked child for a thread that was killed")
#else
#define needs_self_restrict() needs_landlock()
#define needs_user_namespace_of_fork() ((void)0)
#define needs_killed_thread_of_fork() ((void)0)
#endif

/*
 * Runs `attempt` in a child as the builder (NULL: a plain child) says, and
 * returns what it returned, 0 to 255, or DIED + the signal. Spawning must work.
 */
#define DIED 1000
int outcome(struct pal_builder *builder, int (*attempt)(void *arg), void *arg);
/* The same under a profile (NULL: none). */
int outcome_under(const struct pal_profile *profile, int (*attempt)(void *arg), const void *arg);
/* The same for a program of the builder. */
int outcome_of_program(struct pal_builder *builder);
/* Spawning must fail, with this stage; returns the error's code. */
int refusal(struct pal_builder *builder, int stage);

/* In attempts: leaves with 255 and a line on stderr. */
#define need(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, \
				#condition, errno); \
			return 255; \
		} \
	} while (0)

/* Of a call that is an attempt: 0, or the errno where it returned -1; of one that opens, too, which is undone. */
int result_of(long value);
int opened(int fd);

/* Attempts: 0 or the errno. `arg` is a path, but for the last. */
int attempt_read(void *path);
int attempt_create(void *path);
int attempt_run_true(void *unused);
int attempt_socket(void *unused);
int attempt_bind_privileged_port(void *unused);

/* A socket at an abstract address that nobody else has, which `ret` becomes; and a call to one. */
struct abstract_address {
	struct sockaddr_un address;
	socklen_t size;
};
int bind_abstract(int type, struct abstract_address *ret);
int attempt_abstract_socket(void *address); /* of a stream */

/* Of nothing yet. */
struct pal_landlock *new_ruleset(void);
struct pal_seccomp *new_filter(int otherwise);
void filter_rule(struct pal_seccomp *filter, int action, const char *name);
/* Takes the filter. */
struct pal_builder *builder_under(struct pal_seccomp *filter, const char *program);

/* A ruleset that handles just what a test is about: rights of files, of ports, scopes. */
struct pal_landlock *ruleset_handling(uint64_t files, uint64_t ports, uint64_t scopes);
/* A builder for /bin/true in its domain. Takes the ruleset. */
struct pal_builder *builder_in_domain(struct pal_landlock *ruleset);

/* A hexadecimal line, such as "CapPrm", of the calling thread's status in /proc. */
unsigned long long status_number(const char *name);

/* An executable, for set-user-ID copies of ordinary programs. */
void copy_file(const char *from, const char *to, mode_t mode);

/* A fresh folder that everybody may use; path for the caller to remove with remove_folder. */
void make_folder(char path[static 64]);
void remove_folder(const char *path);

#endif
