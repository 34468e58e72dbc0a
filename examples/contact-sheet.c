/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <mesh_process/mesh_process.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "hostile-decoder.h"
#include "picture-decoder.h"
#include "sheet.h"

/*
 * A folder of picture files that nobody trusts becomes one picture. Every file is
 * decoded in a *host*, another process of this program that can compute and answer
 * and nothing else. The parent never looks into a file, and believes no host.
 */

#define MAX_MEMORY ((rlim_t)1 << 30) /* of a host */
#define MAX_FILES 2000
#define MAX_HOSTS 64
#define DEADLINE_S 10 /* for one picture */
#define DEADLINE PAL_DEADLINE_MS(DEADLINE_S * 1000)

/* ---- in a host ---- */

/* Answers one file after the other, until the parent closes the port, or a deadline has it killed. */
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
		/* Files that play a decoder that was taken over. A real program has the else branch only. */
		if (hostile_decoder(file, request, answer->label, sizeof answer->label))
			answer->shown = 0;
		else
			decode_picture(file, answer);
		fclose(file);
		if (mesh_message_reply(request, message) < 0)
			return 1;
		mesh_message_free(request);
	}
	return 0;
}

/* ---- in the parent: hosts ---- */

#define LABEL(picture, how, ...)                                                                   \
	((picture)->state = (how), snprintf((picture)->label, sizeof(picture)->label, __VA_ARGS__))

/* A thread of the parent has one, and in it a host most of the time. */
struct slot {
	int number;                     /* of the host, counted over all slots */
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
	int result = mesh_process_launch(process, config, &slot->port, &slot->host, error);

	if (result == 0)
		slot->number = ++launched;
	return result;
}

/* In order, if it listens: its port closes, its function returns. Shutdown sees to the rest. */
static void end_host(struct slot *slot)
{
	mesh_port_free(slot->port);
	mesh_process_host_free(slot->host);
	*slot = (struct slot){0};
}

static void kill_host(struct slot *slot)
{
	mesh_process_host_signal(slot->host, SIGKILL); /* there is nothing in it to be saved */
	end_host(slot);
}

/* Sends the open file, which it consumes, and waits for the answer, which it checks. */
static int ask_host(struct slot *slot, int fd, bool doomed, struct mesh_message **ret)
{
	struct mesh_message *request = mesh_message_new(NULL, 0);
	struct mesh_port *answers;
	int result = mesh_message_put_fd(request, fd);

	if (result < 0 || mesh_port_request(slot->port, request, &answers) < 0)
		errx(1, "out of memory");
	if (doomed) { /* at once, or in the midst of it, or after 130 ms, when it is done */
		nanosleep(&(struct timespec){.tv_nsec = random() % (1000L << random() % 18)}, NULL);
		killed += mesh_process_host_signal(slot->host, SIGKILL) == 0;
	}
	result = mesh_port_recv(answers, DEADLINE, ret, NULL);
	mesh_port_free(answers);
	/* An answer of the right size is right: whatever the pixels are, they are pixels. */
	if (result < 0 || mesh_message_size(*ret) == sizeof(struct answer))
		return result;
	mesh_message_free(*ret);
	return -EBADMSG;
}

/*
 * Why there is no answer. A host that dies takes its link with it. One whose link the
 * mesh has cut, for what came over it, is given 250 ms to return before it is ended.
 */
static void label_failure(struct slot *slot, struct picture *picture, int why)
{
	struct pal_status status;
	char text[64];

	if (why == -ETIMEDOUT)
		LABEL(picture, TIMED_OUT, "time-out: no answer in %d s", DEADLINE_S);
	else if (why == -EBADMSG)
		LABEL(picture, HOST_LOST, "host %d cut off: wrong answer", slot->number);
	else if (mesh_process_host_wait(slot->host, PAL_DEADLINE_MS(150), &status) == 0)
		LABEL(picture, HOST_LOST, "host %d died: %s", slot->number,
			pal_status_text(&status, text, sizeof text));
	else
		LABEL(picture, HOST_LOST, "host %d cut off: broke the protocol", slot->number);
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
		kill_host(slot);
	} else {
		picture->message = message;
		answer = mesh_message_data(message);
		LABEL(picture, answer->shown ? SHOWN : REFUSED, "%s%.*s",
			answer->shown ? "" : "refused: ", (int)sizeof answer->label, answer->label);
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

		process_picture(&slot, picture, chaos && random() % 3 == 0);
		if (picture->state == HOST_LOST) /* not its fault, perhaps: a second host gets it */
			process_picture(&slot, picture, false);
		make_printable(picture->label);
		/* one line that changes on a terminal, a line for each picture elsewhere */
		fprintf(stderr, isatty(2) ? "\r\033[K%d/%d %.24s: %.40s" : "%d/%d %s: %s\n", ++done,
			count, picture->name, picture->label);
	}
	end_host(&slot);
	return unused;
}

/* ---- the command line ---- */

static void __attribute__((noreturn)) usage(int status)
{
	fputs("usage: contact-sheet [--hosts 1..64] [--chaos] FOLDER OUT.png\n",
		status ? stderr : stdout);
	exit(status);
}

static int number_of_hosts(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*end || number < 1 || number > MAX_HOSTS)
		usage(2);
	return (int)number;
}

/* What can be known before the work begins. */
static void check_output(const char *path)
{
	const char *extension = strrchr(path, '.');
	char *copy = strdup(path);

	if (!copy)
		err(1, "%s", path);
	if (!extension || strcasecmp(extension, ".png") != 0)
		errx(2, "%s: the sheet is a PNG, and its name ends so", path);
	if (access(dirname(copy), W_OK | X_OK) < 0)
		err(1, "the folder of %s", path);
	free(copy);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void list_pictures(const char *folder)
{
	struct dirent **files;
	int found = scandir(folder, &files, is_visible, versionsort);

	if (found < 0)
		err(1, "%s", folder);
	if (found == 0 || found > MAX_FILES)
		errx(1, "%s: %d files in it, and not 1 to %d", folder, found, MAX_FILES);
	for (; count < found; free(files[count++])) {
		struct picture *picture = &pictures[count];

		picture->name = strdup(files[count]->d_name);
		if (!picture->name || asprintf(&picture->path, "%s/%s", folder, picture->name) < 0)
			errx(1, "out of memory");
		make_printable(picture->name);
	}
	free(files);
}

static void report(const char *footer)
{
	for (int i = 0; i < count; i++)
		if (printf("tile %s: %s\n", pictures[i].name, pictures[i].label) < 0)
			err(1, "standard output");
	if (puts(footer) < 0 || fflush(stdout) != 0)
		err(1, "standard output");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"hosts", required_argument, NULL, 'n'},
		{"chaos", no_argument, &chaos, 1}, {"help", no_argument, NULL, 'h'}, {0}};
	struct mesh_node_options limits = {
		MESH_NODE_OPTIONS_INIT, .max_message = sizeof(struct answer),
		.max_unread = 8 * sizeof(struct answer)}; /* one is asked for at a time */
	int option, slots = 4, shown = 0;
	char footer[128];
	pthread_t threads[MAX_HOSTS];
	struct pal_error error;
	unsigned seed;

	/* In a host this does not return. */
	mesh_process_try_run_host("contact-sheet", host, NULL);

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == 'n')
			slots = number_of_hosts(optarg);
		else if (option != 0)
			usage(option == 'h' ? 0 : 2);
	if (argc - optind != 2)
		usage(2);
	check_output(argv[optind + 1]);
	list_pictures(argv[optind]);
	if (getrandom(&seed, sizeof seed, 0) == sizeof seed)
		srandom(seed);

	if (mesh_process_new("contact-sheet", &limits, &process, &error) < 0)
		errx(1, "%s", pal_error_text(&error));
	config = mesh_process_config_new("decoder");
	mesh_process_config_sandbox(config, pal_profile_pure_compute()); /* the first stage */
	for (int i = 0; i < slots; i++)
		if ((errno = pthread_create(&threads[i], NULL, run_slot, NULL)) != 0)
			err(1, "a thread");
	for (int i = 0; i < slots; i++)
		pthread_join(threads[i], NULL);
	if (mesh_process_shutdown(process, PAL_DEADLINE_MS(2000)) < 0)
		warnx("not every host ended when it was told to");
	mesh_process_config_free(config);

	fputs(isatty(STDERR_FILENO) ? "\r\033[K" : "", stderr);
	for (int i = 0; i < count; i++)
		shown += pictures[i].state == SHOWN;
	snprintf(footer, sizeof footer, "%d of %d files shown; %d hosts, %d killed by chaos", shown,
		count, launched, killed);
	make_sheet(argv[optind + 1], pictures, count, footer);
	report(footer);
	return 0;
}
