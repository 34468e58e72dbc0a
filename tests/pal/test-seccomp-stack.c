/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* Two filters that become one program. */

struct program {
	const struct sock_filter *code;
	size_t length;
};

static int load(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const struct program *program = profile->data;

	(void)error;
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp_bpf(builder, program->code, program->length);
	return 0;
}

#define PROFILE(program_)                                                                          \
	{                                                                                          \
		.size = sizeof(struct pal_profile), .name = #program_, .apply = load,              \
		.data = &(struct program)                                                          \
		{                                                                                  \
			program_, PAL_ARRAY_LENGTH(program_)                                       \
		}                                                                                  \
	}

#define NUMBER offsetof(struct seccomp_data, nr)
#define ANSWER(k) BPF_STMT(BPF_RET | BPF_K, (k))

static struct sock_filter allows_all[] = {ANSWER(SECCOMP_RET_ALLOW)};

/* Leaves something in both registers. */
static struct sock_filter uses_registers[] = {
	BPF_STMT(BPF_LDX | BPF_IMM, 7),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffff, 1, 0),
	ANSWER(SECCOMP_RET_ALLOW),
	ANSWER(SECCOMP_RET_KILL_PROCESS),
};

/* Refuses uname, by the number added to what it takes for 0: first of one register, then of the other. */
static struct sock_filter counts_on_a[] = {
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 0, 1),
	ANSWER(SECCOMP_RET_ERRNO | EXFULL),
	ANSWER(SECCOMP_RET_ALLOW),
};
static struct sock_filter counts_on_x[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 0, 1),
	ANSWER(SECCOMP_RET_ERRNO | EXFULL),
	ANSWER(SECCOMP_RET_ALLOW),
};

static struct sock_filter logs_uname[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 0, 1),
	ANSWER(SECCOMP_RET_LOG),
	ANSWER(SECCOMP_RET_ALLOW),
};
static struct sock_filter computes[] = {
	BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW),
	BPF_STMT(BPF_RET | BPF_A, 0),
};

static int call_uname(void *unused)
{
	struct utsname name;

	(void)unused;
	return uname(&name) < 0 ? errno : 0;
}

static struct pal_profile *both(const struct pal_profile *first, const struct pal_profile *second)
{
	struct pal_profile *composed = NULL;
	struct pal_error error = {0};

	ck_assert_ok(pal_profile_compose(first, second, &composed, &error), &error);
	return composed;
}

static int under(const struct pal_profile *profile)
{
	return outcome_under(profile, call_uname, NULL);
}

/* Whether the description has a line that begins so, with the call in it. */
static bool says_of_uname(const struct pal_profile *profile, const char *answer)
{
	char *text = NULL, *line, *end;
	struct pal_error error = {0};
	bool found;

	ck_assert_ok(pal_profile_describe(profile, &text, &error), &error);
	line = strstr(text, answer);
	end = line ? strchr(line, '\n') : NULL;
	if (end)
		*end = 0;
	found = line && strstr(line, " uname");
	free(text);
	return found;
}

START_TEST(the_second_begins_with_registers_of_zero)
{
	const struct pal_profile first = PROFILE(uses_registers), with_a = PROFILE(counts_on_a),
				 with_x = PROFILE(counts_on_x);
	struct pal_profile *a = both(&first, &with_a), *x = both(&first, &with_x);

	become(_i);
	ck_assert_int_eq(under(&with_a), EXFULL);
	ck_assert_int_eq(under(&with_x), EXFULL);
	ck_assert_int_eq(under(a), EXFULL);
	ck_assert_int_eq(under(x), EXFULL);
	pal_profile_free(a);
	pal_profile_free(x);
}
END_TEST

START_TEST(what_the_first_logs_is_logged)
{
	const struct pal_profile logs = PROFILE(logs_uname), allows = PROFILE(allows_all),
				 refuses = PROFILE(counts_on_x);
	struct pal_profile *logged = both(&logs, &allows), *other = both(&allows, &logs),
			   *refused = both(&logs, &refuses);

	become(_i);
	ck_assert(says_of_uname(logged, "calls, allowed and logged:"));
	ck_assert(says_of_uname(other, "calls, allowed and logged:"));
	ck_assert(!says_of_uname(refused, "calls, allowed:"));
	ck_assert_int_eq(under(logged), 0);
	ck_assert_int_eq(under(other), 0);
	ck_assert_int_eq(under(refused), EXFULL);
	pal_profile_free(logged);
	pal_profile_free(other);
	pal_profile_free(refused);
}
END_TEST

START_TEST(answers_that_cannot_be_logged_are_refused)
{
	const struct pal_profile logs = PROFILE(logs_uname), answers = PROFILE(computes),
				 allows = PROFILE(allows_all);
	struct pal_profile *impossible = both(&logs, &answers), *possible = both(&allows, &answers);
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_sandbox(builder, impossible);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_SECCOMP), -EOPNOTSUPP);
	ck_assert_int_eq(under(possible), 0);
	pal_builder_free(builder);
	pal_profile_free(impossible);
	pal_profile_free(possible);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/seccomp-stack");
	TCase *stack = support_tcase(suite, "stack");

	tcase_add_loop_test(stack, the_second_begins_with_registers_of_zero, 0, USERS);
	tcase_add_loop_test(stack, what_the_first_logs_is_logged, 0, USERS);
	tcase_add_test(stack, answers_that_cannot_be_logged_are_refused);
	return suite;
}
SUPPORT_MAIN(make_suite)
