/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <mesh_process/mesh_process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_PICTURES 1000
#define MAX_HOSTS 64
#define DEFAULT_DEADLINE_MS 5000

static const char usage[] =
	"Usage: contact-sheet [--hosts N] [--deadline MS] [--fresh] [--chaos] FOLDER OUT.png\n"
	"Turns a folder of pictures that nobody trusts into one picture. Each file is\n"
	"decoded in a sandboxed host; what is wrong with a file is written on its tile.\n"
	"\n"
	"  --hosts N      hosts at a time, 1..64 (default: one per processor, at least 2)\n"
	"  --deadline MS  for one picture (default: 5000)\n"
	"  --fresh        a new host for every picture, so that none can tamper with another's\n"
	"  --chaos        kill hosts while they work; the sheet must not show it\n";

static bool parse_number(const char *text, long min, long max, long *ret)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		return false;
	*ret = value;
	return true;
}

/* 0, or the exit status. */
static int parse_options(int argc, char **argv, struct work *work)
{
	static const struct option options[] = {
		{"hosts", required_argument, NULL, 'n'},
		{"deadline", required_argument, NULL, 'd'},
		{"fresh", no_argument, NULL, 'f'},
		{"chaos", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	long number, processors = sysconf(_SC_NPROCESSORS_ONLN);
	int option;

	work->deadline_ms = DEFAULT_DEADLINE_MS;
	work->hosts = processors < 2 ? 2 : processors > MAX_HOSTS ? MAX_HOSTS : (unsigned)processors;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n' && parse_number(optarg, 1, MAX_HOSTS, &number)) {
			work->hosts = (unsigned)number;
		} else if (option == 'd' && parse_number(optarg, 1, 3600 * 1000, &number)) {
			work->deadline_ms = number;
		} else if (option == 'f') {
			work->fresh = true;
		} else if (option == 'c') {
			work->chaos = true;
		} else if (option == 'h') {
			fputs(usage, stdout);
			exit(0);
		} else {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (argc - optind != 2) {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}

void make_printable(char *text)
{
	char *out = text;

	for (const unsigned char *in = (const unsigned char *)text; *in; in++)
		if ((*in & 0xc0) != 0x80) /* not the later bytes of a character */
			*out++ = *in >= ' ' && *in <= '~' ? (char)*in : '?';
	*out = '\0';
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The folder's entries, in the order of their names. */
static bool list_pictures(struct work *work)
{
	struct dirent **entries;
	int count = scandir(work->folder, &entries, is_visible, versionsort);

	if (count <= 0) {
		fprintf(stderr, "contact-sheet: %s: %s\n", work->folder,
			count < 0 ? strerror(errno) : "no files in it");
		return false;
	}
	work->pictures = calloc((size_t)count, sizeof *work->pictures);
	for (int i = 0; i < count; i++) {
		if (work->pictures && i < MAX_PICTURES) {
			struct picture *picture = &work->pictures[work->count++];

			snprintf(picture->name, sizeof picture->name, "%s", entries[i]->d_name);
			strcpy(picture->caption, picture->name);
			make_printable(picture->caption);
		}
		free(entries[i]);
	}
	free(entries);
	if (count > MAX_PICTURES)
		fprintf(stderr, "contact-sheet: only the first %d of %d files\n", MAX_PICTURES,
			count);
	return work->pictures;
}

/* "48 files: 40 shown, 3 refused, ..." */
static void count_pictures(const struct work *work, double seconds, char *text, size_t size)
{
	unsigned states[PICTURE_HOST_LOST + 1] = {0}, retried = 0;

	for (size_t i = 0; i < work->count; i++) {
		states[work->pictures[i].state]++;
		retried += work->pictures[i].attempts > 1;
	}
	snprintf(text, size,
		"%zu files: %u shown, %u refused, %u time-outs, %u lost their hosts, %u retried; "
		"%u hosts at a time, %u in all, %u killed by chaos; %.2f s",
		work->count, states[PICTURE_SHOWN], states[PICTURE_REFUSED],
		states[PICTURE_TIMED_OUT], states[PICTURE_HOST_LOST], retried, work->hosts,
		work->launched, work->killed, seconds);
}

/* For programs: one line per file, with a checksum of what is on its tile, and the counts. */
static void print_report(const struct work *work, const char *counts)
{
	for (size_t i = 0; i < work->count; i++) {
		const struct picture *picture = &work->pictures[i];
		uint32_t sum = 2166136261u; /* FNV-1a */

		for (size_t at = 0; at < (size_t)picture->width * picture->height * 3; at++)
			sum = (sum ^ picture->pixels[at]) * 16777619u;
		if (picture->state == PICTURE_SHOWN)
			printf("tile %s: ok %ux%u %08x\n", picture->caption,
				picture->original_width, picture->original_height, sum);
		else
			printf("tile %s: %s\n", picture->caption, picture->label);
	}
	printf("%s\n", counts);
}

static bool write_sheet(gdImagePtr sheet, const char *path)
{
	FILE *file = fopen(path, "wbe");
	bool written = false;

	if (file) {
		gdImagePng(sheet, file);
		written = !ferror(file);
		written = fclose(file) == 0 && written;
	}
	if (!written)
		fprintf(stderr, "contact-sheet: %s: %s\n", path, strerror(errno));
	return written;
}

static bool make_sheet(const struct work *work, double seconds, const char *path)
{
	gdImagePtr sheet;
	struct palette palette;
	struct pal_error error;
	char title[256], counts[256];
	bool written;
	int found;

	snprintf(title, sizeof title, "%s", work->folder);
	make_printable(title);
	sheet = sheet_draw(title, work->pictures, work->count);
	if (!sheet) {
		fprintf(stderr, "contact-sheet: the sheet does not fit into memory\n");
		return false;
	}
	found = sheet_find_palette(sheet, &palette, &error);
	if (found < 0)
		fprintf(stderr, "contact-sheet: no palette: %s\n", pal_error_text(&error));
	count_pictures(work, seconds, counts, sizeof counts);
	sheet_draw_footer(sheet, counts, found < 0 ? NULL : &palette);
	print_report(work, counts);
	written = write_sheet(sheet, path);
	gdImageDestroy(sheet);
	return written;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct work work = {0};
	double start;
	bool done;
	int result;

	/* In a host this does not return. */
	mesh_process_try_run_host("contact-sheet", decoder_host, NULL);

	result = parse_options(argc, argv, &work);
	if (result)
		return result;
	work.folder = argv[optind];
	start = now();
	done = list_pictures(&work) && work_run(&work) &&
		make_sheet(&work, now() - start, argv[optind + 1]);
	for (size_t i = 0; i < work.count; i++)
		free(work.pictures[i].pixels);
	free(work.pictures);
	return done ? 0 : 1;
}
