/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* A profile goes into a spawned program, which enforces its second half on all its threads. */

static struct pal_builder *finalizer(const char *action)
{
	struct pal_builder *builder = pal_builder_new(support_helper("finalizer"));

	pal_builder_arg(builder, action);
	return builder;
}

static int passed(const char *text, const char *action)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = finalizer(action);
	struct pal_error error = {0};
	int result;

	pal_builder_sandbox(builder, profile);
	ck_assert_ok(pal_profile_pass(profile, builder, &error), &error);
	pal_profile_free(profile); /* the builder has what it needs */
	result = outcome_of_program(builder);
	ck_assert_int_eq(outcome_of_program(builder), result); /* and for another child, too */
	pal_builder_free(builder);
	return result;
}

START_TEST(the_second_half_is_enforced_on_every_thread)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(passed("SystemCallFilter=~swapon", "uname"), 0);
	ck_assert_int_eq(
		passed("SystemCallFilter=~swapon\n[Finalize]\nSystemCallFilter=~uname:EXFULL",
			"uname"),
		EXFULL);
	ck_assert_int_eq(passed("[Finalize]\nSystemCallFilter=~uname", "uname"), DIED + SIGSYS);
	ck_assert_int_eq(passed("[Finalize]\nSystemCallFilter=~uname:EXFULL\n"
				"CapabilityBoundingSet=\nNoNewPrivileges=yes",
				 "read"),
		0);
	ck_assert_int_eq(passed("[Finalize]\nX-LandlockRestrict=files", "read"), EACCES);
	ck_assert_int_eq(passed("[Finalize]\nX-LandlockRead=/etc", "read"), 0);
}
END_TEST

START_TEST(ready_made_profiles_can_be_passed_by_name)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(passed("X-Profile=pure-computation", "read"), EACCES);
	ck_assert_int_eq(passed("X-Profile=file-reader /etc", "read"), 0);
	ck_assert_int_eq(passed("X-Profile=file-reader /usr", "read"), EACCES);
	ck_assert_int_eq(passed("X-Profile=network-client", "read"), EACCES);
	ck_assert_int_eq(passed("X-Profile=file-reader /etc\nNice=3", "read"), 0);
}
END_TEST

/* Either way round, and with an environment of its own. */
START_TEST(an_environment_of_its_own_does_not_lose_it)
{
	static const char text[] =
		"PassEnvironment=PATH ASAN_OPTIONS\n[Finalize]\nSystemCallFilter=~uname:EXFULL";
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = finalizer("uname");
	struct pal_error error = {0};

	needs_self_restrict();
	ck_assert_int_eq(passed(text, "uname"), EXFULL);
	ck_assert_ok(pal_profile_pass(profile, builder, &error), &error);
	pal_builder_sandbox(builder, profile);
	ck_assert_int_eq(outcome_of_program(builder), EXFULL);
	pal_builder_free(builder);
	pal_profile_free(profile);
}
END_TEST

/* What the keys say comes first, because the ready-made profile leaves nothing to do it with. */
START_TEST(both_halves_of_a_ready_made_profile_with_keys_are_enforced)
{
	static const char *const names[] = {
		"pure-computation", "file-reader /usr", "network-client"};
	char text[128];

	needs_self_restrict();
	become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(names); i++) {
		snprintf(text, sizeof text,
			"X-Profile=%s\n[Finalize]\nSystemCallFilter=~uname:EXFULL", names[i]);
		ck_assert_int_eq(passed(text, "uname"), EXFULL);
		ck_assert_int_eq(passed(text, "read"), EACCES);
	}
}
END_TEST

static int passed_made(struct pal_profile *profile, const char *action)
{
	struct pal_builder *builder = finalizer(action);
	struct pal_error error = {0};
	int result;

	pal_builder_sandbox(builder, profile);
	ck_assert_ok(pal_profile_pass(profile, builder, &error), &error);
	result = outcome_of_program(builder);
	pal_builder_free(builder);
	pal_profile_free(profile);
	return result;
}

START_TEST(a_ready_made_profile_has_a_text_that_makes_it_again)
{
	struct pal_error error = {0};
	struct pal_profile *profile;
	char odd[128] = "/tmp/procmesh \"%\\-XXXXXX";

	needs_self_restrict();
	become(_i);
	ck_assert_ok(
		pal_profile_file_reader_new((const char *const[]){"/etc", NULL}, &profile, &error),
		&error);
	ck_assert_int_eq(passed_made(profile, "read"), 0);
	ck_assert_ptr_nonnull(mkdtemp(odd));
	ck_assert_ok(
		pal_profile_file_reader_new((const char *const[]){odd, NULL}, &profile, &error),
		&error);
	ck_assert_int_eq(passed_made(profile, "read"), EACCES);
	rmdir(odd);
}
END_TEST

START_TEST(nothing_is_left_of_it_in_the_program)
{
	become(_i);
	ck_assert_int_eq(passed("Nice=0", "state"), 0);
}
END_TEST

START_TEST(a_program_to_which_none_was_passed_has_none)
{
	struct pal_builder *builder = finalizer("uname");

	ck_assert_int_eq(outcome_of_program(builder), 200);
	pal_builder_free(builder);
}
END_TEST

START_TEST(it_takes_a_number_that_is_free)
{
	struct pal_profile *profile = profile_of("Nice=0");
	struct pal_builder *builder = finalizer("uname");
	struct pal_error error = {0};

	pal_builder_dup_fd(builder, 0, 3);
	pal_builder_dup_fd(builder, 0, 4);
	ck_assert_ok(pal_profile_pass(profile, builder, &error), &error);
	ck_assert_str_eq(pal_builder_peek_env(builder, "PROCMESH_PROFILE_FD"), "5");
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
	pal_profile_free(profile);
}
END_TEST

START_TEST(a_profile_without_text_cannot_be_passed)
{
	struct pal_profile own = {.size = sizeof own, .name = "own"};
	struct pal_builder *builder = finalizer("uname");
	struct pal_error error = {0};

	ck_assert_int_eq(pal_profile_pass(&own, builder, &error), -EOPNOTSUPP);
	ck_assert_int_eq(pal_profile_pass(NULL, builder, &error), -EINVAL);
	ck_assert_int_eq(pal_profile_pass(&own, NULL, &error), -EINVAL);
	pal_builder_free(builder);
}
END_TEST

/* ---- damaged ones ---- */

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const struct letter {
	const char *bytes;
	int seals;
	const char *number; /* NULL: the descriptor's */
	int expected;
} letters[] = {
	{"procmesh-profile 1 7\ntext\nNice=0\n", SEALS, NULL, 0},
	{"procmesh-profile 1 7\ntext\nNice=0\n", SEALS & ~F_SEAL_WRITE, NULL, 255},
	{"procmesh-profile 1 7\ntext\nNice=0\n", 0, NULL, 255},
	{"procmesh-profile 1 6\ntext\nNice=0\n", SEALS, NULL, 255},
	{"procmesh-profile 1 8\ntext\nNice=0\n", SEALS, NULL, 255},
	{"procmesh-profile 1 x\ntext\nNice=0\n", SEALS, NULL, 255},
	{"procmesh-profile 2 7\ntext\nNice=0\n", SEALS, NULL, 255},
	{"procmesh-profile 1 99999999999999999999\ntext\nNice=0\n", SEALS, NULL, 255},
	{"procmesh-profile 1 7\ntextNice=0", SEALS, NULL, 255},
	{"procmesh-profile 1 7", SEALS, NULL, 255},
	{"procmesh-profile 1 19\ntext\n[Finalize]\nFoo=bar", SEALS, NULL, 255},
	{"", SEALS, NULL, 255},
	{"procmesh-profile 1 7\ntext\nNice=0\n", SEALS, "2", 255},
	{"procmesh-profile 1 7\ntext\nNice=0\n", SEALS, "7", 255},
	{"procmesh-profile 1 7\ntext\nNice=0\n", SEALS, "", 255},
	{"procmesh-profile 1 7\ntext\nNice=0\n", SEALS, "3x", 255},
};

START_TEST(what_nobody_sealed_is_refused)
{
	const struct letter *letter = &letters[_i];
	struct pal_builder *builder = finalizer("uname");
	int fd = memfd_create("letter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t size = (ssize_t)strlen(letter->bytes);

	ck_assert_int_eq(write(fd, letter->bytes, (size_t)size), size);
	if (letter->seals)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, letter->seals), 0);
	pal_builder_take_fd(builder, fd, 3);
	pal_builder_env(builder, "PROCMESH_PROFILE_FD", letter->number ? letter->number : "3");
	pal_builder_stderr(builder, PAL_STDIO_NULL);
	ck_assert_int_eq(outcome_of_program(builder), letter->expected);
	pal_builder_free(builder);
}
END_TEST

START_TEST(an_inherited_profile_is_only_read_and_for_nobody_else)
{
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;
	struct pal_builder *builder = pal_builder_new("/bin/true");
	const char *bytes = "procmesh-profile 1 7\ntext\nNice=0\n";
	char number[16];
	int fd = memfd_create("letter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int other = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* as another child's: one file, one offset */

	ck_assert_int_eq(write(fd, bytes, strlen(bytes)), (int)strlen(bytes));
	ck_assert_int_eq(lseek(other, 5, SEEK_SET), 5);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	snprintf(number, sizeof number, "%d", fd);
	setenv("PROCMESH_PROFILE_FD", number, 1);
	ck_assert_ok(pal_profile_inherited(&profile, &error), &error);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(lseek(other, 0, SEEK_CUR), 5);
	close(other);
	ck_assert_ptr_null(getenv("PROCMESH_PROFILE_FD"));
	pal_builder_sandbox(builder, profile);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_PROFILE), -EOPNOTSUPP);
	pal_builder_free(builder);
	pal_profile_free(profile);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/pass");
	TCase *pass = support_tcase(suite, "pass");
	TCase *damage = support_tcase(suite, "damage");

	tcase_add_loop_test(pass, the_second_half_is_enforced_on_every_thread, 0, USERS);
	tcase_add_loop_test(pass, ready_made_profiles_can_be_passed_by_name, 0, USERS);
	tcase_add_loop_test(pass, a_ready_made_profile_has_a_text_that_makes_it_again, 0, USERS);
	tcase_add_test(pass, an_environment_of_its_own_does_not_lose_it);
	tcase_add_loop_test(
		pass, both_halves_of_a_ready_made_profile_with_keys_are_enforced, 0, USERS);
	tcase_add_loop_test(pass, nothing_is_left_of_it_in_the_program, 0, USERS);
	tcase_add_test(pass, a_program_to_which_none_was_passed_has_none);
	tcase_add_test(pass, it_takes_a_number_that_is_free);
	tcase_add_test(pass, a_profile_without_text_cannot_be_passed);
	tcase_add_loop_test(
		damage, what_nobody_sealed_is_refused, 0, (int)PAL_ARRAY_LENGTH(letters));
	tcase_add_test(damage, an_inherited_profile_is_only_read_and_for_nobody_else);
	return suite;
}
SUPPORT_MAIN(make_suite)
