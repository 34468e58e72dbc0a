/* SPDX-License-Identifier: MIT */
#include "picture-decoder.h"

#include <endian.h>
#include <gd.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PIXELS 100000000 /* in a file */

static void refuse(struct answer *answer, const char *why)
{
	snprintf(answer->label, sizeof answer->label, "%s", why);
}

/* ---- one decoder a format: NULL for a file that is not whole ---- */

/* Only a PNG can claim more than 65535 x 65535 pixels; the others meet the host's bound on memory. */
static gdImagePtr decode_png(FILE *file, struct answer *answer)
{
	struct {
		char signature[8], length[4], type[4];
		uint32_t width, height;
	} head = {0};

	(void)!fread(&head, sizeof head, 1, file);
	rewind(file);
	if (memcmp(head.type, "IHDR", 4) != 0)
		return NULL;
	head.width = be32toh(head.width);
	head.height = be32toh(head.height);
	if ((uint64_t)head.width * head.height <= MAX_PIXELS)
		return gdImageCreateFromPng(file);
	snprintf(answer->label, sizeof answer->label, "%u x %u pixels", head.width, head.height);
	return NULL;
}

static int complaints;

static void count_complaint(int priority, const char *format, va_list args)
{
	(void)priority;
	(void)format;
	(void)args;
	complaints++;
}

/* Where a JPEG is damaged, libjpeg makes something up, and warns. */
static gdImagePtr decode_jpeg(FILE *file, struct answer *answer)
{
	gdImagePtr image;

	(void)answer;
	complaints = 0;
	gdSetErrorMethod(count_complaint);
	image = gdImageCreateFromJpegEx(file, 0); /* 0: warnings are passed on */
	gdClearErrorMethod();
	if (!complaints)
		return image;
	if (image)
		gdImageDestroy(image);
	return NULL;
}

/* libgd does not ask for a GIF's end. Nothing else tells: there is no checksum in it. */
static gdImagePtr decode_gif(FILE *file, struct answer *answer)
{
	int end = fseek(file, -1, SEEK_END) == 0 ? fgetc(file) : EOF;

	(void)answer;
	rewind(file);
	return end == ';' ? gdImageCreateFromGif(file) : NULL;
}

/* ---- the tile ---- */

static void shrink(gdImagePtr image, struct answer *answer)
{
	int width = gdImageSX(image), height = gdImageSY(image);
	double scale = fmin(1, fmin((double)TILE_WIDTH / width, (double)TILE_HEIGHT / height));
	int tile_width = (int)fmax(1, width * scale), tile_height = (int)fmax(1, height * scale);
	gdImagePtr tile = gdImageCreateTrueColor(TILE_WIDTH, TILE_HEIGHT);

	if (!tile)
		abort(); /* the parent sees how a host ends */
	gdImageFilledRectangle(tile, 0, 0, TILE_WIDTH, TILE_HEIGHT, TILE_COLOUR);
	gdImageCopyResampled(tile, image, (TILE_WIDTH - tile_width) / 2,
		(TILE_HEIGHT - tile_height) / 2, 0, 0, tile_width, tile_height, width, height);
	for (int i = 0; i < TILE_WIDTH * TILE_HEIGHT; i++)
		answer->pixels[i] = gdImageGetPixel(tile, i % TILE_WIDTH, i / TILE_WIDTH);
	snprintf(answer->label, sizeof answer->label, "%d x %d", width, height);
	answer->shown = 1;
	gdImageDestroy(tile);
}

void decode_picture(FILE *file, struct answer *answer)
{
	static const struct {
		const char *magic;
		gdImagePtr (*decode)(FILE *file, struct answer *answer);
	} formats[] = {{"\x89PNG\r\n\x1a\n", decode_png}, {"\xff\xd8\xff", decode_jpeg},
		{"GIF87a", decode_gif}, {"GIF89a", decode_gif}};
	char head[8] = {0};
	gdImagePtr image;
	size_t i = 0;

	(void)!fread(head, 1, sizeof head, file);
	rewind(file);
	while (i < 4 && memcmp(head, formats[i].magic, strlen(formats[i].magic)) != 0)
		i++;
	if (i == 4) {
		refuse(answer, "not a PNG, JPEG or GIF");
		return;
	}
	refuse(answer, "damaged, or too large"); /* unless more is known */
	image = formats[i].decode(file, answer);
	if (!image)
		return;
	shrink(image, answer);
	gdImageDestroy(image);
}
