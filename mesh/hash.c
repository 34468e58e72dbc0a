/* SPDX-License-Identifier: MIT */
#include <mesh/hash-priv.h>

#include <endian.h>
#include <pthread.h>
#include <string.h>

#include <mesh/event-priv.h>

/* SipHash-2-4 (Aumasson, Bernstein), https://www.aumasson.jp/siphash/siphash.pdf */

static uint64_t rotate(uint64_t value, unsigned by)
{
	return value << by | value >> (64 - by);
}

static void rounds(uint64_t v[4], unsigned count)
{
	while (count--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static void add_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
}

uint64_t mesh__siphash(const uint64_t key[2], const void *data, size_t size)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
		key[1] ^ 0x7465646279746573u};
	const uint8_t *at = data;
	uint64_t word, last = (uint64_t)size << 56;

	for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
		memcpy(&word, at, sizeof word);
		add_word(v, le64toh(word));
	}
	word = 0;
	memcpy(&word, at, size);
	add_word(v, last | le64toh(word));
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t process_key[2];

/* Without random bytes the tables still work; a peer could only make them slow. */
static void make_key(void)
{
	struct mesh_id random;

	if (mesh__id_random(&random) == 0)
		memcpy(process_key, &random, sizeof process_key);
}

unsigned mesh__hash(const void *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_key);
	return (unsigned)mesh__siphash(process_key, data, size);
}
