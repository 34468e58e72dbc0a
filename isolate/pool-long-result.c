/* SPDX-License-Identifier: MIT */

/* How the descriptor of a long result comes to its caller, who keeps a number for it. */
#include <isolate/pool-call-priv.h>

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

/* How often a number is looked for, where other threads have taken the one that was kept. */
#define NUMBER_TRIES 1000
#define NUMBER_NAP_MS 1

int isolate__long_result_reserve(struct pool_call *c)
{
	bool held;
	int r;

	if (c->reserved >= 0 || c->call.max_result <= ISOLATE__BUFFER_SIZE)
		return 0;
	held = pal_private_begin();
	c->reserved = isolate__lift(eventfd(0, EFD_CLOEXEC));
	r = c->reserved < 0 ? -errno : 0;
	pal_private_end(held);
	return r;
}

/* Another thread was faster. Whether to try again; else the message goes. */
static bool await_number(struct pool_call *c)
{
	if (c->without_number++ >= NUMBER_TRIES) {
		c->line_error = -EMFILE;
		isolate__line_drop(c->slot->line);
		return false;
	}
	if (isolate__long_result_reserve(c) < 0)
		(void)poll(NULL, 0, NUMBER_NAP_MS);
	return true;
}

/* What the worker says is only a reason to look; the descriptor is judged with the marks. */
void isolate__long_result_receive(struct pool_call *c)
{
	bool held = pal_private_begin();
	ssize_t size;
	int sent;

	c->reserved = pal_close(c->reserved);
	size = isolate__line_peek(c->slot->line, &sent);
	if (sent >= 0) {
		c->replaced = c->call.memfd;
		c->call.memfd = sent;
	}
	if (size >= 0)
		isolate__line_drop(c->slot->line);
	pal_private_end(held);
	isolate__slot_close_slowly(c->slot, &c->replaced);
	if (size == -EMFILE && await_number(c))
		return;
	if (c->call.memfd < 0)
		(void)isolate__long_result_reserve(c);
	/* A wake-up was not read before the worker ended: told once, before what it has sent. */
	if (size == -EAGAIN || size == -ECONNRESET || size == -EMFILE)
		return;
	if (size <= 0)
		isolate__slot_close_line(c->slot); /* has been shut down */
}

/* The descriptor that came last has to be the file that the marks are about. Whether it is. */
static bool find_memfd(struct pool_call *c)
{
	const struct isolate__job *job = &c->slot->area->job;
	struct stat st;

	for (int i = 0; i < ISOLATE__LINE_MESSAGES; i++) {
		struct pollfd more = {.fd = c->slot->line, .events = POLLIN};

		if (c->call.memfd >= 0 && fstat(c->call.memfd, &st) == 0 &&
			st.st_dev == job->memfd_device && st.st_ino == job->memfd_inode) {
			c->call.memfd_device = st.st_dev;
			c->call.memfd_inode = st.st_ino;
			return true;
		}
		if (c->slot->line < 0 || poll(&more, 1, 0) <= 0)
			break;
		isolate__long_result_receive(c);
	}
	return false;
}

void isolate__long_result_check(struct pool_call *c)
{
	struct isolate__marks *marks = &c->facts.marks;

	if (marks->progress == ISOLATE__COMPLETE && !marks->write_error &&
		marks->size > ISOLATE__BUFFER_SIZE && !find_memfd(c))
		marks->write_error = c->line_error ? c->line_error : -EPIPE;
}
