/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_EXAMPLES_HOSTILE_DECODER_H
#define PROCMESH_EXAMPLES_HOSTILE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct mesh_message;

/*
 * A stand-in for a decoder that its picture has taken over. Files that really take
 * one over are hard to come by, so contact-sheet knows a format of its own, made by
 * make-hostile-pictures: HOSTILE_MAGIC and a command, which makes the host do what
 * an attacker who controls it would do next.
 *
 * False, and nothing has happened: the file is another one. Else returns, if at
 * all, with what came of it in `text`.
 */
#define HOSTILE_MAGIC "procmesh-hostile: "
bool hostile_decoder(FILE *file, struct mesh_message *request, char *text, size_t size);

#endif
