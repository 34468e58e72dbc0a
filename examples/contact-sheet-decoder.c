/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <errno.h>
#include <mesh/message.h>
#include <pal/builder.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * The host's side: everything that touches a picture's bytes. It runs sealed: no
 * path, no socket, no process, a bounded address space. Whatever a file does to
 * it, what comes out is an answer of a known shape, or no answer.
 */

/* ---- the sandbox: pal's profile for pure computation, and a bound on memory ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOST_MAX_MEMORY RLIM_INFINITY /* their shadow memory is terabytes of address space */
#else
#define HOST_MAX_MEMORY ((rlim_t)1 << 30)
#endif

static int apply(const struct pal_profile *profile, struct pal_builder *builder,
	struct pal_error *error)
{
	const struct pal_profile *compute = pal_profile_pure_compute();
	struct rlimit now;
	rlim_t most = HOST_MAX_MEMORY;

	(void)profile;
	if (getrlimit(RLIMIT_AS, &now) == 0 && now.rlim_max < most)
		most = now.rlim_max; /* a limit cannot be raised without privileges */
	pal_builder_rlimit(builder, RLIMIT_AS, most, most);
	return compute->apply(compute, builder, error);
}

static int finalize(const struct pal_profile *profile, struct pal_error *error)
{
	(void)profile;
	return pal_profile_finalize(pal_profile_pure_compute(), error);
}

const struct pal_profile decoder_profile = {
	.size = sizeof decoder_profile,
	.name = "picture decoder",
	.apply = apply,
	.finalize = finalize,
};

/* ---- what a file says about itself, before a decoder believes it ---- */

struct file {
	const unsigned char *bytes;
	size_t size;
};

struct format {
	const char *magic;
	size_t magic_size;
	bool (*dimensions)(struct file file, unsigned *ret_width, unsigned *ret_height);
	gdImagePtr (*decode)(int size, void *data);
};

static unsigned big_endian(const unsigned char *at, unsigned bytes)
{
	unsigned value = 0;

	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

static bool png_dimensions(struct file file, unsigned *ret_width, unsigned *ret_height)
{
	if (file.size < 24 || memcmp(file.bytes + 12, "IHDR", 4))
		return false;
	*ret_width = big_endian(file.bytes + 16, 4);
	*ret_height = big_endian(file.bytes + 20, 4);
	return true;
}

static bool gif_dimensions(struct file file, unsigned *ret_width, unsigned *ret_height)
{
	if (file.size < 10)
		return false;
	*ret_width = file.bytes[6] | (unsigned)file.bytes[7] << 8;
	*ret_height = file.bytes[8] | (unsigned)file.bytes[9] << 8;
	return true;
}

/* From marker to marker until the one that starts the frame: 0xC0..0xCF but not DHT, JPG, DAC. */
static bool jpeg_dimensions(struct file file, unsigned *ret_width, unsigned *ret_height)
{
	for (size_t at = 2; file.size - at >= 9;) {
		const unsigned char *segment = file.bytes + at;
		unsigned marker = segment[1], size = big_endian(segment + 2, 2);

		if (segment[0] != 0xff)
			return false;
		if (marker == 0xff) { /* padding */
			at++;
			continue;
		}
		if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
			marker != 0xcc) {
			*ret_height = big_endian(segment + 5, 2);
			*ret_width = big_endian(segment + 7, 2);
			return true;
		}
		if (size < 2 || size + 2 > file.size - at)
			return false;
		at += 2 + size;
	}
	return false;
}

static const struct format formats[] = {
	{"\x89PNG\r\n\x1a\n", 8, png_dimensions, gdImageCreateFromPngPtr},
	{"\xff\xd8\xff", 3, jpeg_dimensions, gdImageCreateFromJpegPtr},
	{"GIF87a", 6, gif_dimensions, gdImageCreateFromGifPtr},
	{"GIF89a", 6, gif_dimensions, gdImageCreateFromGifPtr},
};

static bool starts_with(struct file file, const void *magic, size_t size)
{
	return file.size >= size && !memcmp(file.bytes, magic, size);
}

static const struct format *find_format(struct file file)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (starts_with(file, formats[i].magic, formats[i].magic_size))
			return &formats[i];
	return NULL;
}

/* ---- decoding ---- */

static char library_text[DECODER_MAX_TEXT]; /* what libgd said first about this file */

static void __attribute__((format(printf, 2, 0)))
library_error(int priority, const char *format, va_list args)
{
	(void)priority;
	if (library_text[0])
		return;
	vsnprintf(library_text, sizeof library_text, format, args);
	library_text[strcspn(library_text, "\n")] = '\0';
}

/* NULL and why in `text`. */
static gdImagePtr decode(struct file file, char text[DECODER_MAX_TEXT])
{
	const struct format *format = find_format(file);
	unsigned width, height;
	gdImagePtr image;

	if (!format) {
		snprintf(text, DECODER_MAX_TEXT,
			file.size ? "not a PNG, JPEG or GIF" : "an empty file");
		return NULL;
	}
	if (!format->dimensions(file, &width, &height)) {
		snprintf(text, DECODER_MAX_TEXT, "the header is damaged");
		return NULL;
	}
	if ((uint64_t)width * height > DECODER_MAX_PIXELS) {
		snprintf(text, DECODER_MAX_TEXT, "%u x %u is too large", width, height);
		return NULL;
	}
	library_text[0] = '\0';
	image = format->decode((int)file.size, (void *)file.bytes);
	if (!image)
		snprintf(text, DECODER_MAX_TEXT, "%s",
			library_text[0] ? library_text : "it cannot be decoded");
	return image;
}

/* As large as fits the tile, never larger than it was; transparent parts become grey. */
static gdImagePtr shrink(gdImagePtr image)
{
	int width = gdImageSX(image), height = gdImageSY(image);
	double by_width = (double)TILE_WIDTH / width, by_height = (double)TILE_HEIGHT / height;
	double factor = by_width < by_height ? by_width : by_height;
	gdImagePtr small;

	if (factor < 1) {
		width = (int)(width * factor + 0.5);
		height = (int)(height * factor + 0.5);
	}
	small = gdImageCreateTrueColor(width ? width : 1, height ? height : 1);
	if (!small)
		return NULL;
	gdImageFilledRectangle(small, 0, 0, gdImageSX(small), gdImageSY(small),
		gdTrueColor(128, 128, 128));
	gdImageCopyResampled(small, image, 0, 0, 0, 0, gdImageSX(small), gdImageSY(small),
		gdImageSX(image), gdImageSY(image));
	return small;
}

/* ---- answers ---- */

/* An answer with room for `size` bytes at *ret_body. NULL when memory runs out. */
static struct mesh_message *new_answer(const struct decoder_answer *head, size_t size,
	unsigned char **ret_body)
{
	struct mesh_message *message = mesh_message_new_sized(sizeof *head + size);

	if (message) {
		memcpy(mesh_message_data(message), head, sizeof *head);
		*ret_body = (unsigned char *)mesh_message_data(message) + sizeof *head;
	}
	return message;
}

static struct mesh_message *refusal(const char *text)
{
	struct decoder_answer head = {.refused = 1};
	unsigned char *body;
	struct mesh_message *message = new_answer(&head, strlen(text), &body);

	if (message)
		memcpy(body, text, strlen(text));
	return message;
}

static struct mesh_message *answer_of(gdImagePtr small, gdImagePtr original)
{
	struct decoder_answer head = {
		.width = (uint32_t)gdImageSX(small),
		.height = (uint32_t)gdImageSY(small),
		.original_width = (uint32_t)gdImageSX(original),
		.original_height = (uint32_t)gdImageSY(original),
	};
	unsigned char *out;
	struct mesh_message *message =
		new_answer(&head, (size_t)head.width * head.height * 3, &out);

	for (int y = 0; message && y < gdImageSY(small); y++) {
		for (int x = 0; x < gdImageSX(small); x++) {
			int pixel = gdImageTrueColorPixel(small, x, y);

			*out++ = (unsigned char)gdTrueColorGetRed(pixel);
			*out++ = (unsigned char)gdTrueColorGetGreen(pixel);
			*out++ = (unsigned char)gdTrueColorGetBlue(pixel);
		}
	}
	return message;
}

static struct mesh_message *answer_for(struct file file, struct mesh_port *answer_port)
{
	char text[DECODER_MAX_TEXT] = "out of memory";
	struct mesh_message *message = NULL;
	gdImagePtr image, small;

	if (starts_with(file, EXPLOIT_MAGIC, strlen(EXPLOIT_MAGIC))) {
		exploit_run((const char *)file.bytes + strlen(EXPLOIT_MAGIC), answer_port, text);
		return refusal(text);
	}
	image = decode(file, text);
	if (!image)
		return refusal(text);
	small = shrink(image);
	if (small) {
		message = answer_of(small, image);
		gdImageDestroy(small);
	}
	gdImageDestroy(image);
	return message ? message : refusal(text);
}

/* `size` bytes and a terminator, or fewer if the file has become shorter. NULL: errno says why. */
static unsigned char *read_file(int fd, size_t size, size_t *ret_size)
{
	unsigned char *bytes = malloc(size + 1);
	size_t filled = 0;
	ssize_t got;

	while (bytes && filled < size && (got = read(fd, bytes + filled, size - filled)) != 0) {
		if (got < 0) {
			free(bytes);
			return NULL;
		}
		filled += (size_t)got;
	}
	if (bytes)
		bytes[filled] = '\0'; /* for an exploit's command line */
	*ret_size = filled;
	return bytes;
}

/* One request. The parent is trusted: a request that makes no sense ends the host. */
static int serve(struct mesh_message *message)
{
	struct decoder_request request;
	struct mesh_port *answer_port = mesh_message_take_port(message, REQUEST_ANSWER_PORT);
	int fd = mesh_message_take_fd(message, REQUEST_FILE);
	struct mesh_message *answer;
	unsigned char *bytes;
	size_t size;

	if (fd < 0 || !answer_port || mesh_message_size(message) != sizeof request) {
		mesh_port_free(answer_port);
		return -EBADMSG;
	}
	memcpy(&request, mesh_message_data(message), sizeof request);
	bytes = read_file(fd, request.file_size, &size);
	if (bytes)
		answer = answer_for((struct file){bytes, size}, answer_port);
	else
		answer = refusal(strerror(errno));
	free(bytes);
	close(fd);
	return mesh_port_send_and_free(answer_port, answer);
}

/* Seals this process, in every thread, and tells the parent how that went. */
static int seal(struct mesh_port *port)
{
	struct pal_error error;
	const char *text = "";
	int result, sent;

	/* A host that is taken over must not paint the terminal: stderr becomes stdout, /dev/null. */
	dup2(STDOUT_FILENO, STDERR_FILENO);
	result = pal_profile_finalize(&decoder_profile, &error);
	if (result < 0)
		text = pal_error_text(&error);
	sent = mesh_port_send(port, mesh_message_new(text, strlen(text)));
	return result < 0 ? result : sent;
}

int decoder_host(struct mesh_port *port, void *userdata)
{
	struct mesh_message *message;
	int result;

	(void)userdata;
	gdSetErrorMethod(library_error);
	if (seal(port) < 0)
		return 1;
	while ((result = mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL)) == 0) {
		result = serve(message);
		mesh_message_free(message);
		if (result < 0)
			break;
	}
	return result == -EPIPE ? 0 : 1; /* -EPIPE: the parent has no more pictures */
}
