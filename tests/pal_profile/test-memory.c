/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiled.h"

/* Memory runs out at every point of reading, applying, describing and passing a profile. */

static int left; /* the n-th allocation from now on fails; 0: none */
static bool failed;

static bool fails(void)
{
	if (!left || --left)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(memory, count, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int r;

	if (fails())
		return -1;
	va_start(args, format);
	r = vasprintf(ret, format, args);
	va_end(args);
	return r;
}

FILE *__real_open_memstream(char **text, size_t *size);
FILE *__wrap_open_memstream(char **text, size_t *size);
FILE *__wrap_open_memstream(char **text, size_t *size)
{
	return fails() ? NULL : __real_open_memstream(text, size);
}

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved)
{
	return fails() ? NULL : __real_realpath(path, resolved);
}

static const char *const texts[] = {
	"[Service]\nUser=nobody\nGroup=0\nSupplementaryGroups=1 2\nWorkingDirectory=/tmp\n"
	"Environment=A=b \"C=d e\"\nUnsetEnvironment=F G=h\nPassEnvironment=PATH HOME\n"
	"CPUAffinity=0\nLimitNOFILE=10\nCapabilityBoundingSet=~CAP_KILL\n",
	"SystemCallFilter=@basic-io read\nSystemCallFilter=~write:EPERM\n"
	"RestrictAddressFamilies=AF_UNIX\nRestrictNamespaces=yes\nRestrictSUIDSGID=yes\n"
	"[Finalize]\nSystemCallFilter=~uname\nX-LandlockRead=/etc\n",
	"ReadOnlyPaths=/\nReadWritePaths=/tmp\nInaccessiblePaths=-/root\nNoExecPaths=/tmp\n"
	"BindPaths=/etc:/mnt\nTemporaryFileSystem=/run:size=1M\nPrivateTmp=yes\n"
	"PrivateDevices=yes\nPrivateUsers=yes\nProtectSystem=strict\nProtectHome=yes\n"
	"ProtectKernelTunables=yes\n",
	"X-Profile=file-reader /etc /usr\nX-LandlockRead=/etc\nX-LandlockConnect=80\n",
	"X-Profile=network-client 80\nNice=1\n",
	"X-Profile=pure-computation\nRootDirectory=/\n",
};
#define TEXTS ((int)(sizeof texts / sizeof texts[0]))

/* All that can be done with a text and without a child. 0 or the first error. */
static int use(const char *text, struct pal_error *error)
{
	struct pal_profile *profile = NULL, *both = NULL;
	struct pal_builder *builder = NULL;
	char *words = NULL;
	int r = pal_profile_parse(text, strlen(text), "text", &profile, error);

	if (r >= 0)
		r = pal_profile_compose(profile, pal_profile_pure_compute(), &both, error);
	if (r >= 0)
		r = pal_profile_describe(both, &words, error);
	if (r >= 0) {
		builder = pal_builder_new("/bin/true");
		r = builder ? pal_profile_pass(profile, builder, error) : -ENOMEM;
	}
	free(words);
	pal_builder_free(builder);
	pal_profile_free(both);
	pal_profile_free(profile);
	return r;
}

START_TEST(every_allocation_may_fail)
{
	int n = 1;

	for (;; n++) {
		struct pal_error error = {0};
		int r;

		failed = false;
		left = n;
		r = use(texts[_i], &error);
		left = 0;
		if (!failed) {
			ck_assert_msg(r == 0, "%s", pal_error_text(&error));
			break;
		}
		/* what is only remembered by the builder that is passed to, spawn tells */
		ck_assert_msg(r == -ENOMEM || r == 0, "%d. of %s: %d: %s", n, texts[_i], r,
			pal_error_text(&error));
	}
	ck_assert_int_gt(n, 15);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/memory");
	TCase *memory = support_tcase(suite, "memory");

	tcase_set_timeout(memory, 120);
	tcase_add_loop_test(memory, every_allocation_may_fail, 0, TEXTS);
	return suite;
}
SUPPORT_MAIN(make_suite)
