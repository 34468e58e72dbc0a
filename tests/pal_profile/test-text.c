/* SPDX-License-Identifier: MIT */
#include <pal_profile/text.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* ---- what is wrong, and where ---- */

static const struct {
	const char *text, *part;
	int code;
} wrong[] = {
	/* the form */
	{"Nice=1\nNice\n", "text:2: line without =", -EINVAL},
	{"=1\n", "text:1: what stands before = is no key", -EINVAL},
	{"Nice 1=2\n", "text:1: what stands before = is no key", -EINVAL},
	{"[Service\nNice=1\n", "text:1: section without ]", -EINVAL},
	{"[Service] x\nNice=1\n", "text:1: section without ]", -EINVAL},
	{"[]]\n", "text:1: section without ]", -EINVAL},
	{"\n\n[Unit]\nNice=1\n", "text:3: unknown section", -EINVAL},
	{"Nice=1\001\n", "text:1: control character", -EINVAL},
	{"Nice=1\r\n", "text:1: control character", -EINVAL},
	{"[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
		"text:1: unknown section", -EINVAL},
	{"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1\n",
		"text:1: unknown key", -EINVAL},
	/* keys */
	{"Foo=1\n", "text:1: Foo=: unknown key", -EINVAL},
	{"nice=1\n", "text:1: nice=: unknown key", -EINVAL},
	{"# comment\n\n; another\nKeyringMode=private\n",
		"text:4: KeyringMode=: systemd has this key, procmesh does not", -EOPNOTSUPP},
	{"ProtectProc=invisible\n", "text:1: ProtectProc=: systemd has", -EOPNOTSUPP},
	{"[Finalize]\nUser=nobody\n", "text:2: User=: not in [Finalize]", -EINVAL},
	{"[Finalize]\nReadOnlyPaths=/\n", "text:2: ReadOnlyPaths=: not in [Finalize]", -EINVAL},
	/* values */
	{"NoNewPrivileges=maybe\n", "text:1: NoNewPrivileges=: \"maybe\" is neither", -EINVAL},
	{"PrivateTmp=2\n", "text:1: PrivateTmp=: \"2\" is neither", -EINVAL},
	{"User=no such user\n", "text:1: User=: user no such user", -ESRCH},
	{"User=4294967295\n", "text:1: User=: user 4294967295", -ERANGE},
	{"User=65535\n", "text:1: User=: user 65535", -EINVAL},
	{"User=123456789\n", "text:1: User=: a number that no user has", -EINVAL},
	{"Group=no-such-group\n", "text:1: Group=: group no-such", -ESRCH},
	{"SupplementaryGroups=0 nope-\n", "text:1: SupplementaryGroups=: group nope-", -ESRCH},
	{"UMask=8\n", "text:1: UMask=: \"8\" is no octal", -EINVAL},
	{"UMask=10000\n", "text:1: UMask=:", -ERANGE},
	{"WorkingDirectory=relative\n", "text:1: WorkingDirectory=: relative", -EINVAL},
	{"WorkingDirectory=/a /b\n", "text:1: WorkingDirectory=: more than one", -EINVAL},
	{"WorkingDirectory=~\n", "text:1: WorkingDirectory=: ~ needs User=", -EINVAL},
	{"Nice=20\n", "text:1: Nice=: 20 is not from", -ERANGE},
	{"Nice=-x\n", "text:1: Nice=:", -EINVAL},
	{"CPUSchedulingPolicy=deadline\n", "text:1: CPUSchedulingPolicy=: deadline", -EINVAL},
	{"CPUSchedulingPriority=100\n", "text:1: CPUSchedulingPriority=: 100", -ERANGE},
	{"CPUAffinity=0-\n", "text:1: CPUAffinity=:", -EINVAL},
	{"CPUAffinity=3-1\n", "text:1: CPUAffinity=:", -EINVAL},
	{"CPUAffinity=numa\n", "text:1: CPUAffinity=:", -EINVAL},
	{"LimitNOFILE=10:5\n", "text:1: LimitNOFILE=: the soft limit", -EINVAL},
	{"LimitNOFILE=10K\n", "text:1: LimitNOFILE=: 10K", -EINVAL},
	{"LimitAS=16X\n", "text:1: LimitAS=: 16X", -EINVAL},
	{"LimitAS=17E:infinity:3\n", "text:1: LimitAS=: soft:hard", -ERANGE},
	{"LimitCPU=1 fortnight\n", "text:1: LimitCPU=: 1 fortnight", -EINVAL},
	{"LimitNICE=+20\n", "text:1: LimitNICE=: +20", -ERANGE},
	{"LimitNICE=41\n", "text:1: LimitNICE=: 41", -ERANGE},
	{"Environment=1A=b\n", "text:1: Environment=: 1A=b", -EINVAL},
	{"Environment=A\n", "text:1: Environment=: A", -EINVAL},
	{"Environment=\"A=b\n", "text:1: Environment=: quotes", -EINVAL},
	{"Environment=\"A=b\"c\n", "text:1: Environment=: quotes", -EINVAL},
	{"Environment=A=b'c'\n", "text:1: Environment=: quotes", -EINVAL},
	{"Environment=A=\\q\n", "text:1: Environment=: quotes or escapes", -EINVAL},
	{"Environment=A=\\x0\n", "text:1: Environment=: quotes or escapes", -EINVAL},
	{"Environment=A=\\000\n", "text:1: Environment=: quotes or escapes", -EINVAL},
	{"Environment=A=%%i%i\n", "text:1: Environment=: specifiers", -EOPNOTSUPP},
	{"UnsetEnvironment=a-b\n", "text:1: UnsetEnvironment=: a-b", -EINVAL},
	{"PassEnvironment=A=b\n", "text:1: PassEnvironment=: A=b", -EINVAL},
	{"CapabilityBoundingSet=CAP_FLY\n", "text:1: CapabilityBoundingSet=:", -EINVAL},
	{"AmbientCapabilities=~cap_kill fly\n", "text:1: AmbientCapabilities=:", -EINVAL},
	{"SecureBits=noroot up\n", "text:1: SecureBits=: up", -EINVAL},
	{"SystemCallFilter=frobnicate\n", "text:1: SystemCallFilter=: there is no call", -EINVAL},
	{"SystemCallFilter=@nothing\n", "text:1: SystemCallFilter=: there is no call", -EINVAL},
	{"SystemCallFilter=read:EPERM\n", "text:1: SystemCallFilter=: read is allowed", -EINVAL},
	{"SystemCallFilter=~read:EFLY\n", "text:1: SystemCallFilter=: EFLY", -EINVAL},
	{"SystemCallFilter=~read:4096\n", "text:1: SystemCallFilter=: 4096", -ERANGE},
	{"SystemCallErrorNumber=0\n", "text:1: SystemCallErrorNumber=: 0", -ERANGE},
	{"Nice=1\nSystemCallErrorNumber=EPERM\n", "text:2: SystemCallErrorNumber=: changes nothing",
		-EINVAL},
	{"SystemCallArchitectures=alpha\n", "text:1: SystemCallArchitectures=: alpha", -EOPNOTSUPP},
	{"RestrictAddressFamilies=AF_FOO\n", "text:1: RestrictAddressFamilies=: AF_FOO", -EINVAL},
	{"RestrictNamespaces=net moon\n", "text:1: RestrictNamespaces=: moon", -EINVAL},
	{"ReadOnlyPaths=/usr etc\n", "text:1: ReadOnlyPaths=: etc", -EINVAL},
	{"InaccessiblePaths=/usr/../etc\n", "text:1: InaccessiblePaths=: /usr/../etc", -EINVAL},
	{"\nExecPaths=/usr\n", "text:2: ExecPaths=: changes nothing", -EINVAL},
	{"[Finalize]\nSystemCallErrorNumber=EPERM\n", "text:2: SystemCallErrorNumber=:", -EINVAL},
	{"\n\nUser=99999\n", "text:3: User=: a number that no user has", -EINVAL},
	{"\nWorkingDirectory=~\n", "text:2: WorkingDirectory=: ~ needs User=", -EINVAL},
	{"Nice=1\n[Foo]\n", "text:2: unknown section", -EINVAL},
	{"BindPaths=+/usr:/mnt\n", "text:1: BindPaths=: +/usr", -EINVAL},
	{"RootDirectory=/usr\nReadOnlyPaths=/etc\n", "text:2: ReadOnlyPaths=: /etc is not in",
		-EINVAL},
	{"RootDirectory=/usr\nInaccessiblePaths=-/usr2\n", "text:2: InaccessiblePaths=: /usr2",
		-EINVAL},
	{"X-Profile=build-worker /tmp\n[Finalize]\nX-LandlockRead=/etc\n",
		"text:1: X-Profile=: build-worker leaves nothing", -EOPNOTSUPP},
	{"X-Profile=pure-computation\n[Finalize]\nX-LandlockRead=/etc\n",
		"text:3: X-Landlock=: the finalize of X-Profile=", -EOPNOTSUPP},
	{"X-Profile=pure-computation\n[Finalize]\nSystemCallFilter=@basic-io\n",
		"text:3: SystemCallFilter=: the finalize of", -EOPNOTSUPP},
	{"X-Profile=pure-computation\n[Finalize]\nSystemCallFilter=~newfstatat\n",
		"text:3: SystemCallFilter=: the finalize of", -EOPNOTSUPP},
	{"X-Profile=pure-computation\n[Finalize]\nSystemCallFilter=~fstat\n",
		"text:3: SystemCallFilter=: the finalize of", -EOPNOTSUPP},
	{"X-Profile=pure-computation\n[Finalize]\nSystemCallFilter=~statx\n",
		"text:3: SystemCallFilter=: the finalize of", -EOPNOTSUPP},
	{"X-Profile=pure-computation\n[Finalize]\n\nLockPersonality=yes\nSystemCallFilter=~uname\n",
		"text:4: LockPersonality=: pure computation refuses", -EOPNOTSUPP},
	{"X-Profile=network-client\n[Finalize]\nLockPersonality=yes\n",
		"text:3: LockPersonality=: network-client refuses", -EOPNOTSUPP},
	{"X-Profile=file-reader /etc\n[Finalize]\nSystemCallFilter=~@file-system\n",
		"text:3: SystemCallFilter=: the finalize of", -EOPNOTSUPP},
	{"BindPaths=/a:b\n", "text:1: BindPaths=: b", -EINVAL},
	{"BindPaths=/a:/b:norbind\n", "text:1: BindPaths=: norbind", -EOPNOTSUPP},
	{"BindPaths=/a:/b:bind\n", "text:1: BindPaths=: bind", -EINVAL},
	{"TemporaryFileSystem=/x:size=0\n", "text:1: TemporaryFileSystem=: option size=0", -ERANGE},
	{"TemporaryFileSystem=/x:size=101%%\n", "text:1: TemporaryFileSystem=: option", -ERANGE},
	{"TemporaryFileSystem=/x:size=1q\n", "text:1: TemporaryFileSystem=: option", -EINVAL},
	{"TemporaryFileSystem=/x:sync\n", "text:1: TemporaryFileSystem=: option sync", -EINVAL},
	{"RootDirectory=x\n", "text:1: RootDirectory=: x", -EINVAL},
	{"ProtectSystem=most\n", "text:1: ProtectSystem=: most", -EINVAL},
	{"ProtectHome=full\n", "text:1: ProtectHome=: full", -EINVAL},
	{"X-Profile=everything\n", "text:1: X-Profile=: there is no ready-made", -EINVAL},
	{"X-Profile=file-reader etc\n", "text:1: X-Profile=: file-reader wants absolute", -EINVAL},
	{"X-Profile=network-client 70000\n", "text:1: X-Profile=: network-client wants", -EINVAL},
	{"X-Profile=pure-computation /\n", "text:1: X-Profile=: pure-computation has no", -EINVAL},
	{"X-LandlockRestrict=sun\n", "text:1: X-LandlockRestrict=: sun", -EINVAL},
	{"X-LandlockRead=usr\n", "text:1: X-LandlockRead=: usr", -EINVAL},
	{"X-LandlockConnect=65536\n", "text:1: X-LandlockConnect=: port 65536", -ERANGE},
};

START_TEST(every_mistake_is_an_error_that_says_where)
{
	ck_assert_int_eq(refused(wrong[_i].text, wrong[_i].part), wrong[_i].code);
}
END_TEST

START_TEST(the_line_is_the_error_s_index)
{
	struct pal_error error = {0};
	struct pal_profile *profile;
	const char *text = "Nice=1\nNice=x\n";

	ck_assert_int_eq(pal_profile_parse(text, strlen(text), "text", &profile, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_PROFILE);
	ck_assert_int_eq(error.index, 2);
}
END_TEST

/* ---- what is right ---- */

/* What the child would get of NAME; "": not set. */
static const char *environment_of(const char *text, const char *name)
{
	static char value[4096];
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_sandbox(builder, profile);
	snprintf(value, sizeof value, "%s",
		pal_builder_peek_env(builder, name) ? pal_builder_peek_env(builder, name) : "");
	pal_builder_free(builder);
	pal_profile_free(profile);
	return value;
}

static const struct {
	const char *text, *value;
} forms[] = {
	{"Environment=A=b", "b"},
	{"  Environment \t=\tA=b \t", "b"},
	{"[Service]\nEnvironment=A=b\n", "b"},
	{"Environment=B=1 A=b C=2", "b"},
	{"Environment=\"A=b c\" B=1", "b c"},
	{"Environment='A=b\" c'", "b\" c"},
	{"Environment=A=b;c", "b;c"},
	{"Environment=\"A=b ;c # d\"", "b ;c # d"},
	{"Environment=\"A=  two  \"", "  two  "},
	{"Environment=A=\\x41\\101\\t\\u00e4\\s%%", "AA\t\xc3\xa4 %"},
	{"Environment=A=\\U0001f600", "\xf0\x9f\x98\x80"},
	{"Environment=A=1 \\\n  B=2 \\\n# between\n  A=b\n", "b"},
	{"Environment=\\\nA=b", "b"},
	{"Environment=A=1\nEnvironment=A=b\n", "b"},
	{"Environment=A=1\nEnvironment=\n", ""},
	{"Environment=A=1\n  Environment=A=b\n", "b"}, /* libinih: another line of A's value */
	{"Environment=A=x=y", "x=y"},
	{"Environment=A=", ""},
	{"Environment=A=1\nUnsetEnvironment=A\n", ""},
	{"Environment=A=1\nUnsetEnvironment=A=2\n", "1"},
	{"Environment=A=1\nUnsetEnvironment=A=1\n", ""},
	{"", ""},
	{"# nothing\n\n;\n[Service]\n", ""},
};

START_TEST(a_text_has_the_form_of_systemd_s)
{
	ck_assert_str_eq(environment_of(forms[_i].text, "A"), forms[_i].value);
}
END_TEST

/* libinih of Debian would take what is behind the 200th byte for another line. */
START_TEST(a_line_may_be_long)
{
	char text[4096] = "Environment=B=", expected[2048];
	size_t length = (size_t)_i * 7 + 150;

	memset(expected, 'x', length);
	for (size_t i = 5; i < length; i += 13)
		expected[i] = i % 2 ? ' ' : ';';
	expected[length] = 0;
	snprintf(text, sizeof text, "Environment=\"A=%s\"\nNice=1\n", expected);
	ck_assert_str_eq(environment_of(text, "A"), expected);
}
END_TEST

START_TEST(a_file_is_read_and_named_in_errors)
{
	char path[] = "/tmp/procmesh-test-text-XXXXXX", part[64];
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, "Nice=5\nBad=1\n", 13), 13);
	ck_assert_int_eq(pal_profile_load(path, &profile, &error), -EINVAL);
	snprintf(part, sizeof part, "%s:2: Bad=:", path);
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), part));
	ck_assert_int_eq(ftruncate(fd, 7), 0);
	ck_assert_ok(pal_profile_load(path, &profile, &error), &error);
	ck_assert_str_eq(profile->name, path);
	ck_assert_str_eq(profile->text, "Nice=5\n");
	pal_profile_free(profile);
	close(fd);
	unlink(path);
	ck_assert_int_eq(pal_profile_load(path, &profile, &error), -ENOENT);
	ck_assert_int_eq(pal_profile_load("/", &profile, &error), -EISDIR);
	ck_assert_int_eq(pal_profile_load(NULL, &profile, &error), -EINVAL);
	ck_assert_int_eq(pal_profile_load("/dev/zero", &profile, &error), -E2BIG);
}
END_TEST

/* Whatever is listed, and however it is divided into lines. */
START_TEST(more_than_anybody_can_mean_is_refused)
{
	static const struct {
		const char *key, *word;
	} lists[] = {{"ReadOnlyPaths=", "/usr "}, {"BindPaths=", "/usr:/mnt "},
		{"TemporaryFileSystem=", "/tmp "}, {"Environment=", "A=b "},
		{"PassEnvironment=", "A "}, {"UnsetEnvironment=", "A "},
		{"SupplementaryGroups=", "7 "}, {"SystemCallFilter=", "read "},
		{"X-LandlockRead=", "/usr "}, {"X-LandlockConnect=", "7 "},
		{"X-LandlockBind=", "7 "}};
	static char text[PAL_PROFILE_TEXT_MAX];
	struct pal_error error = {0};
	struct pal_profile *profile;
	size_t length = 0;

	length = (size_t)snprintf(text, sizeof text, "Nice=1\n");
	for (int line = 0; line < 5; line++) {
		length +=
			(size_t)snprintf(text + length, sizeof text - length, "%s", lists[_i].key);
		for (int i = 0; i < 1000; i++)
			length += (size_t)snprintf(
				text + length, sizeof text - length, "%s", lists[_i].word);
		text[length++] = '\n';
	}
	ck_assert_int_eq(pal_profile_parse(text, length, "text", &profile, &error), -E2BIG);
	ck_assert_int_eq(error.index, _i < 3 ? 3 : 6);
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), lists[_i].key));
}
END_TEST
#define LISTS 11

START_TEST(a_nul_and_a_megabyte_are_refused)
{
	struct pal_profile *profile;
	struct pal_error error = {0};
	char *text = calloc(1, PAL_PROFILE_TEXT_MAX + 1);

	ck_assert_int_eq(pal_profile_parse("Nice=1\n\n\0", 9, "text", &profile, &error), -EINVAL);
	ck_assert_int_eq(error.index, 3);
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), "text:3: NUL"));
	memset(text, '\n', PAL_PROFILE_TEXT_MAX + 1);
	ck_assert_int_eq(
		pal_profile_parse(text, PAL_PROFILE_TEXT_MAX + 1, "text", &profile, NULL), -E2BIG);
	ck_assert_int_eq(pal_profile_parse(text, PAL_PROFILE_TEXT_MAX, "text", &profile, NULL), 0);
	pal_profile_free(profile);
	free(text);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/text");
	TCase *mistakes = support_tcase(suite, "mistakes");
	TCase *form = support_tcase(suite, "form");

	tcase_add_loop_test(mistakes, every_mistake_is_an_error_that_says_where, 0,
		(int)PAL_ARRAY_LENGTH(wrong));
	tcase_add_test(mistakes, the_line_is_the_error_s_index);
	tcase_add_loop_test(mistakes, more_than_anybody_can_mean_is_refused, 0, LISTS);
	tcase_add_test(mistakes, a_nul_and_a_megabyte_are_refused);
	tcase_add_loop_test(
		form, a_text_has_the_form_of_systemd_s, 0, (int)PAL_ARRAY_LENGTH(forms));
	tcase_add_loop_test(form, a_line_may_be_long, 0, 60);
	tcase_add_test(form, a_file_is_read_and_named_in_errors);
	return suite;
}
SUPPORT_MAIN(make_suite)
