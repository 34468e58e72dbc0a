/* SPDX-License-Identifier: MIT */
#include "sheet.h"

#include <err.h>
#include <errno.h>
#include <gd.h>
#include <gdfontmb.h>
#include <gdfonts.h>
#include <isolate/isolate.h>
#include <mesh/message.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "picture-decoder.h"

#define COLUMNS 10
#define MARGIN 24
#define CELL_WIDTH (TILE_WIDTH + 28)
#define CELL_HEIGHT (TILE_HEIGHT + 62)
#define COLOURS 8
#define DEADLINE_MS 10000 /* for finding them */

#define BACKGROUND 0x16181d
#define TEXT 0xc9ccd3
#define FRAME 0x5d626e

static const struct picture *pictures;
static int count;

static void draw_text(gdImagePtr sheet, gdFontPtr font, int x, int y, const char *text, int colour)
{
	gdImageString(sheet, font, x, y, (unsigned char *)text, colour);
}

static void draw_picture(gdImagePtr sheet, const struct picture *picture, int x, int y)
{
	static const int colours[] = {0xe0a33a, FRAME, 0x5b9be0, 0xe0564f}; /* by state */
	int right = x + CELL_WIDTH - 12, bottom = y + CELL_HEIGHT - 12;
	const struct answer *answer = mesh_message_data(picture->message);
	bool shown = picture->state == SHOWN;
	gdFontPtr font = shown ? gdFontGetSmall() : gdFontGetMediumBold();
	char label[sizeof picture->label], *line, *rest = strcpy(label, picture->label);

	gdImageSetClip(sheet, x, y, right, bottom);
	gdImageFilledRectangle(sheet, x, y, right, bottom, TILE_COLOUR);
	gdImageRectangle(sheet, x, y, right, bottom, colours[picture->state]);
	for (int i = 0; shown && i < TILE_WIDTH * TILE_HEIGHT; i++)
		gdImageSetPixel(sheet, x + 8 + i % TILE_WIDTH, y + 8 + i / TILE_WIDTH,
			answer->pixels[i] & 0xffffff);
	draw_text(sheet, gdFontGetSmall(), x + 8, bottom - 34, picture->name, TEXT);
	for (y = shown ? bottom - 19 : y + 16; (line = strsep(&rest, ":")); y += 16)
		draw_text(sheet, font, x + 8, y, line + strspn(line, " "), colours[picture->state]);
}

/* The pixels of all pictures, without the frames around them. NULL when there are none, or no memory. */
static gdImagePtr collect_pixels(void)
{
	gdImagePtr all = gdImageCreateTrueColor(TILE_WIDTH, TILE_HEIGHT * count);
	int used = 0;

	for (int i = 0; i < count && all; i++) {
		const struct answer *answer = mesh_message_data(pictures[i].message);

		if (pictures[i].state != SHOWN)
			continue;
		for (int at = 0; at < TILE_WIDTH * TILE_HEIGHT; at++) {
			if (answer->pixels[at] == TILE_COLOUR)
				continue;
			gdImageSetPixel(all, used % TILE_WIDTH, used / TILE_WIDTH,
				answer->pixels[at] & 0xffffff);
			used++;
		}
	}
	if (used < TILE_WIDTH)
		return NULL;
	return gdImageCrop(all, &(gdRect){0, 0, TILE_WIDTH, used / TILE_WIDTH});
}

/*
 * Runs in a forked copy of this process: it sees all that was there when the copy was made,
 * and what it takes, and does not give back, goes with it.
 */
static int find_colours(struct isolate_writer *out, void *unused)
{
	gdImagePtr all = collect_pixels();
	int result = 0;

	(void)unused;
	if (!all || !gdImageTrueColorToPalette(all, 0, COLOURS))
		return -ENODATA;
	for (int i = 0; i < gdImageColorsTotal(all) && result == 0; i++) {
		int colour = gdTrueColor(all->red[i], all->green[i], all->blue[i]);

		result = isolate_write(out, &colour, sizeof colour);
	}
	return result;
}

static void draw_colours(gdImagePtr sheet, int y)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = DEADLINE_MS};
	struct isolate_result result;
	const int *colours;

	if (isolate_call(find_colours, NULL, &options, &result) != ISOLATE_RETURNED)
		warnx("no colours: %s", pal_error_text(&result.error));
	colours = result.data;
	if (result.size)
		draw_text(sheet, gdFontGetSmall(), MARGIN, y,
			"The colours of all pictures together, found by an isolated call:", TEXT);
	for (int i = 0; i < (int)(result.size / sizeof *colours); i++) {
		int left = MARGIN + i * CELL_WIDTH, right = left + CELL_WIDTH - 12;

		gdImageFilledRectangle(sheet, left, y + 20, right, y + 36, colours[i]);
		gdImageRectangle(sheet, left, y + 20, right, y + 36, FRAME);
	}
	isolate_result_clear(&result);
}

static gdImagePtr draw_sheet(const char *footer)
{
	int width = MARGIN + COLUMNS * CELL_WIDTH;
	int bottom = MARGIN + (count + COLUMNS - 1) / COLUMNS * CELL_HEIGHT;
	gdImagePtr sheet = gdImageCreateTrueColor(width, bottom + 84);

	if (!sheet)
		errx(1, "no memory for the sheet");
	gdImageFilledRectangle(sheet, 0, 0, width, bottom + 84, BACKGROUND);
	for (int i = 0; i < count; i++)
		draw_picture(sheet, &pictures[i], MARGIN + i % COLUMNS * CELL_WIDTH,
			MARGIN + i / COLUMNS * CELL_HEIGHT);
	gdImageSetClip(sheet, 0, 0, width, bottom + 84);
	draw_text(sheet, gdFontGetSmall(), MARGIN, bottom, footer, TEXT);
	draw_colours(sheet, bottom + 24);
	return sheet;
}

/* Under another name first: until the new sheet is whole, an old one stays. */
static void write_file(const char *path, const void *data, size_t size)
{
	char *part;
	FILE *file;

	if (asprintf(&part, "%s.%d", path, (int)getpid()) < 0)
		err(1, "%s", path);
	file = fopen(part, "wxe");
	if (!file)
		err(1, "%s", part);
	if (fwrite(data, size, 1, file) != 1 || fclose(file) != 0 || rename(part, path) < 0) {
		warn("%s", path);
		unlink(part);
		exit(1);
	}
	free(part);
}

void make_sheet(
	const char *path, const struct picture *of_pictures, int of_count, const char *footer)
{
	gdImagePtr sheet;
	void *png;
	int size;

	pictures = of_pictures;
	count = of_count;
	sheet = draw_sheet(footer);
	png = gdImagePngPtr(sheet, &size);
	if (!png)
		errx(1, "no memory for the sheet");
	write_file(path, png, (size_t)size);
	gdFree(png);
	gdImageDestroy(sheet);
}
