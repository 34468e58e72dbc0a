/* SPDX-License-Identifier: MIT */
#include "vectors.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mesh/message-priv.h>
#include <mesh/space-priv.h>

static struct vector *vectors;
static size_t count;

static void parse_hex(char *text, struct vector *vector)
{
	char *end;

	for (unsigned long byte = strtoul(text, &end, 16); end != text;
	        byte = strtoul(text, &end, 16)) {
		ck_assert_uint_lt(vector->size, sizeof vector->bytes);
		vector->bytes[vector->size++] = (uint8_t)byte;
		text = end;
	}
}

/* ["port", "fd"] */
static void parse_resources(const char *text, struct vector *vector)
{
	size_t resources = 0;

	while ((text = strchr(text, '"'))) {
		ck_assert_uint_lt(resources, VECTOR_MAX_RESOURCES);
		ck_assert(!strncmp(text, "\"port\"", 6) || !strncmp(text, "\"fd\"", 4));
		vector->resources[resources++] = text[1];
		text = strchr(text + 1, '"') + 1;
	}
}

static void parse_title(char *line, size_t *ret_size)
{
	char *length = strstr(line, ": len="), *judgement = strstr(line, ": ok");
	struct vector *vector;

	if (!judgement)
		judgement = strstr(line, ": decoding failed");
	ck_assert_msg(length || judgement, "not understood: %s", line);
	vectors = realloc(vectors, (count + 1) * sizeof *vectors);
	vector = &vectors[count++];
	*vector = (struct vector){
	        .judged = !length, .accepted = judgement && !strncmp(judgement, ": ok", 4)};
	*(length ? length : judgement) = 0;
	ck_assert_uint_lt(strlen(line), sizeof vector->name);
	strcpy(vector->name, line);
	*ret_size = 0;
	if (length) {
		char *resources;

		*ret_size = strtoul(length + 6, &resources, 10);
		parse_resources(resources, vector);
	}
}

static void load(void)
{
	FILE *file = fopen(VECTORS_FILE, "re");
	char *line = NULL;
	size_t room = 0, announced = 0;

	ck_assert_msg(file, "cannot open %s", VECTORS_FILE);
	while (getline(&line, &room, file) >= 0) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "###", 3) || !line[strspn(line, " ")])
			continue;
		if (line[0] != ' ') {
			ck_assert(!count || vectors[count - 1].size == announced);
			parse_title(line, &announced);
		} else if (!strncmp(line, "    b64 ", 8)) {
			ck_assert_uint_lt(strlen(line + 8), sizeof vectors->base64);
			strcpy(vectors[count - 1].base64, line + 8);
		} else {
			parse_hex(line, &vectors[count - 1]);
		}
	}
	ck_assert(count && vectors[count - 1].size == announced);
	free(line);
	fclose(file);
}

size_t vector_count(void)
{
	if (!vectors)
		load();
	return count;
}

const struct vector *vector_at(size_t index)
{
	ck_assert_uint_lt(index, vector_count());
	return &vectors[index];
}

const struct vector *vector_find(const char *name)
{
	for (size_t i = 0; i < vector_count(); i++)
		if (!strcmp(vectors[i].name, name))
			return &vectors[i];
	ck_abort_msg("there is no vector \"%s\"", name);
	return NULL;
}

int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

struct mesh_port *some_port(void)
{
	struct mesh_port *port, *other;

	ck_assert_int_eq(mesh__port_pair(NULL, &port, &other), 0);
	mesh__port_release(other, false);
	return port;
}

struct mesh_message *message_of(const void *bytes, size_t size, const char *resources)
{
	struct mesh_message *message = mesh_message_new(bytes, size);

	ck_assert_ptr_nonnull(message);
	for (; *resources; resources++) {
		int r = *resources == 'p' ? mesh_message_put_port(message, some_port())
		                          : mesh_message_put_fd(message, some_fd());
		ck_assert_int_eq(r, 0);
	}
	return message;
}

struct mesh_message *vector_message(const struct vector *vector)
{
	ck_assert(!vector->judged);
	return message_of(vector->bytes, vector->size, vector->resources);
}

void check_is_vector(struct mesh_message *message, const struct vector *vector)
{
	const uint8_t *bytes = mesh_message_data(message);

	for (size_t i = 0; i < mesh_message_size(message) && i < vector->size; i++)
		ck_assert_msg(bytes[i] == vector->bytes[i], "%s: byte %zu is %02x, not %02x",
		        vector->name, i, bytes[i], vector->bytes[i]);
	ck_assert_uint_eq(mesh_message_size(message), vector->size);
	ck_assert_uint_eq(mesh_message_resource_count(message), strlen(vector->resources));
	for (size_t i = 0; vector->resources[i]; i++)
		ck_assert_int_eq(message->resources[i].kind,
		        vector->resources[i] == 'p' ? MESH__RESOURCE_PORT : MESH__RESOURCE_FD);
}
