/* SPDX-License-Identifier: MIT */

/* Results with a type: a struct, and a nanopb message. */
#include <isolate/nanopb.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "isolate-support.h"

/* ---- a struct ---- */

struct point {
	double x, y;
};

static int write_point(struct isolate_writer *out, void *arg)
{
	struct point point = {3, 4};

	(void)arg;
	return isolate_write_value(out, &point);
}

START_TEST(a_struct_arrives_as_it_was)
{
	struct isolate_result result;
	struct point point = {0, 0};

	isolate_call(write_point, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &point), 0);
	ck_assert(point.x == 3 && point.y == 4);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(another_size_is_refused_and_nothing_is_touched)
{
	struct isolate_result result;
	struct {
		struct point point;
		char more;
	} larger = {{1, 2}, 3};
	char smaller = 4;

	isolate_call(write_point, NULL, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &larger), -EBADMSG);
	ck_assert_int_eq(isolate_result_value(&result, &smaller), -EBADMSG);
	ck_assert(larger.point.x == 1 && larger.more == 3 && smaller == 4);
	isolate_result_clear(&result);
	ck_assert_int_eq(isolate_result_value(&result, &smaller), -EBADMSG);
}
END_TEST

static int write_and_die(struct isolate_writer *out, void *arg)
{
	write_point(out, arg);
	raise(SIGKILL);
	return 0;
}

START_TEST(a_value_without_a_return_is_the_error_of_the_call)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .max_result = 1};
	struct isolate_result result;
	struct point point = {0, 0};

	isolate_call(write_and_die, NULL, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &point), -ECHILD);
	isolate_call(write_point, NULL, &options, &result);
	ck_assert_int_eq(isolate_result_value(&result, &point), -EFBIG);
	ck_assert(point.x == 0);
}
END_TEST

static int writes_nothing(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	return -1;
}

START_TEST(what_came_instead_of_a_value_is_told_in_words)
{
	struct isolate_result result;
	struct point point;
	char text[PAL_ERROR_TEXT_SIZE], cut[10];

	isolate_call(writes_nothing, NULL, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &point), -EBADMSG);
	ck_assert_str_eq(isolate_result_text(&result, text, sizeof text),
		"the function returned -1 and wrote 0 bytes");
	ck_assert_str_eq(isolate_result_text(&result, cut, sizeof cut), "the funct");
	isolate_call(write_and_die, NULL, NULL, &result);
	ck_assert_str_eq(isolate_result_text(&result, text, sizeof text), result.error.text);
	isolate_result_clear(&result);
}
END_TEST

/* ---- a message; what nanopb's generator would write ---- */

typedef struct {
	int32_t number;
	char text[2000];
} sample;

#define sample_FIELDLIST(X, a) \
	X(a, STATIC, REQUIRED, INT32, number, 1) \
	X(a, STATIC, SINGULAR, STRING, text, 2)
#define sample_CALLBACK NULL
#define sample_DEFAULT NULL
extern const pb_msgdesc_t sample_msg;
PB_BIND(sample, sample, AUTO)

static int write_sample(struct isolate_writer *out, void *arg)
{
	return isolate_write_message(out, &sample_msg, arg);
}

typedef struct {
	int32_t number;
} optional;

#define optional_FIELDLIST(X, a) X(a, STATIC, SINGULAR, INT32, number, 1)
#define optional_CALLBACK NULL
#define optional_DEFAULT NULL
extern const pb_msgdesc_t optional_msg;
PB_BIND(optional, optional, AUTO)

/* Its items come from a callback. */
typedef struct {
	int32_t number;
	pb_callback_t items;
} iterated;

#define iterated_FIELDLIST(X, a) \
	X(a, STATIC, SINGULAR, INT32, number, 1) \
	X(a, CALLBACK, REPEATED, INT32, items, 2)
#define iterated_CALLBACK pb_default_field_callback
#define iterated_DEFAULT NULL
extern const pb_msgdesc_t iterated_msg;
PB_BIND(iterated, iterated, AUTO)

/* How many items come the first time, and the second. */
struct items {
	int counts[2];
	int pass;
};

static bool encode_items(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	struct items *items = *arg;
	int count = items->counts[items->pass++];

	for (int i = 0; i < count; i++)
		if (!pb_encode_tag_for_field(stream, field) || !pb_encode_varint(stream, 300))
			return false;
	return true;
}

static int write_items(struct isolate_writer *out, void *arg)
{
	iterated message = {.number = 5};

	message.items.funcs.encode = encode_items;
	message.items.arg = arg;
	return isolate_write_message(out, &iterated_msg, &message);
}

static int write_optional(struct isolate_writer *out, void *arg)
{
	return isolate_write_message(out, &optional_msg, arg);
}

START_TEST(a_message_of_defaults_is_an_empty_result)
{
	struct isolate_result result;
	optional sent = {0}, got = {7};

	isolate_call(write_optional, &sent, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_ptr_null(result.data);
	ck_assert_int_eq(isolate_result_message(&result, &optional_msg, &got), 0);
	ck_assert_int_eq(got.number, 0);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_message_arrives_as_it_was)
{
	struct isolate_result result;
	sample sent = {-5, ""}, got = {0, ""};

	memset(sent.text, 'm', sizeof sent.text - 1);
	isolate_call(write_sample, &sent, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_int_eq(isolate_result_message(&result, &sample_msg, &got), 0);
	ck_assert_int_eq(got.number, -5);
	ck_assert_str_eq(got.text, sent.text);
	isolate_result_clear(&result);
	ck_assert_int_eq(isolate_result_message(&result, &sample_msg, &got), -EBADMSG);
}
END_TEST

START_TEST(bytes_that_are_no_message_are_refused)
{
	struct isolate_result result;
	sample got;

	isolate_call(write_point, NULL, NULL, &result);
	ck_assert_int_eq(isolate_result_message(&result, &sample_msg, &got), -EBADMSG);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_message_that_cannot_be_encoded_appends_nothing)
{
	struct isolate_result result;
	sample endless = {1, ""};

	memset(endless.text, 'm', sizeof endless.text); /* no end */
	isolate_call(write_sample, &endless, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, -EINVAL);
	ck_assert_uint_eq(result.size, 0);
}
END_TEST

START_TEST(a_message_that_is_another_the_second_time_is_lost)
{
	struct items items[] = {{{5, 5}, 0}, {{5, 6}, 0}, {{5, 0}, 0}};
	struct isolate_result result;

	isolate_call(write_items, &items[_i], NULL, &result);
	ck_assert_int_eq(result.value, _i == 0 ? 0 : -EINVAL);
	if (_i == 0)
		ck_assert_answer(&result, ISOLATE_RETURNED);
	else
		ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EINVAL);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_message_beyond_the_bound_is_lost)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .max_result = 1000};
	struct isolate_result result;
	sample sent = {1, ""};

	memset(sent.text, 'm', sizeof sent.text - 1);
	isolate_call(write_sample, &sent, &options, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG);
	ck_assert_int_eq(result.value, -EFBIG);
	ck_assert_int_eq(isolate_result_message(&result, &sample_msg, &sent), -EFBIG);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/values");
	TCase *structs = isolate_tcase(suite, "structs");
	TCase *messages = isolate_tcase(suite, "messages");

	tcase_add_test(structs, a_struct_arrives_as_it_was);
	tcase_add_test(structs, another_size_is_refused_and_nothing_is_touched);
	tcase_add_test(structs, a_value_without_a_return_is_the_error_of_the_call);
	tcase_add_test(structs, what_came_instead_of_a_value_is_told_in_words);
	tcase_add_test(messages, a_message_of_defaults_is_an_empty_result);
	tcase_add_test(messages, a_message_arrives_as_it_was);
	tcase_add_test(messages, bytes_that_are_no_message_are_refused);
	tcase_add_test(messages, a_message_that_cannot_be_encoded_appends_nothing);
	tcase_add_loop_test(messages, a_message_that_is_another_the_second_time_is_lost, 0, 3);
	tcase_add_test(messages, a_message_beyond_the_bound_is_lost);
	return suite;
}
SUPPORT_MAIN(make_suite)
