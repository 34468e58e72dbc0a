/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_EXAMPLES_PICTURE_DECODER_H
#define PROCMESH_EXAMPLES_PICTURE_DECODER_H

#include <stdio.h>

#define TILE_WIDTH 160 /* a decoded picture fits into this, its shape kept */
#define TILE_HEIGHT 120
#define TILE_COLOUR 0x22252c

/* What a host sends back for a file. */
struct answer {
	int shown; /* whether there are pixels */
	char label[92]; /* the picture's size, or why there is none */
	int pixels[TILE_WIDTH * TILE_HEIGHT]; /* 0xRRGGBB */
};

/* Decodes and shrinks what is in `file`, a PNG, JPEG or GIF that is whole. For hosts: libgd reads hostile bytes. */
void decode_picture(FILE *file, struct answer *answer);

#endif
