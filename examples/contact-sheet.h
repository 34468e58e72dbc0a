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
 *   contact-sheet.c           options, the folder, the sheet's way to disk
 *   contact-sheet-work.c      parent: hosts, requests, deadlines, retries
 *   contact-sheet-decoder.c   host: file in, small picture out
 *   contact-sheet-exploit.c   host: plays a decoder that has been taken over
 *   contact-sheet-draw.c      parent: the sheet
 *   contact-sheet-colours.c   its dominant colours, found in a forked copy of the parent
 */

#include <mesh/port.h>
#include <pal/error.h>
#include <pal/profile.h>
#include <gd.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decoded picture fits into this, its shape kept. */
#define TILE_WIDTH 160
#define TILE_HEIGHT 120

/* ---- between parent and host ---- */

/*
 * Host to parent, once, on its first port: it is sealed (an empty message), or
 * why not (text). Then, parent to host, per picture: a request with two
 * resources, the open file and the port for the answer. On that port one answer.
 */
struct decoder_request {
	uint64_t file_size; /* at most DECODER_MAX_FILE */
};
enum {
	REQUEST_FILE,
	REQUEST_ANSWER_PORT
};

struct decoder_answer {
	uint32_t refused; /* 1: text follows, without a terminator; 0: width * height RGB triples */
	uint32_t width, height; /* of what follows, 1..TILE_WIDTH and 1..TILE_HEIGHT */
	uint32_t original_width, original_height;
};
#define DECODER_MAX_FILE ((uint64_t)64 << 20)
#define DECODER_MAX_PIXELS ((uint64_t)40000000)
#define DECODER_MAX_TEXT 120

/* What a host runs, and its two-stage sandbox. */
int decoder_host(struct mesh_port *port, void *userdata);
extern const struct pal_profile decoder_profile;

/* Does what a file that begins with this line asks for; see contact-sheet-exploit.c. */
#define EXPLOIT_MAGIC "procmesh-hostile: "
void exploit_run(const char *line, struct mesh_port *answer_port, char text[DECODER_MAX_TEXT]);

/* ---- in the parent ---- */

enum picture_state {
	PICTURE_WAITING,
	PICTURE_SHOWN,
	PICTURE_REFUSED,
	PICTURE_TIMED_OUT,
	PICTURE_HOST_LOST
};

struct picture {
	char name[NAME_MAX + 1]; /* in the folder */
	char caption[NAME_MAX + 1]; /* the same, fit to be printed and drawn */
	enum picture_state state;
	char label[DECODER_MAX_TEXT + 40]; /* why it is not shown */
	unsigned attempts; /* hosts that got it */
	unsigned width, height, original_width, original_height;
	unsigned char *pixels; /* RGB, width * height */
};

/* How the work is to be done, and what came of it. */
struct work {
	const char *folder;
	struct picture *pictures;
	size_t count;
	unsigned hosts;
	int64_t deadline_ms; /* per picture */
	bool fresh; /* a new host for every picture */
	bool chaos; /* kill hosts while they work */
	unsigned launched, killed; /* results: hosts started; of them killed by chaos */
};

/* Decodes every picture. False when hosts cannot be had; that has been printed. */
bool work_run(struct work *work);

/*
 * In place: what is not printable ASCII becomes '?', one per character of UTF-8.
 * File names and hosts' answers are hostile; they go to terminals.
 */
void make_printable(char *text);

#define PALETTE_SIZE 5
struct palette {
	struct palette_entry {
		int colour; /* 0xRRGGBB */
		unsigned permil; /* of the sheet without its ground; 0: none left */
	} entries[PALETTE_SIZE];
};

/* At least one picture; the footer stays empty. NULL when memory runs out. */
gdImagePtr sheet_draw(const char *title, const struct picture *pictures, size_t count);
/* `palette` NULL: without colours. */
void sheet_draw_footer(gdImagePtr sheet, const char *counts, const struct palette *palette);
/* Whether the sheet itself, not a picture, put this colour there. */
bool sheet_is_ground(int colour);

int sheet_find_palette(gdImagePtr sheet, struct palette *ret, struct pal_error *error);

#endif
