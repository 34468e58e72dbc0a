/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_NANOPB_H
#define PROCMESH_ISOLATE_NANOPB_H

/*
 * A nanopb message as a result. Only in this header: the library does not need
 * nanopb; a program that includes this one links it (-lprotobuf-nanopb).
 */
#include <errno.h>
#include <isolate/isolate.h>
#include <pb_decode.h>
#include <pb_encode.h>

PAL_BEGIN_DECLS

static inline bool isolate_nanopb_put_(pb_ostream_t *stream, const pb_byte_t *bytes, size_t count)
{
	return isolate_write((struct isolate_writer *)stream->state, bytes, count) == 0;
}

/*
 * Appends the encoded message; with nothing else written it is the result for
 * isolate_result_message. 0, isolate_write's errors, or -EINVAL for what nanopb cannot
 * encode; then nothing is appended. nanopb encodes twice, first to count: where a callback
 * encodes something else the second time (an iterator that is used up), it is -EINVAL, too, and if a part is
 * written already the result is lost. For the function. A message whose fields all have their
 * defaults may have no bytes: then the result is empty, with data NULL, and is that message.
 */
static inline int isolate_write_message(
	struct isolate_writer *out, const pb_msgdesc_t *fields, const void *message)
{
	pb_ostream_t stream = PB_OSTREAM_SIZING;
	size_t size;

	if (!pb_get_encoded_size(&size, fields, message))
		return -EINVAL;
	stream.callback = isolate_nanopb_put_;
	stream.state = out;
	stream.max_size = size;
	if (pb_encode(&stream, fields, message) && stream.bytes_written == size)
		return 0;
	if (stream.bytes_written > 0)
		return isolate_write(out, NULL, 1); /* the first error, or -EINVAL from now on */
	return isolate_write(out, "", 0) < 0 ? isolate_write(out, "", 0) : -EINVAL;
}

/*
 * Decodes the result. 0, or -EBADMSG where it is not such a message; the code of
 * result->error where the function has not returned. On failure the message is as
 * pb_decode(3) leaves it.
 */
static inline int isolate_result_message(
	const struct isolate_result *result, const pb_msgdesc_t *fields, void *message)
{
	pb_istream_t stream;

	if (result->answer != ISOLATE_RETURNED)
		return result->error.code ? result->error.code : -EBADMSG;
	stream = pb_istream_from_buffer((const pb_byte_t *)result->data, result->size);
	return pb_decode(&stream, fields, message) ? 0 : -EBADMSG;
}

PAL_END_DECLS

#endif
