/* SPDX-License-Identifier: MIT */

/*
 * A profile's text: read, applied to a builder that nothing is spawned from, described, and read
 * again as what a spawned program would inherit. What is wrong must say where.
 */

#include <string.h>

#include <pal/builder.h>
#include <pal_profile/text-priv.h>

#include "fuzz.h"

static void describe(const struct pal_profile *profile)
{
	struct pal_error error = {0};
	char *words = NULL;

	if (pal_profile_describe(profile, &words, &error) < 0) {
		must(error.code < 0);
		return;
	}
	must(!strncmp(words, "fuzz: ", 6));
	free(words);
}

static void inherit(const char *text, size_t size)
{
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	/* it has been read as a whole before, and less is asked of it now */
	must(pal_profile__parse(text, size, "fuzz", true, &profile, &error) == 0);
	pal_profile_free(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;
	int r = pal_profile_parse((const char *)data, size, "fuzz", &profile, &error);

	if (r < 0) {
		must(error.code == r && !profile);
		must(error.stage == PAL_STAGE_PROFILE || error.stage == PAL_STAGE_MEMORY);
		must(!strncmp(pal_error_text(&error), "fuzz", 4));
		return 0;
	}
	must(profile && profile->text);
	describe(profile);
	inherit((const char *)data, size);
	pal_profile_free(profile);
	return 0;
}
