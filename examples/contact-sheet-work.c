/* SPDX-License-Identifier: MIT */
#include "contact-sheet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mesh/message.h>
#include <mesh_process/mesh_process.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * The parent's side of decoding: one thread per host slot, which takes the next
 * picture off the list, asks its host, and puts another host into the slot when
 * this one is lost. A host that fails takes with it one answer and nothing else.
 *
 * What this leaves open: a host that was taken over, and has the patience to
 * answer on, could lie about the pictures that it gets after. Where that matters
 * each picture gets a host of its own (--fresh), at the price of a launch.
 */

#define MAX_ANSWER ((size_t)1 << 20) /* the largest message the parent takes from a host */
#define MAX_ATTEMPTS 2 /* a lost host need not be its picture's fault: a second host gets it too */
#define MAX_LAUNCHES 3 /* tries to put a host into a slot */
#define MAX_DYING_MS 5000 /* for a host whose link has gone to be seen ending */
#define CHAOS_INTERVAL 3 /* with chaos, the host of every third picture is killed at it */

struct job {
	struct work *work;
	struct mesh_process *process;
	pthread_mutex_t lock; /* for what follows, and for work's results */
	size_t taken, done;
	bool failed; /* hosts cannot be had: `error` says why */
	struct pal_error error;
};

struct slot {
	struct job *job;
	pthread_t thread;
	unsigned number; /* of the host in it, counted over all slots */
	struct mesh_process_host *host;
	struct mesh_port *port; /* NULL: the slot is empty */
};

/* ---- hosts ---- */

/* Waits until the host says that it is sealed: before that it gets no picture. */
static int await_seal(struct mesh_port *port, struct pal_error *error)
{
	struct mesh_message *message;
	pal_deadline deadline = PAL_DEADLINE_MS(MESH_PROCESS_DEFAULT_JOIN_MS);
	int result = mesh_port_recv(port, deadline, &message, error);

	if (result < 0)
		return result;
	if (mesh_message_size(message) > 0) {
		*error = (struct pal_error){.code = -EPERM, .stage = PAL_STAGE_PROFILE};
		snprintf(error->text, sizeof error->text, "sealing: %.*s",
			(int)mesh_message_size(message), (const char *)mesh_message_data(message));
		result = error->code;
	}
	mesh_message_free(message);
	return result;
}

/* The host need not agree: there is nothing in it to be saved. */
static void empty_slot(struct slot *slot)
{
	mesh_process_host_signal(slot->host, SIGKILL);
	mesh_process_host_free(slot->host);
	mesh_port_free(slot->port);
	slot->host = NULL;
	slot->port = NULL;
}

static int launch_host(struct slot *slot, struct pal_error *error)
{
	struct mesh_process_config *config;
	char name[32];
	int result;

	pthread_mutex_lock(&slot->job->lock);
	slot->number = ++slot->job->work->launched;
	pthread_mutex_unlock(&slot->job->lock);

	snprintf(name, sizeof name, "decoder-%u", slot->number);
	config = mesh_process_config_new(name);
	mesh_process_config_sandbox(config, &decoder_profile);
	result = mesh_process_launch(slot->job->process, config, &slot->port, &slot->host, error);
	mesh_process_config_free(config);
	if (result < 0)
		return result;
	result = await_seal(slot->port, error);
	if (result < 0)
		empty_slot(slot);
	return result;
}

/* A machine out of breath may miss a deadline of launching; that should not cost the sheet. */
static int fill_slot(struct slot *slot, struct pal_error *error)
{
	int result, tries = 0;

	do
		result = launch_host(slot, error);
	while (result < 0 && ++tries < MAX_LAUNCHES);
	return result;
}

/* ---- one picture ---- */

static void __attribute__((format(printf, 3, 4)))
set_label(struct picture *picture, enum picture_state state, const char *format, ...)
{
	va_list args;

	picture->state = state;
	va_start(args, format);
	vsnprintf(picture->label, sizeof picture->label, format, args);
	va_end(args);
	make_printable(picture->label);
}

/* Regular files only, and no link followed: the folder is hostile too. -1: labelled. */
static int open_picture(const struct work *work, struct picture *picture, uint64_t *ret_size)
{
	char path[PATH_MAX];
	struct stat info;
	int fd;

	if (snprintf(path, sizeof path, "%s/%s", work->folder, picture->name) >= (int)sizeof path) {
		set_label(picture, PICTURE_REFUSED, "refused: %s", strerror(ENAMETOOLONG));
		return -1;
	}
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		set_label(picture, PICTURE_REFUSED, "refused: %s",
			errno == ELOOP ? "a symbolic link" : strerror(errno));
	else if (fstat(fd, &info) < 0)
		set_label(picture, PICTURE_REFUSED, "refused: %s", strerror(errno));
	else if (!S_ISREG(info.st_mode))
		set_label(picture, PICTURE_REFUSED, "refused: %s",
			S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
	else if ((uint64_t)info.st_size > DECODER_MAX_FILE)
		set_label(picture, PICTURE_REFUSED, "refused: %lld MB is too large",
			(long long)info.st_size >> 20);
	else {
		*ret_size = (uint64_t)info.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Consumes `fd` and `answer_port`. */
static int send_request(struct mesh_port *to, uint64_t size, int fd, struct mesh_port *answer_port)
{
	struct decoder_request request = {.file_size = size};
	struct mesh_message *message = mesh_message_new(&request, sizeof request);
	int file_result = mesh_message_put_fd(message, fd);
	int port_result = mesh_message_put_port(message, answer_port);

	if (file_result < 0 || port_result < 0) {
		mesh_message_free(message);
		return file_result < 0 ? file_result : port_result;
	}
	return mesh_port_send(to, message);
}

/* What a host says is checked to the byte before it is used. 0, -EBADMSG, -ENOMEM. */
static int take_answer(struct picture *picture, struct mesh_message *message)
{
	const unsigned char *data = mesh_message_data(message);
	size_t size = mesh_message_size(message);
	struct decoder_answer head;

	if (size < sizeof head || mesh_message_resource_count(message) > 0)
		return -EBADMSG;
	memcpy(&head, data, sizeof head);
	data += sizeof head;
	size -= sizeof head;
	if (head.refused) {
		if (size > DECODER_MAX_TEXT)
			return -EBADMSG;
		set_label(picture, PICTURE_REFUSED, "refused: %.*s", (int)size, (const char *)data);
		return 0;
	}
	if (head.width < 1 || head.width > TILE_WIDTH || head.height < 1 ||
		head.height > TILE_HEIGHT || size != (size_t)head.width * head.height * 3)
		return -EBADMSG;
	picture->pixels = malloc(size);
	if (!picture->pixels)
		return -ENOMEM;
	memcpy(picture->pixels, data, size);
	picture->width = head.width;
	picture->height = head.height;
	picture->original_width = head.original_width;
	picture->original_height = head.original_height;
	picture->state = PICTURE_SHOWN;
	return 0;
}

/* A host that gave no answer: how did it end? */
static void label_lost_host(struct slot *slot, struct picture *picture)
{
	struct pal_status status;
	char text[64];
	int result = mesh_process_host_wait(slot->host, PAL_DEADLINE_MS(MAX_DYING_MS), &status);

	if (result == -ETIMEDOUT) /* it lives, but its link was cut */
		set_label(picture, PICTURE_HOST_LOST, "host %u broke the protocol", slot->number);
	else if (result < 0)
		set_label(picture, PICTURE_HOST_LOST, "host %u ended: %s", slot->number,
			strerror(-result));
	else
		set_label(picture, PICTURE_HOST_LOST, "host %u %s: %s%s", slot->number,
			status.signaled ? "died" : "left",
			pal_status_text(&status, text, sizeof text),
			status.signaled && status.code == SIGSYS ? ", for a forbidden call" : "");
}

/* No answer came, or a bad one: says why and gives the host up. */
static void lose_host(struct slot *slot, struct picture *picture, int why)
{
	if (why == -ETIMEDOUT)
		set_label(picture, PICTURE_TIMED_OUT, "time-out: no answer in %lld ms",
			(long long)slot->job->work->deadline_ms);
	else if (why == -EBADMSG)
		set_label(picture, PICTURE_HOST_LOST, "host %u sent a malformed answer",
			slot->number);
	else
		label_lost_host(slot, picture);
	empty_slot(slot);
}

/* Kills the host within three milliseconds, wherever it is in its work by then. */
static void wreak_chaos(struct slot *slot)
{
	nanosleep(&(struct timespec){.tv_nsec = random() % 3000000}, NULL);
	mesh_process_host_signal(slot->host, SIGKILL);
	pthread_mutex_lock(&slot->job->lock);
	slot->job->work->killed++;
	pthread_mutex_unlock(&slot->job->lock);
}

/* One attempt. Leaves the picture in another state than waiting; an error is the parent's own. */
static int ask_host(struct slot *slot, struct picture *picture, bool chaos)
{
	struct mesh_port *answers, *answer_port;
	struct mesh_message *answer;
	uint64_t size;
	int fd, result;

	fd = open_picture(slot->job->work, picture, &size);
	if (fd < 0)
		return 0;
	result = mesh_port_pair(&answers, &answer_port);
	if (result < 0) {
		close(fd);
		return result;
	}
	result = send_request(slot->port, size, fd, answer_port);
	if (result < 0) {
		mesh_port_free(answers);
		return result;
	}
	picture->attempts++;
	if (chaos)
		wreak_chaos(slot);
	result = mesh_port_recv(answers, PAL_DEADLINE_MS(slot->job->work->deadline_ms), &answer,
		NULL);
	mesh_port_free(answers);
	if (result == 0) {
		result = take_answer(picture, answer);
		mesh_message_free(answer);
	}
	if (result == -ENOMEM)
		return result;
	if (result < 0)
		lose_host(slot, picture, result);
	else if (chaos || slot->job->work->fresh)
		empty_slot(slot); /* with chaos: it answered faster than it was killed */
	return 0;
}

static int process_picture(struct slot *slot, struct picture *picture, bool chaos,
	struct pal_error *error)
{
	do {
		int result = slot->port ? 0 : fill_slot(slot, error);

		if (result < 0)
			return result;
		/* Chaos gets the first host only: who loses a second one has himself to blame. */
		result = ask_host(slot, picture, chaos && picture->attempts == 0);
		if (result < 0)
			return pal_error_set(error, PAL_STAGE_NONE, result, "asking host %u",
				slot->number);
	} while (picture->state == PICTURE_HOST_LOST && picture->attempts < MAX_ATTEMPTS);
	return 0;
}

/* ---- the threads ---- */

#define CLEAR_LINE "\r\033[K"

/* One line that changes on a terminal, a line per picture elsewhere. */
static void show_progress(const struct job *job, const struct picture *picture)
{
	const char *how = picture->state == PICTURE_SHOWN ? "ok" : picture->label;
	size_t all = job->work->count;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, CLEAR_LINE "%zu/%zu %.24s: %.40s", job->done, all, picture->caption, how);
	else
		fprintf(stderr, "%zu/%zu %s: %s\n", job->done, all, picture->caption, how);
}

static void *run_slot(void *userdata)
{
	struct slot *slot = userdata;
	struct job *job = slot->job;

	pthread_mutex_lock(&job->lock);
	while (!job->failed && job->taken < job->work->count) {
		struct pal_error error;
		size_t index = job->taken++;
		struct picture *picture = &job->work->pictures[index];
		int result;

		pthread_mutex_unlock(&job->lock);
		result = process_picture(slot, picture,
			job->work->chaos && index % CHAOS_INTERVAL == 0, &error);
		pthread_mutex_lock(&job->lock);
		if (result < 0 && !job->failed) {
			job->failed = true;
			job->error = error;
		} else if (result == 0) {
			job->done++;
			show_progress(job, picture);
		}
	}
	pthread_mutex_unlock(&job->lock);
	mesh_port_free(slot->port); /* the host returns */
	mesh_process_host_free(slot->host);
	return NULL;
}

bool work_run(struct work *work)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_message = MAX_ANSWER};
	struct job job = {.work = work, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct slot *slots = calloc(work->hosts, sizeof *slots);
	unsigned running = 0;
	int result;

	if (!slots)
		result = pal_error_set(&job.error, PAL_STAGE_MEMORY, -ENOMEM, "host slots");
	else
		result = mesh_process_new("contact-sheet", &options, &job.process, &job.error);
	job.failed = result < 0;
	while (result == 0 && running < work->hosts) {
		slots[running].job = &job;
		if (pthread_create(&slots[running].thread, NULL, run_slot, &slots[running]) != 0)
			break;
		running++;
	}
	for (unsigned i = 0; i < running; i++)
		pthread_join(slots[i].thread, NULL);
	mesh_process_shutdown(job.process, PAL_DEADLINE_MS(2000));
	free(slots);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, CLEAR_LINE);
	if (job.failed)
		fprintf(stderr, "contact-sheet: %s\n", pal_error_text(&job.error));
	else if (!running)
		fprintf(stderr, "contact-sheet: no thread can be had\n");
	return !job.failed && running;
}
