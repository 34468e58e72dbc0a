/* SPDX-License-Identifier: MIT */
#include <gd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * sheet-tiles SHEET.png COUNT: a line for each tile, in their order, with a checksum of
 * its pixels and the colour of its centre. The numbers are those of contact-sheet's layout.
 */
int main(int argc, char **argv)
{
	FILE *file = argc == 3 ? fopen(argv[1], "rbe") : NULL;
	gdImagePtr sheet = file ? gdImageCreateFromPng(file) : NULL;
	int count = argc == 3 ? atoi(argv[2]) : 0;

	if (!sheet) {
		fputs("sheet-tiles: no picture\n", stderr);
		return 1;
	}
	for (int i = 0; i < count; i++) {
		int left = 24 + i % 10 * 188 + 8, top = 24 + i / 10 * 182 + 8;
		uint32_t sum = 0;

		if (left + 160 > gdImageSX(sheet) || top + 120 > gdImageSY(sheet)) {
			fputs("sheet-tiles: the sheet has not so many\n", stderr);
			return 1;
		}
		for (int y = top; y < top + 120; y++)
			for (int x = left; x < left + 160; x++)
				sum = (sum ^ (uint32_t)gdImageGetTrueColorPixel(sheet, x, y)) * 16777619u;
		printf("%08x %06x\n", sum,
			(unsigned)gdImageGetTrueColorPixel(sheet, left + 80, top + 60));
	}
	gdImageDestroy(sheet);
	return fclose(file) != 0;
}
