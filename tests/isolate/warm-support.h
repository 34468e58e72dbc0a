/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_ISOLATE_WARM_SUPPORT_H
#define PROCMESH_TESTS_ISOLATE_WARM_SUPPORT_H

#include <isolate/isolate-priv.h>
#include <isolate/warm-priv.h>
#include <stdbool.h>
#include <string.h>

#include "isolate-support.h"

#define LONG ((size_t)300000)

struct fill {
	size_t size;
	int with;
};

static inline int fill(struct isolate_writer *out, void *arg)
{
	const struct fill *order = arg;
	unsigned char bytes[5000];
	int r = 0;

	memset(bytes, order->with, sizeof bytes);
	for (size_t at = 0; at < order->size && r == 0; at += sizeof bytes)
		r = isolate_write(out, bytes,
			order->size - at < sizeof bytes ? order->size - at : sizeof bytes);
	return r;
}

static inline bool is_filled(const void *memory, size_t size, int with)
{
	const unsigned char *bytes = memory;

	return bytes[0] == with && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static inline void call_fill(size_t size, int with, struct isolate_result *result)
{
	struct fill order = {size, with};

	isolate_call(fill, &order, NULL, result);
	ck_assert_answer(result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result->size, size);
	ck_assert(is_filled(result->data, size, with));
}

static inline void *address_of_call(size_t size, int with)
{
	struct isolate_result result;
	void *address;

	call_fill(size, with, &result);
	address = result.data;
	isolate_result_clear(&result);
	return address;
}

/* The first long result only shows that there are such, the second makes what is kept. */
static inline void *warm_up(size_t size)
{
	address_of_call(size, 1);
	return address_of_call(size, 2);
}

#endif
