/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <errno.h>
#include <isolate/isolate.h>
#include <stdlib.h>
#include <string.h>

/*
 * The dominant colours, by isolate_call: the function sees the sheet because it
 * runs in a copy of this process, may fill half a megabyte of tables and come to
 * grief over them, and nothing but the palette comes back.
 */

/* Colours are counted in boxes of 16 x 16 x 16 values. */
#define BOXES 4096
#define NEAR (48 * 48 * 3) /* closer than this, squared: not a colour of its own */

struct box {
	uint64_t red, green, blue, pixels; /* sums */
};

static struct box boxes[BOXES];

static unsigned count_pixels(gdImagePtr sheet)
{
	unsigned counted = 0;

	for (int y = 0; y < gdImageSY(sheet); y++) {
		for (int x = 0; x < gdImageSX(sheet); x++) {
			int colour = gdImageTrueColorPixel(sheet, x, y);
			struct box *box = &boxes[(colour >> 12 & 0xf00) | (colour >> 8 & 0xf0) |
				(colour >> 4 & 0xf)];

			if (sheet_is_ground(colour))
				continue;
			box->red += (unsigned)gdTrueColorGetRed(colour);
			box->green += (unsigned)gdTrueColorGetGreen(colour);
			box->blue += (unsigned)gdTrueColorGetBlue(colour);
			box->pixels++;
			counted++;
		}
	}
	return counted;
}

static int average(const struct box *box)
{
	return gdTrueColor((int)(box->red / box->pixels), (int)(box->green / box->pixels),
		(int)(box->blue / box->pixels));
}

static int distance(int a, int b)
{
	int red = gdTrueColorGetRed(a) - gdTrueColorGetRed(b);
	int green = gdTrueColorGetGreen(a) - gdTrueColorGetGreen(b);
	int blue = gdTrueColorGetBlue(a) - gdTrueColorGetBlue(b);

	return red * red + green * green + blue * blue;
}

/* The fullest box that is not near one of the `chosen` colours, or NULL. */
static const struct box *fullest_box(const struct palette_entry *entries, int chosen)
{
	const struct box *best = NULL;

	for (const struct box *box = boxes; box < boxes + BOXES; box++) {
		bool own = box->pixels > 0;

		for (int i = 0; own && i < chosen; i++)
			own = distance(entries[i].colour, average(box)) >= NEAR;
		if (own && (!best || box->pixels > best->pixels))
			best = box;
	}
	return best;
}

/* Gives every pixel to its nearest chosen colour. */
static void share_out(struct palette *palette, int chosen, unsigned counted)
{
	uint64_t pixels[PALETTE_SIZE] = {0};

	for (const struct box *box = boxes; box < boxes + BOXES; box++) {
		int nearest = 0;

		if (!box->pixels)
			continue;
		for (int i = 1; i < chosen; i++)
			if (distance(palette->entries[i].colour, average(box)) <
				distance(palette->entries[nearest].colour, average(box)))
				nearest = i;
		pixels[nearest] += box->pixels;
	}
	for (int i = 0; i < chosen; i++)
		palette->entries[i].permil = (unsigned)((pixels[i] * 1000 + counted / 2) / counted);
}

static int by_share(const void *a, const void *b)
{
	return (int)((const struct palette_entry *)b)->permil -
		(int)((const struct palette_entry *)a)->permil;
}

/* Runs in the copy. */
static int find_palette(struct isolate_writer *out, void *sheet)
{
	struct palette palette = {0};
	const struct box *box;
	unsigned counted = count_pixels(sheet);
	int chosen = 0;

	while (chosen < PALETTE_SIZE && (box = fullest_box(palette.entries, chosen)))
		palette.entries[chosen++].colour = average(box);
	if (chosen > 0)
		share_out(&palette, chosen, counted);
	qsort(palette.entries, PALETTE_SIZE, sizeof palette.entries[0], by_share);
	return isolate_write(out, &palette, sizeof palette);
}

int sheet_find_palette(gdImagePtr sheet, struct palette *ret, struct pal_error *error)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .deadline_ms = 10000, .max_result = sizeof *ret};
	struct isolate_result result;
	int code = 0;

	if (isolate_call(find_palette, sheet, &options, &result) != ISOLATE_RETURNED) {
		*error = result.error;
		code = error->code;
	} else if (result.value < 0 || result.size != sizeof *ret) {
		code = pal_error_set(error, ISOLATE_STAGE_RESULT, -EBADMSG, "dominant colours");
	} else {
		memcpy(ret, result.data, sizeof *ret);
	}
	isolate_result_clear(&result);
	return code;
}
