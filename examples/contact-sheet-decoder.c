/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <mesh/message.h>
#include <pal/builder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The host: everything that touches a picture's bytes. Whatever a file does to
 * it, what comes out is one answer of a known shape, or none.
 */

/* ---- the two-stage sandbox: pal's profile for pure computation, and a bound on memory ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAX_MEMORY RLIM_INFINITY /* their shadow memory is terabytes of address space */
#else
#define MAX_MEMORY ((rlim_t)1 << 30)
#endif

static int apply(const struct pal_profile *profile, struct pal_builder *builder,
	struct pal_error *error)
{
	(void)profile;
	pal_builder_rlimit(builder, RLIMIT_AS, MAX_MEMORY, MAX_MEMORY);
	return pal_profile_pure_compute()->apply(pal_profile_pure_compute(), builder, error);
}

static int finalize(const struct pal_profile *profile, struct pal_error *error)
{
	(void)profile;
	return pal_profile_finalize(pal_profile_pure_compute(), error);
}

const struct pal_profile decoder_profile = {
	.size = sizeof decoder_profile,
	.name = "picture decoder",
	.apply = apply,
	.finalize = finalize,
};

/* ---- a decoder that has been taken over ---- */

/* Files that really do that are hard to come by: one with this and a command stands for them. */
#define EXPLOIT "procmesh-hostile: "

static void exploit(const char *command, struct mesh_port *answer_port, struct answer *answer)
{
	int reached = -1;

	errno = 0;
	if (!strcmp(command, "loop"))
		for (volatile unsigned turns = 0;; turns++)
			;
	else if (!strcmp(command, "abort"))
		abort();
	else if (!strcmp(command, "open"))
		reached = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	else if (!strcmp(command, "socket"))
		reached = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	else if (!strcmp(command, "exec"))
		reached = execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	else if (!strcmp(command, "lie")) { /* promises pixels that do not follow */
		answer->width = TILE_WIDTH;
		answer->height = TILE_HEIGHT;
		reached = mesh_port_send(answer_port, mesh_message_new(answer, ANSWER_SIZE(0, 0)));
	}
	snprintf(answer->refused, sizeof answer->refused, "it tried to %s: %s", command,
		reached < 0 ? strerror(errno) : "SUCCEEDED");
}

/* ---- decoding ---- */

/* NULL and why in `answer`. What size a header may claim, libgd and the bound on memory decide. */
static gdImagePtr decode(char *file, size_t size, struct answer *answer)
{
	static const struct {
		const char *magic;
		gdImagePtr (*decode)(int size, void *data);
	} formats[] = {{"\x89PNG\r\n\x1a\n", gdImageCreateFromPngPtr},
		{"\xff\xd8\xff", gdImageCreateFromJpegPtr}, {"GIF8", gdImageCreateFromGifPtr}};
	const char *why = "not a PNG, JPEG or GIF";
	gdImagePtr image = NULL;

	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (!strncmp(file, formats[i].magic, strlen(formats[i].magic))) {
			image = formats[i].decode((int)size, file);
			why = "damaged, or too large";
		}
	}
	if (!image)
		strcpy(answer->refused, why);
	return image;
}

/* As large as fits the tile, never larger than it was; transparent parts become grey. */
static void shrink(gdImagePtr image, struct answer *answer)
{
	int width = gdImageSX(image), height = gdImageSY(image), pixels = 0;
	double factor = fmin(1, fmin((double)TILE_WIDTH / width, (double)TILE_HEIGHT / height));
	int small_width = (int)fmax(1, width * factor);
	int small_height = (int)fmax(1, height * factor);
	gdImagePtr small = gdImageCreateTrueColor(small_width, small_height);

	if (!small)
		abort(); /* out of memory: the parent sees how a host ends */
	gdImageFilledRectangle(small, 0, 0, small_width - 1, small_height - 1, 0x808080);
	gdImageCopyResampled(small, image, 0, 0, 0, 0, small_width, small_height, width, height);
	for (int y = 0; y < small_height; y++)
		for (int x = 0; x < small_width; x++)
			answer->pixels[pixels++] =
				(uint32_t)gdImageTrueColorPixel(small, x, y) & 0xffffff;
	gdImageDestroy(small);
	answer->original_width = (uint32_t)width;
	answer->original_height = (uint32_t)height;
	answer->width = (uint32_t)small_width;
	answer->height = (uint32_t)small_height;
}

/* ---- requests ---- */

/* A request that makes no sense, of the trusted parent, ends the host; so does a lack of memory. */
static int serve(struct mesh_message *request)
{
	struct mesh_port *answer_port = mesh_message_take_port(request, REQUEST_ANSWER_PORT);
	int fd = mesh_message_take_fd(request, REQUEST_FILE);
	struct answer answer = {0};
	gdImagePtr image = NULL;
	char *file = calloc(1, MAX_FILE + 1); /* pages that are not written to cost nothing */
	size_t size = 0;
	ssize_t got;

	if (fd < 0 || !answer_port || !file)
		return -EBADMSG;
	while ((got = read(fd, file + size, MAX_FILE - size)) > 0)
		size += (size_t)got;
	close(fd);
	if (!strncmp(file, EXPLOIT, strlen(EXPLOIT)))
		exploit(file + strlen(EXPLOIT), answer_port, &answer);
	else
		image = decode(file, size, &answer);
	if (image) {
		shrink(image, &answer);
		gdImageDestroy(image);
	}
	free(file);
	return mesh_port_send_and_free(answer_port,
		mesh_message_new(&answer, ANSWER_SIZE(answer.width, answer.height)));
}

int decoder_host(struct mesh_port *port, void *userdata)
{
	struct mesh_message *request;
	struct pal_error error;
	int result;

	(void)userdata;
	if (pal_profile_finalize(&decoder_profile, &error) < 0) {
		fprintf(stderr, "contact-sheet: a host: %s\n", pal_error_text(&error));
		return 1;
	}
	/* Sealed. Neither it nor libgd has anything to say on the terminal: stdout is /dev/null. */
	dup2(STDOUT_FILENO, STDERR_FILENO);
	result = mesh_port_send(port, mesh_message_new(NULL, 0));
	while (result == 0 &&
		(result = mesh_port_recv(port, PAL_DEADLINE_NONE, &request, NULL)) == 0) {
		result = serve(request);
		mesh_message_free(request);
	}
	return result == -EPIPE ? 0 : 1; /* -EPIPE: the parent has no more pictures */
}
