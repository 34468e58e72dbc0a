/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* That a description says what is so, and nothing that is not. */

#define FINALIZED "and when it has called pal_profile_finalize, also\n"

/* For free(3). */
static char *description(const struct pal_profile *profile)
{
	struct pal_error error = {0};
	char *text = NULL;

	ck_assert_ok(pal_profile_describe(profile, &text, &error), &error);
	ck_assert_ptr_nonnull(text);
	return text;
}

static bool says(const struct pal_profile *profile, const char *part)
{
	char *text = description(profile);
	bool found = strstr(text, part);

	free(text);
	return found;
}

/* In the second half. */
static bool adds(const struct pal_profile *profile, const char *part)
{
	char *text = description(profile), *second = strstr(text, FINALIZED);
	bool found = second && strstr(second, part);

	free(text);
	return found;
}

#define SECOND                                                                                     \
	"Nice=1\n[Finalize]\nSystemCallFilter=~uname:EXFULL\nCapabilityBoundingSet=CAP_CHOWN\n"    \
	"X-LandlockRead=/etc\n"

START_TEST(the_second_half_of_a_text_is_described)
{
	struct pal_profile *text = profile_of(SECOND), *pure, *both, *plain = profile_of("Nice=1");
	struct pal_error error = {0};
	struct utsname name;
	int before = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);

	needs_landlock();
	ck_assert(adds(text, "- 1 calls, EXFULL: uname\n"));
	ck_assert(adds(text, "bounding: cap_chown\n"));
	ck_assert(adds(text, "read: /etc\n"));
	ck_assert(adds(text, "no_new_privs"));
	ck_assert(!adds(text, "nice value"));
	ck_assert(!says(plain, "finalize"));
	ck_assert(adds(pal_profile_pure_compute(), "without exception\n"));
	ck_assert(adds(pal_profile_pure_compute(), " openat"));
	ck_assert(adds(pal_profile_pure_compute(), "EACCES:"));
	pure = profile_of("X-Profile=pure-computation\n[Finalize]\nSystemCallFilter=~uname:EXFULL");
	ck_assert(adds(pure, "EXFULL: uname\n"));
	ck_assert(adds(pure, "without exception\n"));
	ck_assert_ok(pal_profile_compose(text, plain, &both, &error), &error);
	ck_assert(adds(both, "- 1 calls, EXFULL: uname\n"));
	/* all of which has not happened to this process */
	ck_assert_int_eq(uname(&name), 0);
	ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), before);
	ck_assert_int_eq(attempt_read((void *)"/usr"), 0);
	pal_profile_free(both);
	pal_profile_free(pure);
	pal_profile_free(plain);
	pal_profile_free(text);
}
END_TEST

static int never(const struct pal_profile *profile, struct pal_error *error)
{
	(void)profile;
	(void)error;
	abort();
}

START_TEST(a_hook_that_may_do_anything_is_not_called)
{
	const struct pal_profile own = {.size = sizeof own, .name = "own", .finalize = never};
	struct pal_profile *text = profile_of(SECOND), *both;
	struct pal_error error = {0};

	ck_assert(says(&own, "that is not known here"));
	ck_assert_ok(pal_profile_compose(text, &own, &both, &error), &error);
	ck_assert(says(both, "that is not known here"));
	pal_profile_free(both);
	pal_profile_free(text);
}
END_TEST

/* ---- filters ---- */

struct raw {
	struct sock_filter code[64];
	size_t count;
};

static int apply_raw(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const struct raw *raw = profile->data;

	(void)error;
	pal_builder_seccomp_bpf(builder, raw->code, raw->count);
	return 0;
}

static void add(struct raw *raw, struct sock_filter instruction)
{
	raw->code[raw->count++] = instruction;
}

#define ADD(...) add(&raw, (struct sock_filter)__VA_ARGS__)
#define FIRST_ARG offsetof(struct seccomp_data, args[0])

START_TEST(a_filter_that_does_not_look_at_the_architecture_is_told)
{
	struct raw raw = {.count = 0};
	const struct pal_profile own = {
		.size = sizeof own, .name = "own", .apply = apply_raw, .data = &raw};
	struct pal_profile *text = profile_of("SystemCallFilter=~uname");

	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	ck_assert(says(&own, "other architectures: allowed\n"));
	ck_assert(says(text, "other architectures: the process is killed\n"));
	pal_profile_free(text);
}
END_TEST

START_TEST(more_answers_than_there_is_room_for_are_told)
{
	struct raw raw = {.count = 0};
	const struct pal_profile own = {
		.size = sizeof own, .name = "own", .apply = apply_raw, .data = &raw};

	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARG));
	for (unsigned i = 1; i < 12; i++) {
		ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1));
		ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | i));
	}
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	ck_assert(says(&own, "EIO or ENXIO or E2BIG"));
	ck_assert(says(&own, " or others"));
}
END_TEST

/* Each pair of jumps doubles the number of ways. */
START_TEST(a_filter_with_too_many_ways_is_told)
{
	struct raw raw = {.count = 0};
	const struct pal_profile own = {
		.size = sizeof own, .name = "own", .apply = apply_raw, .data = &raw};

	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARG));
	for (unsigned i = 0; i < 20; i++) {
		ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1u << i, 0, 1));
		ADD(BPF_STMT(BPF_ST, 0));
	}
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	ck_assert(says(&own, "too long to be followed"));
}
END_TEST

/* ---- Landlock ---- */

static int apply_rights(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_landlock *files;
	int r = pal_landlock_new(&files, error);

	(void)profile;
	if (r < 0)
		return r;
	r = pal_landlock_allow_path(
		files, "/dev/null", PAL_LANDLOCK_READ_FILE | PAL_LANDLOCK_WRITE_FILE, error);
	if (r >= 0)
		r = pal_landlock_allow_path(
			files, "/tmp", PAL_LANDLOCK_READ | PAL_LANDLOCK_MAKE_SOCK, error);
	pal_builder_landlock(builder, files);
	pal_landlock_free(files);
	return r;
}

START_TEST(single_rights_have_words)
{
	const struct pal_profile own = {.size = sizeof own, .name = "own", .apply = apply_rights};

	needs_landlock();
	ck_assert(says(&own, "  - write files, read files: /dev/null\n"));
	ck_assert(says(&own, "  - read, make sockets: /tmp\n"));
}
END_TEST

START_TEST(that_mounts_can_be_undone_is_told)
{
	static const struct {
		const char *text;
		bool told;
	} cases[] = {{"ReadOnlyPaths=/usr\n", true},
		{"ReadOnlyPaths=/usr\nCapabilityBoundingSet=~CAP_SYS_ADMIN\nNoNewPrivileges=yes\n", false},
		{"ReadOnlyPaths=/usr\nCapabilityBoundingSet=CAP_SYS_ADMIN\n", true},
		{"PrivateMounts=yes\n", false}};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(cases); i++) {
		struct pal_profile *profile = profile_of(cases[i].text);

		ck_assert_msg(says(profile, "can undo covers") == cases[i].told, "%s", cases[i].text);
		pal_profile_free(profile);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/describe");
	TCase *tcase = support_tcase(suite, "describe");

	tcase_add_test(tcase, the_second_half_of_a_text_is_described);
	tcase_add_test(tcase, a_hook_that_may_do_anything_is_not_called);
	tcase_add_test(tcase, a_filter_that_does_not_look_at_the_architecture_is_told);
	tcase_add_test(tcase, more_answers_than_there_is_room_for_are_told);
	tcase_add_test(tcase, a_filter_with_too_many_ways_is_told);
	tcase_add_test(tcase, single_rights_have_words);
	tcase_add_test(tcase, that_mounts_can_be_undone_is_told);
	return suite;
}
SUPPORT_MAIN(make_suite)
