/* SPDX-License-Identifier: MIT */
#include <mesh/base64-priv.h>

#include <errno.h>
#include <string.h>

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mesh__base64_encode(const uint8_t *data, size_t size, char *out)
{
	for (size_t at = 0; at < size; at += 3) {
		size_t count = size - at < 3 ? size - at : 3;
		uint32_t bits = (uint32_t)data[at] << 16;

		if (count > 1)
			bits |= (uint32_t)data[at + 1] << 8;
		if (count > 2)
			bits |= data[at + 2];
		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = count > 1 ? alphabet[bits >> 6 & 63] : '=';
		*out++ = count > 2 ? alphabet[bits & 63] : '=';
	}
	*out = 0;
}

/* Four characters of which the first `count` are digits. */
static int decode_group(const char *text, unsigned count, uint8_t *out)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < count; i++) {
		const char *digit = memchr(alphabet, text[i], sizeof alphabet);

		if (!digit)
			return -EBADMSG;
		bits |= (uint32_t)(digit - alphabet) << (18 - 6 * i);
	}
	if (bits & (((uint32_t)1 << (24 - 8 * (count - 1))) - 1)) /* behind the last byte */
		return -EBADMSG;
	for (unsigned i = 0; i + 1 < count; i++)
		out[i] = (uint8_t)(bits >> (16 - 8 * i));
	return 0;
}

int mesh__base64_decode(const char *text, size_t length, uint8_t *out, size_t *ret_size)
{
	size_t size = 0;

	if (length % 4)
		return -EBADMSG;
	for (size_t at = 0; at < length; at += 4) {
		unsigned digits = 4;

		if (at + 4 == length && text[at + 3] == '=')
			digits = text[at + 2] == '=' ? 2 : 3;
		if (decode_group(text + at, digits, out + size) < 0)
			return -EBADMSG;
		size += digits - 1;
	}
	*ret_size = size;
	return 0;
}
