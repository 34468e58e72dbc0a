/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_EXAMPLES_SHEET_H
#define PROCMESH_EXAMPLES_SHEET_H

struct mesh_message;

enum state { REFUSED, SHOWN, TIMED_OUT, HOST_LOST };

struct picture {
	char *path, *name, label[128]; /* the file, its name in print, and how it went */
	enum state state;
	struct mesh_message *message; /* with a struct answer, where there is one */
};

/* Draws the pictures' tiles and what is below them, and writes that to `path`; or says why not, and exits. */
void make_sheet(const char *path, const struct picture *pictures, int count, const char *footer);

#endif
