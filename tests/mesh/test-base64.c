/* SPDX-License-Identifier: MIT */
#include <mesh/base64-priv.h>

#include <errno.h>
#include <string.h>

#include "support.h"

START_TEST(base64_of_the_standard)
{
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
	        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
	        {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "+/+/"}};
	char text[16];
	uint8_t data[16];
	size_t size;

	mesh__base64_encode((const uint8_t *)pairs[_i][0], strlen(pairs[_i][0]), text);
	ck_assert_str_eq(text, pairs[_i][1]);
	ck_assert_int_eq(mesh__base64_decode(text, strlen(text), data, &size), 0);
	ck_assert_uint_eq(size, strlen(pairs[_i][0]));
	ck_assert_mem_eq(data, pairs[_i][0], size);
}
END_TEST

START_TEST(a_group_must_be_whole)
{
	uint8_t data[6];
	size_t size;

	for (size_t length = 1; length < 8; length++)
		ck_assert_int_eq(mesh__base64_decode("AAAAAAAA", length, data, &size),
		        length == 4 ? 0 : -EBADMSG);
}
END_TEST

/* Of all groups of two digits exactly the 256 that an encoder writes. */
START_TEST(each_byte_has_one_text)
{
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t accepted = 0;

	for (size_t i = 0; i < 64 * 64; i++) {
		const char text[] = {digits[i / 64], digits[i % 64], '=', '='};
		char again[5];
		uint8_t byte[3];
		size_t size;

		if (mesh__base64_decode(text, 4, byte, &size) < 0)
			continue;
		accepted++;
		ck_assert_uint_eq(size, 1);
		mesh__base64_encode(byte, 1, again);
		ck_assert_mem_eq(again, text, 4);
	}
	ck_assert_uint_eq(accepted, 256);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/base64");
	TCase *base64 = support_tcase(suite, "base64");

	tcase_add_loop_test(base64, base64_of_the_standard, 0, 8);
	tcase_add_test(base64, a_group_must_be_whole);
	tcase_add_test(base64, each_byte_has_one_text);
	return suite;
}
SUPPORT_MAIN(make_suite)
