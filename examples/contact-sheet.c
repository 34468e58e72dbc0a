/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <errno.h>
#include <getopt.h>
#include <mesh/message.h>
#include <mesh_process/mesh_process.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_HOSTS 64
#define MAX_ATTEMPTS 2 /* a lost host need not be its picture's fault: a second host gets it too */
#define CHAOS_INTERVAL 3 /* with chaos, the host of every third picture is killed at it */

static struct job {
	char *folder;
	struct picture *pictures;
	size_t count;
	unsigned hosts;
	int64_t deadline_ms; /* for one picture */
	bool chaos; /* kill hosts while they work */
	struct mesh_process *process;
	atomic_size_t taken, done; /* pictures */
	atomic_uint launched, killed; /* hosts; by chaos */
} job = {.hosts = 4, .deadline_ms = 5000};

/*
 * A thread of the parent, which takes the next picture off the list, asks its
 * host, and launches another one when this is lost. With the host goes one
 * answer and nothing else.
 */
struct slot {
	pthread_t thread;
	unsigned number; /* of the host, counted over all slots */
	struct mesh_process_host *host;
	struct mesh_port *port; /* NULL: there is none */
};

/* ---- hosts ---- */

static void launch_host(struct slot *slot)
{
	struct mesh_process_config *config;
	struct mesh_message *hello;
	struct pal_error error;
	char name[32];

	slot->number = ++job.launched;
	snprintf(name, sizeof name, "decoder-%u", slot->number);
	config = mesh_process_config_new(name);
	mesh_process_config_sandbox(config, &decoder_profile);
	if (mesh_process_launch(job.process, config, &slot->port, &slot->host, &error) < 0)
		fail("launching a host", pal_error_text(&error));
	mesh_process_config_free(config);
	/* It says hello when it is sealed; before that it gets no picture. */
	if (mesh_port_recv(slot->port, PAL_DEADLINE_MS(10000), &hello, &error) < 0)
		fail("sealing a host", pal_error_text(&error));
	mesh_message_free(hello);
}

/* It need not agree: there is nothing in it to be saved. */
static void drop_host(struct slot *slot)
{
	mesh_process_host_signal(slot->host, SIGKILL);
	mesh_process_host_free(slot->host);
	mesh_port_free(slot->port);
	slot->port = NULL;
}

/* Sends the file, which it consumes, and a port for the answer; waits for that. */
static int ask_host(struct slot *slot, int fd, bool chaos, struct mesh_message **ret)
{
	struct mesh_message *request = mesh_message_new(NULL, 0);
	struct mesh_port *answers, *answer_port;
	int result;

	if (mesh_port_pair(&answers, &answer_port) < 0 || mesh_message_put_fd(request, fd) < 0 ||
		mesh_message_put_port(request, answer_port) < 0 ||
		mesh_port_send(slot->port, request) < 0)
		fail("a request", strerror(ENOMEM));
	if (chaos) { /* wherever it is in its work by then */
		nanosleep(&(struct timespec){.tv_nsec = random() % 3000000}, NULL);
		mesh_process_host_signal(slot->host, SIGKILL);
		job.killed++;
	}
	result = mesh_port_recv(answers, PAL_DEADLINE_MS(job.deadline_ms), ret, NULL);
	mesh_port_free(answers);
	return result;
}

/* ---- one picture ---- */

/* What a host says is checked to the byte before it is used. 0 or -EBADMSG. */
static int take_answer(struct picture *picture, struct mesh_message *message)
{
	size_t size = mesh_message_size(message);
	const uint32_t *pixel;
	struct answer answer;

	if (size < ANSWER_SIZE(0, 0) || size > sizeof answer ||
		mesh_message_resource_count(message) > 0)
		return -EBADMSG;
	memcpy(&answer, mesh_message_data(message), size);
	if (answer.width > TILE_WIDTH || answer.height > TILE_HEIGHT ||
		size != ANSWER_SIZE(answer.width, answer.height) ||
		!answer.refused[0] != (answer.width > 0 && answer.height > 0))
		return -EBADMSG;
	if (answer.refused[0]) {
		set_label(picture, PICTURE_REFUSED, "refused: %.*s", (int)sizeof answer.refused,
			answer.refused);
		return 0;
	}
	picture->tile = gdImageCreateTrueColor((int)answer.width, (int)answer.height);
	if (!picture->tile)
		fail(picture->caption, strerror(ENOMEM));
	pixel = answer.pixels;
	for (int y = 0; y < (int)answer.height; y++) {
		for (int x = 0; x < (int)answer.width; x++, pixel++) {
			gdImageSetPixel(picture->tile, x, y, (int)(*pixel & 0xffffff));
			picture->checksum = (picture->checksum ^ *pixel) * 16777619u; /* as FNV does */
		}
	}
	set_label(picture, PICTURE_SHOWN, "%u x %u", answer.original_width, answer.original_height);
	return 0;
}

/* The label of a picture whose host gave no answer, or a bad one. */
static void label_failure(struct slot *slot, struct picture *picture, int why)
{
	struct pal_status status;
	char text[64];

	if (why == -ETIMEDOUT)
		set_label(picture, PICTURE_TIMED_OUT, "time-out: no answer in %lld ms",
			(long long)job.deadline_ms);
	else if (why == -EBADMSG)
		set_label(picture, PICTURE_HOST_LOST, "host %u sent a malformed answer",
			slot->number);
	else if (mesh_process_host_wait(slot->host, PAL_DEADLINE_MS(5000), &status) == 0)
		set_label(picture, PICTURE_HOST_LOST, "host %u %s: %s", slot->number,
			status.signaled ? "died" : "left",
			pal_status_text(&status, text, sizeof text));
	else /* it lives, but its link was cut */
		set_label(picture, PICTURE_HOST_LOST, "host %u broke the protocol", slot->number);
}

/* Gives the picture its label, and its tile if there is one; a host that failed is replaced. */
static void process_picture(struct slot *slot, struct picture *picture, bool chaos)
{
	do {
		struct mesh_message *answer;
		int result, fd = open_picture(job.folder, picture);

		if (fd < 0)
			return;
		if (!slot->port)
			launch_host(slot);
		/* Chaos gets the first host only: who loses a second one has himself to blame. */
		result = ask_host(slot, fd, chaos && picture->attempts == 0, &answer);
		picture->attempts++;
		if (result == 0) {
			result = take_answer(picture, answer);
			mesh_message_free(answer);
		}
		if (result < 0) {
			label_failure(slot, picture, result);
			drop_host(slot);
		}
	} while (picture->state == PICTURE_HOST_LOST && picture->attempts < MAX_ATTEMPTS);
}

/* One line that changes on a terminal, a line per picture elsewhere. */
static void show_progress(const struct picture *picture)
{
	fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[K%zu/%zu %.24s: %.40s" : "%zu/%zu %s: %s\n",
		++job.done, job.count, picture->caption, picture->label);
}

static void *run_slot(void *userdata)
{
	struct slot *slot = userdata;
	size_t index;

	while ((index = job.taken++) < job.count) {
		process_picture(slot, &job.pictures[index],
			job.chaos && index % CHAOS_INTERVAL == 0);
		show_progress(&job.pictures[index]);
	}
	if (slot->port)
		mesh_process_host_free(slot->host);
	mesh_port_free(slot->port); /* the host returns */
	return NULL;
}

static void decode_pictures(void)
{
	struct mesh_node_options options = {
		MESH_NODE_OPTIONS_INIT, .max_message = sizeof(struct answer) + 4096};
	struct slot slots[MAX_HOSTS] = {0};
	struct pal_error error;

	if (mesh_process_new("contact-sheet", &options, &job.process, &error) < 0)
		fail("starting", pal_error_text(&error));
	for (unsigned i = 0; i < job.hosts; i++)
		if (pthread_create(&slots[i].thread, NULL, run_slot, &slots[i]) != 0)
			fail("starting", "no thread can be had");
	for (unsigned i = 0; i < job.hosts; i++)
		pthread_join(slots[i].thread, NULL);
	mesh_process_shutdown(job.process, PAL_DEADLINE_MS(2000));
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

/* ---- the whole ---- */

/* The report, which is for programs, and the sheet. */
static void write_sheet(const char *path)
{
	unsigned states[PICTURE_HOST_LOST + 1] = {0}, retried = 0;
	FILE *file = fopen(path, "wbe");
	gdImagePtr sheet;
	char counts[256];

	for (size_t i = 0; i < job.count; i++) {
		const struct picture *picture = &job.pictures[i];

		printf("tile %s: %s", picture->caption, picture->label);
		printf(picture->tile ? " %08x\n" : "\n", picture->checksum);
		states[picture->state]++;
		retried += picture->attempts > 1;
	}
	snprintf(counts, sizeof counts,
		"%zu files: %u shown, %u refused, %u time-outs, %u lost their hosts, %u retried; "
		"%u hosts at a time, %u in all, %u killed by chaos",
		job.count, states[PICTURE_SHOWN], states[PICTURE_REFUSED],
		states[PICTURE_TIMED_OUT], states[PICTURE_HOST_LOST], retried, job.hosts,
		job.launched, job.killed);
	printf("%s\n", counts);
	make_printable(job.folder);
	sheet = draw_sheet(job.folder, job.pictures, job.count, counts);
	if (!sheet || !file)
		fail(path, sheet ? strerror(errno) : strerror(ENOMEM));
	gdImagePng(sheet, file);
	if (ferror(file) || fclose(file) != 0)
		fail(path, "cannot be written");
	gdImageDestroy(sheet);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"hosts", required_argument, NULL, 'n'},
		{"deadline", required_argument, NULL, 'd'}, {"chaos", no_argument, NULL, 'c'}, {0}};
	int option;

	/* In a host this does not return. */
	mesh_process_try_run_host("contact-sheet", decoder_host, NULL);

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			job.hosts = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'd')
			job.deadline_ms = strtol(optarg, NULL, 10);
		else if (option == 'c')
			job.chaos = true;
		else
			argc = 0;
	}
	if (argc - optind != 2 || job.hosts < 1 || job.hosts > MAX_HOSTS || job.deadline_ms < 1) {
		fputs("Usage: contact-sheet [--hosts N] [--deadline MS] [--chaos] FOLDER OUT.png\n",
			stderr);
		return 2;
	}
	job.folder = argv[optind];
	job.count = list_pictures(job.folder, &job.pictures);
	decode_pictures();
	write_sheet(argv[optind + 1]);
	for (size_t i = 0; i < job.count; i++)
		if (job.pictures[i].tile)
			gdImageDestroy(job.pictures[i].tile);
	free(job.pictures);
	return 0;
}
