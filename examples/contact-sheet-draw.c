/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <gdfontg.h>
#include <gdfontmb.h>
#include <gdfonts.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Layout, in pixels: a header with the title, a grid of cards, a footer with the
 * counts and the palette. A card is a frame for one tile with two lines below it.
 */
#define MARGIN 28
#define GAP 14
#define FRAME 7
#define HEADER 72
#define FOOTER 76
#define CARD_WIDTH (TILE_WIDTH + 2 * FRAME)
#define CARD_HEIGHT (TILE_HEIGHT + 2 * FRAME + 34)
#define LINE_HEIGHT 16 /* of text in a tile */
#define MIN_COLUMNS 5

enum colour {
	COLOUR_GROUND = 0x16181d,
	COLOUR_CARD = 0x22252c,
	COLOUR_FRAME = 0x31353f,
	COLOUR_TITLE = 0xf2f3f5,
	COLOUR_TEXT = 0xc9ccd3,
	COLOUR_DIM = 0x7d828e,
	COLOUR_REFUSED = 0xe0a33a,
	COLOUR_TIMED_OUT = 0x5b9be0,
	COLOUR_HOST_LOST = 0xe0564f
};

bool sheet_is_ground(int colour)
{
	switch (colour) {
	case COLOUR_GROUND:
	case COLOUR_CARD:
	case COLOUR_FRAME:
	case COLOUR_TITLE:
	case COLOUR_TEXT:
	case COLOUR_DIM:
	case COLOUR_REFUSED:
	case COLOUR_TIMED_OUT:
	case COLOUR_HOST_LOST:
		return true;
	default:
		return false;
	}
}

/* Draws text of at most `width` pixels; what is too long loses its middle. */
static void draw_text(gdImagePtr sheet, gdFontPtr font, int x, int y, int width, const char *text,
	int colour)
{
	size_t room = (size_t)(width / font->w), length = strlen(text);
	char line[256];

	if (room >= sizeof line)
		room = sizeof line - 1;
	if (length <= room)
		snprintf(line, sizeof line, "%s", text);
	else
		snprintf(line, sizeof line, "%.*s..%s", (int)(room / 2 - 1), text,
			text + length - (room - room / 2 - 1));
	gdImageString(sheet, font, x, y, (unsigned char *)line, colour);
}

static void draw_centred(gdImagePtr sheet, gdFontPtr font, int x, int y, int width,
	const char *text, int colour)
{
	int wide = (int)strlen(text) * font->w;

	draw_text(sheet, font, x + (wide < width ? (width - wide) / 2 : 0), y, width, text, colour);
}

/* How much of `text` goes into a line of `room` characters: up to a space if there is one. */
static size_t line_length(const char *text, size_t room)
{
	size_t length = strlen(text);

	if (length <= room)
		return length;
	for (length = room; length > room / 2; length--)
		if (text[length] == ' ')
			return length;
	return room;
}

/* Wrapped, each line and the whole centred in the box. */
static void draw_wrapped(gdImagePtr sheet, gdFontPtr font, int x, int y, const char *text,
	int colour)
{
	char lines[TILE_HEIGHT / LINE_HEIGHT][40];
	size_t room = (size_t)((TILE_WIDTH - 12) / font->w);
	int used = 0;

	for (; *text && used < TILE_HEIGHT / LINE_HEIGHT; used++) {
		size_t length = line_length(text, room);

		snprintf(lines[used], sizeof lines[used], "%.*s", (int)length, text);
		text += length;
		text += strspn(text, " ");
	}
	y += (TILE_HEIGHT - used * LINE_HEIGHT) / 2;
	for (int i = 0; i < used; i++)
		draw_centred(sheet, font, x, y + i * LINE_HEIGHT, TILE_WIDTH, lines[i], colour);
}

static int colour_of(enum picture_state state)
{
	switch (state) {
	case PICTURE_REFUSED:
		return COLOUR_REFUSED;
	case PICTURE_TIMED_OUT:
		return COLOUR_TIMED_OUT;
	case PICTURE_HOST_LOST:
		return COLOUR_HOST_LOST;
	default:
		return COLOUR_FRAME;
	}
}

static void draw_pixels(gdImagePtr sheet, const struct picture *picture, int x, int y)
{
	const unsigned char *from = picture->pixels;
	int left = x + (TILE_WIDTH - (int)picture->width) / 2;
	int top = y + (TILE_HEIGHT - (int)picture->height) / 2;

	for (int row = 0; row < (int)picture->height; row++)
		for (int column = 0; column < (int)picture->width; column++, from += 3)
			gdImageSetPixel(sheet, left + column, top + row,
				gdTrueColor(from[0], from[1], from[2]));
}

static void draw_card(gdImagePtr sheet, const struct picture *picture, int x, int y)
{
	int colour = colour_of(picture->state), tile_x = x + FRAME, tile_y = y + FRAME;
	int text_y = tile_y + TILE_HEIGHT + 6;
	char size[64];

	gdImageFilledRectangle(sheet, x, y, x + CARD_WIDTH - 1, y + CARD_HEIGHT - 1, COLOUR_CARD);
	gdImageRectangle(sheet, x, y, x + CARD_WIDTH - 1, y + CARD_HEIGHT - 1, colour);
	if (picture->state == PICTURE_SHOWN) {
		draw_pixels(sheet, picture, tile_x, tile_y);
		snprintf(size, sizeof size, "%u x %u%s", picture->original_width,
			picture->original_height, picture->attempts > 1 ? ", 2nd host" : "");
	} else {
		gdImageRectangle(sheet, x + 1, y + 1, x + CARD_WIDTH - 2, y + CARD_HEIGHT - 2,
			colour);
		draw_wrapped(sheet, gdFontGetMediumBold(), tile_x, tile_y, picture->label, colour);
		snprintf(size, sizeof size, "%s", picture->attempts > 1 ? "in two hosts" : "");
	}
	draw_centred(sheet, gdFontGetSmall(), tile_x, text_y, TILE_WIDTH, picture->caption,
		COLOUR_TEXT);
	draw_centred(sheet, gdFontGetSmall(), tile_x, text_y + 14, TILE_WIDTH, size, COLOUR_DIM);
}

/* Twice the size of the largest built-in font. */
static void draw_title(gdImagePtr sheet, const char *title)
{
	gdFontPtr font = gdFontGetGiant();
	int width = (gdImageSX(sheet) - 2 * MARGIN) / 2;
	gdImagePtr line = gdImageCreateTrueColor(width, font->h);

	if (!line)
		return;
	gdImageFilledRectangle(line, 0, 0, width - 1, font->h - 1, COLOUR_GROUND);
	draw_text(line, font, 0, 0, width, title, COLOUR_TITLE);
	gdImageCopyResized(sheet, line, MARGIN, 20, 0, 0, 2 * width, 2 * font->h, width, font->h);
	gdImageDestroy(line);
}

gdImagePtr sheet_draw(const char *title, const struct picture *pictures, size_t count)
{
	/* As many columns as give the sheet about the shape of a screen. */
	int columns = (int)ceil(sqrt((double)count * 1.4)), rows, width, height;
	gdImagePtr sheet;

	rows = ((int)count + columns - 1) / columns;
	columns = ((int)count + rows - 1) / rows; /* fills the last row, where that can be */
	if (columns < MIN_COLUMNS)
		columns = MIN_COLUMNS;
	width = 2 * MARGIN + columns * (CARD_WIDTH + GAP) - GAP;
	height = HEADER + rows * (CARD_HEIGHT + GAP) - GAP + FOOTER;
	sheet = gdImageCreateTrueColor(width, height);
	if (!sheet)
		return NULL;
	gdImageFilledRectangle(sheet, 0, 0, width - 1, height - 1, COLOUR_GROUND);
	draw_title(sheet, title);
	for (int i = 0; i < (int)count; i++)
		draw_card(sheet, &pictures[i], MARGIN + i % columns * (CARD_WIDTH + GAP),
			HEADER + i / columns * (CARD_HEIGHT + GAP));
	return sheet;
}

void sheet_draw_footer(gdImagePtr sheet, const char *counts, const struct palette *palette)
{
	int width = gdImageSX(sheet) - 2 * MARGIN, y = gdImageSY(sheet) - FOOTER + 20, x = MARGIN;

	draw_text(sheet, gdFontGetSmall(), MARGIN, y, width, counts, COLOUR_TEXT);
	for (int i = 0; palette && i < PALETTE_SIZE && palette->entries[i].permil > 0; i++) {
		char share[16];

		snprintf(share, sizeof share, "%u.%u %%", palette->entries[i].permil / 10,
			palette->entries[i].permil % 10);
		gdImageFilledRectangle(sheet, x, y + 20, x + 39, y + 35,
			palette->entries[i].colour);
		gdImageRectangle(sheet, x, y + 20, x + 39, y + 35, COLOUR_FRAME);
		draw_text(sheet, gdFontGetSmall(), x + 46, y + 21, 60, share, COLOUR_DIM);
		x += 110;
	}
}
