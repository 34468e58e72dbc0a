/* SPDX-License-Identifier: MIT */
#include "profiled.h"

#include <string.h>

struct pal_profile *profile_of(const char *text)
{
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	ck_assert_ok(pal_profile_parse(text, strlen(text), "text", &profile, &error), &error);
	ck_assert_ptr_nonnull(profile);
	return profile;
}

int under(const char *text, int (*attempt)(void *arg), const void *arg)
{
	struct pal_profile *profile = profile_of(text);
	int result;

	if (strstr(text, "PrivateUsers=yes"))
		needs_user_namespace_of_fork();
	result = outcome_under(profile, attempt, arg);
	pal_profile_free(profile);
	return result;
}

int stage_refused(const char *text)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child = NULL;

	pal_builder_sandbox(builder, profile);
	ck_assert_int_lt(pal_fork(builder, support_return_zero, NULL, &child, &error), 0);
	ck_assert_ptr_null(child);
	pal_builder_free(builder);
	pal_profile_free(profile);
	return error.stage;
}

int refused(const char *text, const char *part)
{
	struct pal_error error = {0};
	struct pal_profile *profile = (void *)-1;
	int code = pal_profile_parse(text, strlen(text), "text", &profile, &error);

	ck_assert_msg(code < 0, "accepted: %s", text);
	ck_assert_ptr_eq(profile, (void *)-1);
	ck_assert_int_eq(error.code, code);
	ck_assert_msg(strstr(pal_error_text(&error), part), "%s: %s does not say %s", text,
		pal_error_text(&error), part);
	return code;
}
