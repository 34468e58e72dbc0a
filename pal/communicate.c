/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <pal/builder.h>
#include <pal/child-priv.h>
#include <pal/collect-priv.h>
#include <pal/poll-priv.h>
#include <pal/util-priv.h>

/*
 * Reads after the time is over: for what the child itself had left in a pipe. Each may get one
 * packet only, and a page takes no more than one.
 */
#define LATE_READS (PAL__BIG_PIPE / 4096)

/* ---- SIGPIPE ---- */

/*
 * A write to a child that does not read makes one, for this thread. It is kept
 * from the program without a change to how the program handles those of its own.
 */
struct sigpipe {
	bool kept;
	bool made; /* by a write of ours */
	bool pending_before;
	sigset_t mask_before;
};

static void sigpipe_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGPIPE);
}

static void sigpipe_keep(struct sigpipe *sigpipe)
{
	sigset_t set, pending;

	sigpipe_set(&set);
	sigpending(&pending);
	sigpipe->pending_before = sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, &sigpipe->mask_before);
	sigpipe->kept = true;
}

static void sigpipe_restore(struct sigpipe *sigpipe)
{
	const struct timespec now = {0};
	sigset_t set;

	if (!sigpipe->kept)
		return;
	sigpipe_set(&set);
	if (sigpipe->made && !sigpipe->pending_before)
		while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &sigpipe->mask_before, NULL);
}

struct talk {
	struct pal_child *child;
	const char *input;
	size_t input_left;
	struct sigpipe sigpipe;
	struct pal__collect streams[2]; /* stdout, stderr */
	int too_long;                   /* the stream that exceeds its limit */
	pal_deadline deadline;          /* of all, and once the child has ended that of the rest */
	int64_t drain_ms;
	int late_reads;
	bool cut_off;
};

/* ---- the streams ---- */

static void close_stream(struct talk *talk, int number)
{
	pal_close(pal__child_take_stdio(talk->child, number));
}

/* Writes as much as the pipe takes. Nobody has to read it. */
static int feed(struct talk *talk)
{
	ssize_t written = write(talk->child->stdio[0], talk->input, talk->input_left);

	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (written < 0 && errno != EPIPE)
		return -errno;
	talk->sigpipe.made |= written < 0;
	if (written < 0 || (size_t)written == talk->input_left) {
		close_stream(talk, 0);
		return 0;
	}
	talk->input += written;
	talk->input_left -= (size_t)written;
	return 0;
}

static int start_feeding(struct talk *talk)
{
	int fd = talk->child->stdio[0];

	if (fd < 0)
		return 0;
	if (!talk->input_left) {
		close_stream(talk, 0);
		return 0;
	}
	if (fcntl(fd, F_SETFL, O_WRONLY | O_NONBLOCK) < 0)
		return -errno;
	if (talk->input_left > PIPE_BUF)
		fcntl(fd, F_SETPIPE_SZ, PAL__BIG_PIPE); /* fewer turns, if that is allowed */
	sigpipe_keep(&talk->sigpipe);
	return feed(talk);
}

static int collect(struct talk *talk, int number, short revents)
{
	struct pal__collect *stream = &talk->streams[number - 1];
	int fd = talk->child->stdio[number];
	int r = pal__collect_read(stream, fd);

	/* Nobody can write any more, so this waits for nothing, and is the end mostly. */
	if (r > 0 && revents & POLLHUP)
		r = pal__collect_read(stream, fd);
	if (r == 0)
		close_stream(talk, number);
	if (r == -EOVERFLOW)
		talk->too_long = number;
	return r < 0 ? r : 0;
}

/* ---- all at once ---- */

static void note_end(struct talk *talk)
{
	pal_deadline drained =
		talk->drain_ms < 0 ? PAL_DEADLINE_NOW : pal_deadline_after_ms(talk->drain_ms);

	if (drained < talk->deadline)
		talk->deadline = drained;
}

static int look_for_end(struct talk *talk)
{
	int r = pal__child_reap(talk->child);

	if (r == 0)
		note_end(talk);
	else if (r == -EAGAIN)
		pal__poll(NULL, 0, PAL__TRACED_NAP_MS); /* its pidfd would be ready all the time */
	return r == -EAGAIN ? 0 : r;
}

/* The time is over. Without its child there is nothing to be sorry for. */
static int give_up(struct talk *talk)
{
	if (!talk->child->ended)
		return -ETIMEDOUT;
	talk->cut_off = true;
	return 0;
}

static int handle(struct talk *talk, const struct pollfd events[4])
{
	int r = 0;

	for (int number = 1; number <= 2 && r == 0; number++)
		if (events[number].revents)
			r = collect(talk, number, events[number].revents);
	if (r == 0 && events[0].revents)
		r = feed(talk);
	if (r == 0 && events[3].revents)
		r = look_for_end(talk);
	return r;
}

static int turn(struct talk *talk)
{
	struct pal_child *child = talk->child;
	struct pollfd events[4] = {
		{.fd = child->stdio[0], .events = POLLOUT},
		{.fd = child->stdio[1], .events = POLLIN},
		{.fd = child->stdio[2], .events = POLLIN},
		{.fd = child->ended ? -1 : child->pidfd, .events = POLLIN},
	};
	int left = pal_deadline_left_ms(talk->deadline);
	int r = pal__poll(events, PAL_ARRAY_LENGTH(events), left);

	if (r < 0)
		return r == -EINTR ? 0 : r;
	if (r == 0)
		return pal_deadline_left_ms(talk->deadline) ? 0 : give_up(talk);
	r = handle(talk, events);
	if (r < 0 || left)
		return r;
	return child->ended && talk->late_reads++ < LATE_READS ? 0 : give_up(talk);
}

/* Whether somebody may still say something, or the child still listens. */
static bool goes_on(const struct talk *talk)
{
	const struct pal_child *child = talk->child;

	return !talk->cut_off && (child->stdio[1] >= 0 || child->stdio[2] >= 0 ||
					 (child->stdio[0] >= 0 && !child->ended));
}

static int run(struct talk *talk)
{
	int r = start_feeding(talk);

	/* It may have been waited for before. */
	if (r == 0 && talk->child->ended)
		note_end(talk);
	while (r == 0 && goes_on(talk))
		r = turn(talk);
	sigpipe_restore(&talk->sigpipe);
	for (int i = 0; i < 3; i++)
		close_stream(talk, i);
	if (r == 0)
		r = pal__child_await(talk->child, talk->deadline);
	return r;
}

/* ---- the call ---- */

static int failed(struct talk *talk, int code, struct pal_error *error)
{
	if (code == -EOVERFLOW)
		pal_error_set(error, PAL_STAGE_STDIO, code,
			"child %d writes more than %zu bytes to %s", (int)talk->child->pid,
			talk->streams[0].limit, talk->too_long == 1 ? "stdout" : "stderr");
	else if (code == -ENOMEM)
		pal_error_set(
			error, PAL_STAGE_MEMORY, code, "output of child %d", (int)talk->child->pid);
	else
		pal__child_wait_error(talk->child, code, error);
	if (error && code == -EOVERFLOW)
		error->index = talk->too_long;
	pal__child_kill(talk->child);
	return code;
}

static int take_output(struct talk *talk, const bool wanted[2], struct pal_output *ret)
{
	struct pal_output output = {.status = talk->child->status,
		.out_size = talk->streams[0].size,
		.err_size = talk->streams[1].size,
		.truncated = talk->streams[0].truncated || talk->streams[1].truncated,
		.cut_off = talk->cut_off,
		.status_lost = talk->child->result < 0};

	if (output.status_lost)
		output.status.code = -1; /* neither an exit code nor a signal */
	if (wanted[0])
		output.out = pal__collect_take(&talk->streams[0]);
	if (wanted[1])
		output.err = pal__collect_take(&talk->streams[1]);
	if ((wanted[0] && !output.out) || (wanted[1] && !output.err)) {
		pal_output_clear(&output);
		return -ENOMEM;
	}
	*ret = output;
	return 0;
}

static void talk_init(
	struct talk *talk, struct pal_child *child, const struct pal_communicate_options *options)
{
	size_t limit = options->max_output ? options->max_output : PAL_COMMUNICATE_MAX_OUTPUT;

	if (limit > PTRDIFF_MAX / 4)
		limit = PTRDIFF_MAX / 4;
	*talk = (struct talk){
		.child = child,
		.input = options->input,
		.input_left = options->input_size,
		.deadline = options->deadline_ms ? pal_deadline_after_ms(options->deadline_ms)
						 : PAL_DEADLINE_NONE,
		.drain_ms = options->drain_ms ? options->drain_ms : PAL_COMMUNICATE_DRAIN_MS,
	};
	for (int i = 0; i < 2; i++)
		talk->streams[i] =
			(struct pal__collect){.limit = limit, .truncate = options->truncate};
}

static int communicate(struct pal_child *child, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error)
{
	const bool wanted[2] = {
		pal__child_show_stdio(child, 1) >= 0, pal__child_show_stdio(child, 2) >= 0};
	struct talk talk;
	int r;

	pal__child_show_stdio(child, 0);
	talk_init(&talk, child, options);
	r = run(&talk);
	if (r == 0)
		r = take_output(&talk, wanted, ret);
	if (r < 0)
		r = failed(&talk, r, error);
	free(talk.streams[0].data);
	free(talk.streams[1].data);
	return r;
}

int pal_child_communicate(struct pal_child *child, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error)
{
	static const struct pal_communicate_options defaults = {PAL_COMMUNICATE_OPTIONS_INIT};
	int cancel_state, r;

	if (!options)
		options = &defaults;
	r = pal_check_size(options, options->size, sizeof *options);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, r, "options of communicate");
	if (!pal__child_is_own(child))
		return pal__child_wait_error(child, -ECHILD, error);
	/* Unwinding from here would lose the buffers. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = communicate(child, options, ret, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

int pal_communicate(struct pal_builder *builder, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error)
{
	struct pal_child *child;
	int r = pal_builder_spawn(builder, &child, error);

	if (r < 0)
		return r;
	r = pal_child_communicate(child, options, ret, error);
	pal_child_free(child);
	return r;
}

void pal_output_clear(struct pal_output *output)
{
	if (!output)
		return;
	free(output->out);
	free(output->err);
	*output = (struct pal_output){0};
}
