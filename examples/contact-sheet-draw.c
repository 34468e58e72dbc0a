/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <gdfontg.h>
#include <gdfontmb.h>
#include <gdfonts.h>
#include <isolate/isolate.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Layout, in pixels: a header with the title, a grid of cards, a footer with the
 * counts and the dominant colours. A card is a tile with two lines below it.
 */
#define MARGIN 28
#define GAP 14
#define FRAME 7
#define HEADER 72
#define FOOTER 76
#define CARD_WIDTH (TILE_WIDTH + 2 * FRAME)
#define CARD_HEIGHT (TILE_HEIGHT + 2 * FRAME + 34)
#define MIN_COLUMNS 5

#define COLOUR_GROUND 0x16181d
#define COLOUR_CARD 0x22252c
#define COLOUR_TITLE 0xf2f3f5
#define COLOUR_TEXT 0xc9ccd3
#define COLOUR_DIM 0x7d828e
static const int frame_colours[] = {
	[PICTURE_SHOWN] = 0x31353f,
	[PICTURE_REFUSED] = 0xe0a33a,
	[PICTURE_TIMED_OUT] = 0x5b9be0,
	[PICTURE_HOST_LOST] = 0xe0564f,
};

/* ---- dominant colours, by isolate_call ---- */

#define COLOURS 5
#define SAMPLE 32 /* each picture counts with so many pixels, squared */
struct colour {
	int rgb;
	double share; /* per cent */
};
struct tiles {
	const struct picture *pictures;
	size_t count;
};

static int by_share(const void *a, const void *b)
{
	double difference = ((const struct colour *)b)->share - ((const struct colour *)a)->share;

	return (difference > 0) - (difference < 0);
}

/* Runs in a forked copy of this process, and only what it writes comes back. */
static int find_colours(struct isolate_writer *out, void *userdata)
{
	struct tiles *tiles = userdata;
	struct colour colours[COLOURS] = {0};
	gdImagePtr tile, all = gdImageCreateTrueColor(SAMPLE, SAMPLE * (int)tiles->count);
	int height = 0;

	for (size_t i = 0; all && i < tiles->count; i++) {
		if ((tile = tiles->pictures[i].tile)) {
			gdImageCopyResampled(all, tile, 0, height, 0, 0, SAMPLE, SAMPLE,
				gdImageSX(tile), gdImageSY(tile));
			height += SAMPLE;
		}
	}
	if (height == 0)
		return 0;
	gdImageTrueColorToPalette(all, 0, COLOURS);
	for (int i = 0; i < gdImageColorsTotal(all); i++)
		colours[i].rgb =
			gdTrueColor(gdImageRed(all, i), gdImageGreen(all, i), gdImageBlue(all, i));
	for (int y = 0; y < height; y++)
		for (int x = 0; x < SAMPLE; x++)
			colours[gdImagePalettePixel(all, x, y)].share += 100.0 / (SAMPLE * height);
	qsort(colours, COLOURS, sizeof colours[0], by_share);
	return isolate_write(out, colours, sizeof colours);
}

static void draw_colours(gdImagePtr sheet, struct tiles tiles)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 10000};
	struct isolate_result result;
	int x = MARGIN, y = gdImageSY(sheet) - FOOTER + 40;
	const struct colour *colour;

	if (isolate_call(find_colours, &tiles, &options, &result) != ISOLATE_RETURNED)
		fprintf(stderr, "contact-sheet: no colours: %s\n", pal_error_text(&result.error));
	colour = result.data;
	for (size_t i = 0; i < result.size / sizeof *colour; i++, colour++, x += 110) {
		char share[16];

		snprintf(share, sizeof share, "%.1f %%", colour->share);
		gdImageFilledRectangle(sheet, x, y, x + 39, y + 15, colour->rgb);
		gdImageString(sheet, gdFontGetSmall(), x + 46, y + 1, (unsigned char *)share,
			COLOUR_DIM);
	}
	isolate_result_clear(&result);
}

/* ---- the sheet ---- */

/* As much of the text as fits, centred in a tile's width. */
static void draw_line(gdImagePtr sheet, gdFontPtr font, int x, int y, const char *text, int colour)
{
	char line[TILE_WIDTH];

	snprintf(line, (size_t)(TILE_WIDTH / font->w + 1), "%s", text);

	gdImageString(sheet, font, x + (TILE_WIDTH - (int)strlen(line) * font->w) / 2, y,
		(unsigned char *)line, colour);
}

/* In as many lines as it takes and the tile has, about in its middle. */
static void draw_label(gdImagePtr sheet, int x, int y, const char *text, int colour)
{
	size_t room = (size_t)(TILE_WIDTH / gdFontGetMediumBold()->w - 1), length;
	int bottom = y + TILE_HEIGHT - 16;
	char line[TILE_WIDTH];

	y += (TILE_HEIGHT - 16) / 2 - 8 * (int)(strlen(text) / room);
	for (; *text && y < bottom; y += 16) {
		length = strlen(text);
		if (length > room) /* up to the last space that fits, if there is one */
			for (length = room; length > 0 && text[length] != ' '; length--)
				;
		length = length ? length : room;
		snprintf(line, sizeof line, "%.*s", (int)length, text);
		draw_line(sheet, gdFontGetMediumBold(), x, y, line, colour);
		text += length + (text[length] == ' ');
	}
}

static void draw_card(gdImagePtr sheet, const struct picture *picture, int x, int y)
{
	int colour = frame_colours[picture->state], text_y = y + FRAME + TILE_HEIGHT + 6;
	gdImagePtr tile = picture->tile;
	gdImageFilledRectangle(sheet, x, y, x + CARD_WIDTH - 1, y + CARD_HEIGHT - 1, COLOUR_CARD);
	gdImageRectangle(sheet, x, y, x + CARD_WIDTH - 1, y + CARD_HEIGHT - 1, colour);
	x += FRAME;
	if (tile) {
		gdImageCopy(sheet, tile, x + (TILE_WIDTH - gdImageSX(tile)) / 2,
			y + FRAME + (TILE_HEIGHT - gdImageSY(tile)) / 2, 0, 0, gdImageSX(tile),
			gdImageSY(tile));
		draw_line(sheet, gdFontGetSmall(), x, text_y + 14, picture->label, COLOUR_DIM);
	} else {
		draw_label(sheet, x, y + FRAME, picture->label, colour);
	}
	draw_line(sheet, gdFontGetSmall(), x, text_y, picture->caption, COLOUR_TEXT);
}

gdImagePtr draw_sheet(const char *title, const struct picture *pictures, size_t count,
	const char *footer)
{
	/* As many columns as give the sheet about the shape of a screen. */
	int columns = (int)fmax(MIN_COLUMNS, ceil(sqrt((double)count * 1.4)));
	int rows = ((int)count + columns - 1) / columns;
	int width = 2 * MARGIN + columns * (CARD_WIDTH + GAP) - GAP;
	int height = HEADER + rows * (CARD_HEIGHT + GAP) - GAP + FOOTER;
	gdImagePtr sheet = gdImageCreateTrueColor(width, height);

	if (!sheet)
		return NULL;
	gdImageFilledRectangle(sheet, 0, 0, width - 1, height - 1, COLOUR_GROUND);
	gdImageString(sheet, gdFontGetGiant(), MARGIN, 28, (unsigned char *)title, COLOUR_TITLE);
	for (int i = 0; i < (int)count; i++)
		draw_card(sheet, &pictures[i], MARGIN + i % columns * (CARD_WIDTH + GAP),
			HEADER + i / columns * (CARD_HEIGHT + GAP));
	gdImageString(sheet, gdFontGetSmall(), MARGIN, height - FOOTER + 20,
		(unsigned char *)footer, COLOUR_TEXT);
	draw_colours(sheet, (struct tiles){pictures, count});
	return sheet;
}
