/* SPDX-License-Identifier: MIT */
#include <complex.h>
#include <errno.h>
#include <gd.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostile-decoder.h"

/*
 * Fills a folder for contact-sheet: ordinary pictures, and what else the folder
 * of a stranger might hold.
 *
 *   make-hostile-pictures FOLDER [ORDINARY [HOSTILE]]
 *
 * ORDINARY is their number (12); HOSTILE 0 leaves the hostile ones out. Of these,
 * what is called bad-* cannot be decoded, exploit-* takes its decoder over, and the
 * others are no pictures, or dear, or only odd.
 */

static const char *folder;

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "make-hostile-pictures: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void __attribute__((noreturn)) fail_memory(void)
{
	errno = ENOMEM;
	fail("painting");
}

static void path_of(char path[PATH_MAX], const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		fail(name);
	}
}

static void write_file(const char *name, const void *data, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	path_of(path, name);
	file = fopen(path, "we");
	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
		fail(path);
}

/* ---- ordinary pictures ---- */

static int blend(int a, int b, double part)
{
	int red = (int)(gdTrueColorGetRed(a) * (1 - part) + gdTrueColorGetRed(b) * part);
	int green = (int)(gdTrueColorGetGreen(a) * (1 - part) + gdTrueColorGetGreen(b) * part);
	int blue = (int)(gdTrueColorGetBlue(a) * (1 - part) + gdTrueColorGetBlue(b) * part);

	return gdTrueColor(red, green, blue);
}

/* A colour from a ramp of four that goes with `number`; 0 <= at <= 1. */
static int ramp(unsigned number, double at)
{
	static const int ramps[][4] = {
		{0x0b1d3a, 0x2d6a8f, 0xf2c57c, 0xfff4d6},
		{0x1a0b2e, 0x8a2c6d, 0xf0725c, 0xffe0a3},
		{0x06231d, 0x1f7a5a, 0x9fd356, 0xf6ffd1},
		{0x1b1010, 0x93331f, 0xe9a23b, 0xfff0c9},
		{0x0a1020, 0x33508f, 0x8fb8de, 0xf3f8ff},
	};
	const int *colours = ramps[number % 5];
	double scaled = (at < 0 ? 0 : at > 1 ? 1 : at) * 3;
	int step = scaled >= 3 ? 2 : (int)scaled;

	return blend(colours[step], colours[step + 1], scaled - step);
}

static double julia(unsigned number, double x, double y)
{
	static const double complex constants[] = {-0.8 + 0.156 * I, 0.285 + 0.01 * I,
		-0.70176 - 0.3842 * I, -0.4 + 0.6 * I, 0.355 + 0.355 * I, -0.54 + 0.54 * I};
	double complex z = (x * 3 - 1.5) + (y * 2.4 - 1.2) * I, c = constants[number / 4 % 6];
	int turns = 0;

	while (turns < 90 && cabs(z) < 4) {
		z = z * z + c;
		turns++;
	}
	return turns == 90 ? 0.05 : sqrt(turns / 90.0);
}

static double hills(unsigned number, double x, double y)
{
	double light = 0.95 - y * 0.35;

	for (int ridge = 0; ridge < 5; ridge++) {
		double top = 0.38 + ridge * 0.12 +
			0.06 * sin(x * (5 + ridge * 2) + number + ridge * 1.7) +
			0.025 * sin(x * (17 + ridge * 5) + number * 2 + ridge);

		if (y > top)
			light = 0.72 - ridge * 0.16;
	}
	return hypot(x - 0.7, (y - 0.25) * 0.8) < 0.09 && y < 0.36 ? 1 : light;
}

static double waves(unsigned number, double x, double y)
{
	double value = sin(hypot(x - 0.3, y - 0.4) * (22 + number % 7)) +
		sin(hypot(x - 0.8, y - 0.7) * 19) + sin((x + y * 1.3) * 9 + number);

	return 0.5 + value / 6;
}

static double petals(unsigned number, double x, double y)
{
	double angle = atan2(y - 0.5, x - 0.5), radius = hypot(x - 0.5, y - 0.5) * 2;
	double edge = 0.55 + 0.3 * cos(angle * (5 + number / 4 % 5) + number);

	return radius < edge ? 1 - radius / edge * 0.6 : 0.3 - radius * 0.18;
}

static gdImagePtr paint(unsigned number)
{
	static double (*const motifs[])(unsigned number, double x, double y) = {
		hills, julia, waves, petals};
	static const int sizes[][2] = {{640, 480}, {400, 600}, {900, 360}, {512, 512}, {800, 600}};
	const int *size = sizes[number % 5];
	double (*motif)(unsigned, double, double) = motifs[number % 4];
	gdImagePtr image = gdImageCreateTrueColor(size[0], size[1]);

	if (!image)
		fail_memory();
	for (int y = 0; y < size[1]; y++) {
		for (int x = 0; x < size[0]; x++) {
			double at = motif(number, (double)x / size[0], (double)y / size[1]);

			gdImageSetPixel(image, x, y, ramp(number / 2 + number % 4, at));
		}
	}
	return image;
}

/* Consumes the image; what it returns is to be released by gdFree. */
static unsigned char *encode(gdImagePtr image, const char *extension, int *ret_size)
{
	unsigned char *bytes;

	if (!strcmp(extension, "png")) {
		bytes = gdImagePngPtr(image, ret_size);
	} else if (!strcmp(extension, "jpg")) {
		bytes = gdImageJpegPtr(image, ret_size, 90);
	} else {
		gdImageTrueColorToPalette(image, 1, 128);
		bytes = gdImageGifPtr(image, ret_size);
	}
	gdImageDestroy(image);
	if (!bytes)
		fail_memory();
	return bytes;
}

static void make_ordinary(unsigned number)
{
	static const char *const names[] = {"hills", "julia", "waves", "petals"};
	static const char *const extensions[] = {"jpg", "png", "gif"};
	const char *extension = extensions[number % 3];
	char name[64];
	int size;
	unsigned char *bytes = encode(paint(number), extension, &size);

	snprintf(name, sizeof name, "%s-%02u.%s", names[number % 4], number + 1, extension);
	write_file(name, bytes, (size_t)size);
	gdFree(bytes);
}

/* ---- hostile ones ---- */

static uint32_t crc32_of(const unsigned char *data, size_t size)
{
	uint32_t crc = 0xffffffff;

	while (size--) {
		crc ^= *data++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void put_big_endian(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* A PNG header with a right checksum that claims a size of 40 gigabytes, and no data. */
static void make_giant_png(void)
{
	unsigned char png[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

	put_big_endian(png + 16, 100000);
	put_big_endian(png + 20, 100000);
	png[24] = 8; /* bits */
	png[25] = 6; /* RGBA */
	put_big_endian(png + 29, crc32_of(png + 12, 17));
	write_file("bad-giant.png", png, sizeof png);
}

/* A PNG whose first chunk is not the header: where the size should be is text. */
static void make_headless_png(void)
{
	static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dtEXtaaaaaaaaaaaaa";

	write_file("bad-first-chunk.png", png, sizeof png - 1);
}

static void make_giant_gif(void)
{
	write_file("bad-giant.gif",
		"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x08",
		31);
}

/* 36 million pixels in a few kilobytes: allowed, and dear. */
static void make_bomb(void)
{
	gdImagePtr image = gdImageCreate(6000, 6000);
	unsigned char *bytes;
	int size;

	if (!image)
		fail_memory();
	gdImageColorAllocate(image, 90, 20, 20);
	bytes = encode(image, "png", &size);
	write_file("bomb.png", bytes, (size_t)size);
	gdFree(bytes);
}

/*
 * The first half of a good file, and the same with a block of it overwritten. A GIF
 * has no checksum: such a one is a picture like others, if not the one that was meant.
 */
static void make_damaged(void)
{
	static const char *const names[][2] = {
		{"bad-truncated.png", "bad-overwritten.png"},
		{"bad-truncated.jpg", "bad-overwritten.jpg"},
		{"bad-truncated.gif", "altered.gif"},
	};

	for (size_t i = 0; i < 3; i++) {
		int size;
		unsigned char *bytes =
			encode(paint((unsigned)i), strrchr(names[i][0], '.') + 1, &size);

		write_file(names[i][0], bytes, (size_t)size / 2);
		for (int at = size / 3; at < size / 3 + 200 && at < size; at++)
			bytes[at] = (unsigned char)(at * 73);
		write_file(names[i][1], bytes, (size_t)size);
		gdFree(bytes);
	}
}

static void make_non_files(void)
{
	char path[PATH_MAX];

	path_of(path, "fifo.png");
	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		fail(path);
	path_of(path, "link.png");
	if (symlink("/etc/passwd", path) < 0 && errno != EEXIST)
		fail(path);
	path_of(path, "folder.png");
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		fail(path);
	path_of(path, "large.jpg");
	write_file("large.jpg", "", 0);
	if (truncate(path, (off_t)200 << 20) < 0)
		fail(path);
}

static void make_exploits(void)
{
	static const char *const commands[] = {"open", "create", "socket", "exec", "fork", "signal",
		"trace", "memory", "loop", "abort", "segv", "exit", "lie", "flood", "garbage"};

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		char name[64], text[64];

		snprintf(name, sizeof name, "exploit-%s.png", commands[i]);
		snprintf(text, sizeof text, HOSTILE_MAGIC "%s", commands[i]);
		write_file(name, text, strlen(text));
	}
}

static void make_hostile(void)
{
	static const char garbage[] =
		"\xff\xd8\xff\xe0\0\x10JFIF, but the rest is a letter to the editor.";

	make_giant_png();
	make_headless_png();
	make_giant_gif();
	make_bomb();
	make_damaged();
	make_non_files();
	make_exploits();
	write_file("bad-garbage.jpg", garbage, sizeof garbage - 1);
	write_file("bad-text.png", "I am not a picture.\n", 20);
	write_file("empty.png", "", 0);
	write_file("name with \x1b[31mescape\x1b[0m\n and newline.png", "x", 1);
}

int main(int argc, char **argv)
{
	unsigned ordinary = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 12;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "Usage: make-hostile-pictures FOLDER [ORDINARY [HOSTILE]]\n");
		return 2;
	}
	folder = argv[1];
	if (mkdir(folder, 0777) < 0 && errno != EEXIST)
		fail(folder);
	for (unsigned i = 0; i < ordinary; i++)
		make_ordinary(i);
	if (argc < 4 || strcmp(argv[3], "0") != 0)
		make_hostile();
	return 0;
}
