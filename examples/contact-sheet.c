/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <gd.h>
#include <gdfontmb.h>
#include <gdfonts.h>
#include <getopt.h>
#include <isolate/isolate.h>
#include <math.h>
#include <mesh_process/mesh_process.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "hostile-decoder.h"

/*
 * A folder of picture files that nobody trusts becomes one picture. Every file is
 * decoded in a *host*, another process of this program that can compute and answer
 * and nothing else. The parent never looks into a file, and believes no host.
 */

#define TILE_WIDTH 160 /* a decoded picture fits into this, its shape kept */
#define TILE_HEIGHT 120
#define TILE_COLOUR 0x22252c
#define MAX_PIXELS 100000000 /* in a file */
#define MAX_MEMORY ((rlim_t)1 << 30) /* of a host */
#define MAX_FILES 2000
#define MAX_HOSTS 64
#define DEADLINE_S 10 /* for one picture */
#define DEADLINE PAL_DEADLINE_MS(DEADLINE_S * 1000)

enum state { REFUSED, SHOWN, TIMED_OUT, HOST_LOST };

/* What a host sends back for a file. */
struct answer {
	enum state state;
	char label[92]; /* the picture's size, or why there is none */
	int pixels[TILE_WIDTH * TILE_HEIGHT]; /* 0xRRGGBB */
};

#define LABEL(it, how, ...) \
	((it)->state = (how), snprintf((it)->label, sizeof(it)->label, __VA_ARGS__))

/* ---- in a host ---- */

static void shrink(gdImagePtr image, struct answer *answer)
{
	int width = gdImageSX(image), height = gdImageSY(image);
	double scale = fmin(1, fmin((double)TILE_WIDTH / width, (double)TILE_HEIGHT / height));
	int tile_width = (int)fmax(1, width * scale), tile_height = (int)fmax(1, height * scale);
	gdImagePtr tile = gdImageCreateTrueColor(TILE_WIDTH, TILE_HEIGHT);

	if (!tile)
		abort(); /* the parent sees how a host ends */
	gdImageFilledRectangle(tile, 0, 0, TILE_WIDTH, TILE_HEIGHT, TILE_COLOUR);
	gdImageCopyResampled(tile, image, (TILE_WIDTH - tile_width) / 2,
		(TILE_HEIGHT - tile_height) / 2, 0, 0, tile_width, tile_height, width, height);
	for (int i = 0; i < TILE_WIDTH * TILE_HEIGHT; i++)
		answer->pixels[i] = gdImageGetPixel(tile, i % TILE_WIDTH, i / TILE_WIDTH);
	LABEL(answer, SHOWN, "%d x %d", width, height);
	gdImageDestroy(tile);
	gdImageDestroy(image);
}

/* Only a PNG can claim more than 65535 x 65535 pixels; the others meet the bound on memory. */
static void decode(FILE *file, struct answer *answer)
{
	gdImagePtr (*decoder)(FILE *file) = NULL, image = NULL;
	unsigned char head[32] = {0};
	uint32_t size[2] = {0};

	(void)!fread(head, 1, sizeof head, file);
	rewind(file);
	if (memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) {
		decoder = gdImageCreateFromPng;
		memcpy(size, head + 16, sizeof size);
	} else if (memcmp(head, "GIF8", 4) == 0) {
		decoder = gdImageCreateFromGif;
	} else if (memcmp(head, "\xff\xd8\xff", 3) == 0) {
		decoder = gdImageCreateFromJpeg;
	}
	if (!decoder)
		LABEL(answer, REFUSED, "not a PNG, JPEG or GIF");
	else if ((uint64_t)be32toh(size[0]) * be32toh(size[1]) > MAX_PIXELS)
		LABEL(answer, REFUSED, "%u x %u pixels", be32toh(size[0]), be32toh(size[1]));
	else if ((image = decoder(file)))
		shrink(image, answer);
	else
		LABEL(answer, REFUSED, "damaged, or too large");
}

/* Answers one file after the other, until the parent has no more. */
static int host(struct mesh_port *port, void *userdata)
{
	struct mesh_message *request;
	struct pal_error error;

	(void)userdata;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need terabytes */
	if (setrlimit(RLIMIT_AS, &(struct rlimit){MAX_MEMORY, MAX_MEMORY}) < 0)
		err(1, "a host: a bound on memory");
#endif
	/* The sandbox's second stage: from here on no file, no socket, in no thread. */
	if (pal_profile_finalize(pal_profile_pure_compute(), &error) < 0)
		errx(1, "a host: %s", pal_error_text(&error));
	dup2(STDOUT_FILENO, STDERR_FILENO); /* /dev/null is good enough for what libgd may say */
	while (mesh_port_recv(port, PAL_DEADLINE_NONE, &request, NULL) == 0) {
		FILE *file = fdopen(mesh_message_take_fd(request, 0), "rb");
		struct mesh_message *message = mesh_message_new_sized(sizeof(struct answer));
		struct answer *answer = mesh_message_data(message);

		if (!file || !answer)
			return 1;
		if (!hostile_decoder(file, request, answer->label, sizeof answer->label))
			decode(file, answer);
		fclose(file);
		if (mesh_message_reply(request, message) < 0)
			return 1;
		mesh_message_free(request);
	}
	return 0;
}

/* ---- in the parent: hosts ---- */

struct picture {
	char *path, *name, label[128]; /* the file, and how it went */
	enum state state;
	struct mesh_message *message; /* with the answer, where there is one */
};

/* A thread of the parent has one, and in it a host most of the time. */
struct slot {
	int number; /* of the host, counted over all slots */
	struct mesh_process_host *host; /* NULL: there is none */
	struct mesh_port *port;
};

static struct mesh_process *process;
static struct mesh_process_config *config; /* of every host */
static struct picture pictures[MAX_FILES];
static int count, chaos; /* of the pictures; whether hosts are killed while they work */
static atomic_int taken, done, launched, killed; /* pictures, pictures, hosts, hosts by chaos */

static int launch_host(struct slot *slot, struct pal_error *error)
{
	slot->number = ++launched;
	return mesh_process_launch(process, config, &slot->port, &slot->host, error);
}

static void drop_host(struct slot *slot)
{
	mesh_process_host_signal(slot->host, SIGKILL); /* there is nothing in it to be saved */
	mesh_process_host_free(slot->host);
	mesh_port_free(slot->port);
	*slot = (struct slot){0};
}

/* Sends the open file, which it consumes, and waits for the answer, which it checks. */
static int ask_host(struct slot *slot, int fd, bool doomed, struct mesh_message **ret)
{
	struct mesh_message *request = mesh_message_new(NULL, 0);
	struct mesh_port *answers;
	int result = mesh_message_put_fd(request, fd);

	if (result < 0 || mesh_port_request(slot->port, request, &answers) < 0)
		errx(1, "out of memory");
	if (doomed) { /* wherever it is in its work by then */
		nanosleep(&(struct timespec){.tv_nsec = random() % 3000000}, NULL);
		mesh_process_host_signal(slot->host, SIGKILL);
		killed++;
	}
	result = mesh_port_recv(answers, DEADLINE, ret, NULL);
	mesh_port_free(answers);
	/* An answer of the right size is right: whatever the pixels are, they are pixels. */
	if (result < 0 || mesh_message_size(*ret) == sizeof(struct answer))
		return result;
	mesh_message_free(*ret);
	return -EBADMSG;
}

/* Why there is no answer. */
static void label_failure(struct slot *slot, struct picture *picture, int why)
{
	struct pal_status status;
	char text[64];

	if (why == -ETIMEDOUT)
		LABEL(picture, TIMED_OUT, "time-out: no answer in %d s", DEADLINE_S);
	else if (why != -EBADMSG && mesh_process_host_wait(slot->host, DEADLINE, &status) == 0)
		LABEL(picture, HOST_LOST, "host %d died: %s", slot->number,
			pal_status_text(&status, text, sizeof text));
	else
		LABEL(picture, HOST_LOST, "host %d cut off: %s", slot->number, strerror(-why));
}

/* ---- pictures ---- */

/* Regular files only, and no link followed: the folder is hostile too. */
static int open_picture(const char *path)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat info;

	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* One attempt, after which the picture has its label, and the slot no host that has failed. */
static void process_picture(struct slot *slot, struct picture *picture, bool doomed)
{
	int result, fd = open_picture(picture->path);
	struct mesh_message *message;
	const struct answer *answer;
	struct pal_error error;

	if (fd < 0) {
		LABEL(picture, REFUSED, "refused: no readable file");
	} else if (!slot->host && launch_host(slot, &error) < 0) {
		LABEL(picture, HOST_LOST, "no host: %s", pal_error_text(&error));
		close(fd);
	} else if ((result = ask_host(slot, fd, doomed, &message)) < 0) {
		label_failure(slot, picture, result);
		drop_host(slot);
	} else {
		picture->message = message;
		answer = mesh_message_data(message);
		LABEL(picture, answer->state == SHOWN ? SHOWN : REFUSED, "%s%.*s",
			answer->state == SHOWN ? "" : "refused: ", (int)sizeof answer->label,
			answer->label);
	}
}

/* File names and hosts' texts are hostile, and go to terminals. */
static char *make_printable(char *text)
{
	for (char *at = text; *at; at++)
		*at = *at < ' ' || *at > '~' ? '?' : *at;
	return text;
}

/* A thread: takes the next picture off the list, and so on. */
static void *run_slot(void *unused)
{
	struct slot slot = {0};
	int i;

	while ((i = taken++) < count) {
		struct picture *picture = &pictures[i];

		process_picture(&slot, picture, chaos && i % 3 == 0);
		if (picture->state == HOST_LOST) /* not its fault, perhaps: a second host gets it */
			process_picture(&slot, picture, false);
		picture->name = make_printable(basename(picture->path));
		make_printable(picture->label);
		/* one line that changes on a terminal, a line for each picture elsewhere */
		fprintf(stderr, isatty(2) ? "\r\033[K%d/%d %.24s: %.40s" : "%d/%d %s: %s\n", ++done,
			count, picture->name, picture->label);
	}
	drop_host(&slot);
	return unused;
}

/* ---- the sheet ---- */

#define COLUMNS 10
#define MARGIN 24
#define CELL_WIDTH (TILE_WIDTH + 28)
#define CELL_HEIGHT (TILE_HEIGHT + 62)
#define COLOURS 8

/* Runs in a forked copy of this process, where the sheet may be spoilt. */
static int find_colours(struct isolate_writer *out, void *userdata)
{
	gdImagePtr sheet = userdata;
	int result = gdImageTrueColorToPalette(sheet, 0, COLOURS) ? 0 : -ENOMEM;

	for (int i = 0; i < gdImageColorsTotal(sheet) && result == 0; i++) {
		int colour = gdTrueColor(sheet->red[i], sheet->green[i], sheet->blue[i]);

		result = isolate_write(out, &colour, sizeof colour);
	}
	return result;
}

static void draw_picture(gdImagePtr sheet, struct picture *picture, int x, int y)
{
	static const int colours[] = {0xe0a33a, 0x5d626e, 0x5b9be0, 0xe0564f}; /* by state */
	int right = x + CELL_WIDTH - 12, bottom = y + CELL_HEIGHT - 12;
	const struct answer *answer = mesh_message_data(picture->message);
	bool shown = picture->state == SHOWN;
	gdFontPtr font = shown ? gdFontGetSmall() : gdFontGetMediumBold();
	char *line, *rest = picture->label;

	gdImageSetClip(sheet, x, y, right, bottom);
	gdImageFilledRectangle(sheet, x, y, right, bottom, TILE_COLOUR);
	gdImageRectangle(sheet, x, y, right, bottom, colours[picture->state]);
	for (int i = 0; shown && i < TILE_WIDTH * TILE_HEIGHT; i++)
		gdImageSetPixel(sheet, x + 8 + i % TILE_WIDTH, y + 8 + i / TILE_WIDTH,
			answer->pixels[i] & 0xffffff);
	gdImageString(sheet, gdFontGetSmall(), x + 8, bottom - 34, (void *)picture->name, 0xc9ccd3);
	for (y = shown ? bottom - 19 : y + 16; (line = strsep(&rest, ":")); y += 16)
		gdImageString(sheet, font, x + 8, y, (void *)(line + strspn(line, " ")),
			colours[picture->state]);
}

static void draw_sheet(const char *path, char *footer)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = DEADLINE_S * 1000};
	int width = MARGIN + COLUMNS * CELL_WIDTH;
	int bottom = MARGIN + (count + COLUMNS - 1) / COLUMNS * CELL_HEIGHT;
	gdImagePtr sheet = gdImageCreateTrueColor(width, bottom + 64);
	struct isolate_result colours;

	if (!sheet)
		errx(1, "out of memory");
	gdImageFilledRectangle(sheet, 0, 0, width, bottom + 64, 0x16181d);
	for (int i = 0; i < count; i++)
		draw_picture(sheet, &pictures[i], MARGIN + i % COLUMNS * CELL_WIDTH,
			MARGIN + i / COLUMNS * CELL_HEIGHT);
	gdImageSetClip(sheet, 0, 0, width, bottom + 64);
	gdImageString(sheet, gdFontGetSmall(), MARGIN, bottom, (void *)footer, 0xc9ccd3);
	if (isolate_call(find_colours, sheet, &options, &colours) != ISOLATE_RETURNED)
		warnx("no colours: %s", pal_error_text(&colours.error));
	for (int i = 0; i < (int)(colours.size / sizeof(int)); i++)
		gdImageFilledRectangle(sheet, MARGIN + i * CELL_WIDTH, bottom + 24,
			MARGIN + (i + 1) * CELL_WIDTH - 1, bottom + 40, ((int *)colours.data)[i]);
	isolate_result_clear(&colours);
	if (!gdImageFile(sheet, path))
		errx(1, "%s: cannot be written", path);
	gdImageDestroy(sheet);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"hosts", required_argument, NULL, 'h'}, {"chaos", no_argument, &chaos, 1}, {0}};
	struct mesh_node_options limits = {
		MESH_NODE_OPTIONS_INIT, .max_message = sizeof(struct answer)};
	int option, found, slots = 4, shown = 0;
	char footer[128];
	pthread_t threads[MAX_HOSTS];
	struct pal_error error;
	struct dirent **files;

	/* In a host this does not return. */
	mesh_process_try_run_host("contact-sheet", host, NULL);

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		slots = option == 'h' ? atoi(optarg) : option == '?' ? 0 : slots;
	if (argc - optind != 2 || slots < 1 || slots > MAX_HOSTS)
		errx(2, "usage: contact-sheet [--hosts N] [--chaos] FOLDER OUT.png");
	found = scandir(argv[optind], &files, is_visible, versionsort);
	if (found < 1 || found > MAX_FILES)
		errx(1, "%s: no folder with 1 to %d files in it", argv[optind], MAX_FILES);
	for (; count < found; free(files[count++]))
		if (asprintf(&pictures[count].path, "%s/%s", argv[optind], files[count]->d_name) < 0)
			errx(1, "no memory");
	free(files);

	if (mesh_process_new("contact-sheet", &limits, &process, &error) < 0)
		errx(1, "%s", pal_error_text(&error));
	config = mesh_process_config_new("decoder");
	mesh_process_config_sandbox(config, pal_profile_pure_compute()); /* the first stage */
	for (int i = 0; i < slots; i++)
		if (pthread_create(&threads[i], NULL, run_slot, NULL) != 0)
			errx(1, "no thread can be had");
	for (int i = 0; i < slots; i++)
		pthread_join(threads[i], NULL);
	mesh_process_shutdown(process, PAL_DEADLINE_MS(2000));

	fputs(isatty(STDERR_FILENO) ? "\r\033[K" : "", stderr);
	for (int i = 0; i < count; i++) {
		printf("tile %s: %s\n", pictures[i].name, pictures[i].label);
		shown += pictures[i].state == SHOWN;
	}
	snprintf(footer, sizeof footer, "%d of %d files shown; %d hosts, %d killed by chaos",
		shown, count, launched, killed);
	puts(footer);
	draw_sheet(argv[optind + 1], footer);
	return 0;
}
