/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_EXAMPLES_CONTACT_SHEET_H
#define PROCMESH_EXAMPLES_CONTACT_SHEET_H

/*
 * contact-sheet: a folder of picture files that nobody trusts becomes one
 * picture. Every file is decoded in a *host*, a process that can compute and
 * answer and nothing else; the parent never looks into a file. To see it work:
 *
 *   examples/make-hostile-pictures /tmp/pictures
 *   examples/contact-sheet --chaos /tmp/pictures /tmp/sheet.png
 *
 *   contact-sheet.c           parent: hosts, requests, deadlines, retries (read this first)
 *   contact-sheet-decoder.c   host: its sandbox; file in, small picture out
 *   contact-sheet-folder.c    parent: the folder and its files
 *   contact-sheet-draw.c      parent: the sheet; its colours, found in a forked copy of the parent
 */

#include <mesh/port.h>
#include <pal/profile.h>
#include <gd.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define TILE_WIDTH 160 /* a decoded picture fits into this, its shape kept */
#define TILE_HEIGHT 120
#define MAX_FILE ((size_t)64 << 20)

/*
 * A request is an empty message with two resources: the open file and the port
 * for the answer. This is the answer, of which only ANSWER_SIZE bytes are sent.
 */
enum { REQUEST_FILE, REQUEST_ANSWER_PORT };
struct answer {
	char refused[120]; /* why, or empty */
	uint32_t original_width, original_height;
	uint32_t width, height; /* 0 where it is refused */
	uint32_t pixels[TILE_WIDTH * TILE_HEIGHT]; /* 0xRRGGBB, width * height of them */
};
#define ANSWER_SIZE(width, height) \
	(offsetof(struct answer, pixels) + (size_t)(width) * (height) * sizeof(uint32_t))

/* What a host runs, and its two-stage sandbox. */
int decoder_host(struct mesh_port *port, void *userdata);
extern const struct pal_profile decoder_profile;

struct picture {
	char name[NAME_MAX + 1], caption[NAME_MAX + 1]; /* the same, fit to be printed */
	enum picture_state {
		PICTURE_SHOWN,
		PICTURE_REFUSED,
		PICTURE_TIMED_OUT,
		PICTURE_HOST_LOST
	} state;
	char label[160]; /* its size, or why it is not shown */
	unsigned attempts; /* hosts that got it */
	uint32_t checksum; /* of its pixels */
	gdImagePtr tile; /* NULL: not shown */
};

/* For what goes wrong in the parent itself: ends the program, and that ends every host. */
_Noreturn void fail(const char *what, const char *why);
/* In place. File names and hosts' texts are hostile, and go to terminals. */
void make_printable(char *text);
void set_label(struct picture *picture, enum picture_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* All files of a folder, at least one. Returns their number. */
size_t list_pictures(const char *folder, struct picture **ret);
/* Regular files only, and no link followed: the folder is hostile too. -1: it has its label. */
int open_picture(const char *folder, struct picture *picture);

/* At least one picture. NULL when memory runs out. */
gdImagePtr draw_sheet(const char *title, const struct picture *pictures, size_t count,
	const char *footer);

#endif
