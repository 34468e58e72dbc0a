/* SPDX-License-Identifier: MIT */

/*
 * What may be done again, by the answer of isolate_call. What is called charges a customer:
 * a line in a journal, which stands for all that a function does to the world and that does
 * not end with its process. What goes wrong here goes wrong in earnest.
 */
#include <errno.h>
#include <isolate/isolate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum trouble {
	LONG_RECEIPT = 1,
	DIES_BEFORE,
	DIES_AFTER
};

struct job {
	const char *title;
	int charge; /* its number in the journal; 0: only a report */
	enum trouble trouble;
	bool idempotent; /* twice does no more than once */
	bool can_ask;    /* the journal is looked at */
	int attempt;
};

static FILE *journal;
static int spare[64], spares; /* descriptors of the rest of the program */

static int work(struct isolate_writer *out, void *arg)
{
	static const char page[1000];
	const struct job *job = arg;

	if (job->trouble == DIES_BEFORE && job->attempt == 1)
		abort();
	if (job->charge)
		dprintf(fileno(journal), "charge %d\n", job->charge);
	if (job->trouble == DIES_AFTER && job->attempt == 1)
		abort();
	for (int i = 0; i < (job->trouble == LONG_RECEIPT ? 100 : 1); i++)
		isolate_write(out, page, sizeof page);
	return 0;
}

static int times_in_journal(int charge)
{
	char line[32], text[1000] = "\n";
	int times = 0;

	if (pread(fileno(journal), text + 1, sizeof text - 2, 0) < 0)
		return -1;
	snprintf(line, sizeof line, "\ncharge %d\n", charge);
	for (const char *at = text; (at = strstr(at, line)); at++)
		times++;
	return times;
}

/* Twice as long each time; and meanwhile the rest of the program closes a file. */
static void back_off(int attempt)
{
	int ms = 1 << attempt;

	printf("    -> again, in %d ms\n", ms);
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
	if (spares > 0)
		close(spare[--spares]);
}

/* Whether to do it again. */
static bool decide(
	const struct job *job, const struct isolate_result *r, struct isolate_options *options)
{
	switch (r->answer) {
	case ISOLATE_NOT_EXECUTED: /* always safe; of use where the cause may pass */
		printf("  not executed: %s\n", pal_error_text(&r->error));
		return r->error.code == -EMFILE || r->error.code == -ENFILE ||
		       r->error.code == -EAGAIN || r->error.code == -ENOMEM;
	case ISOLATE_EXECUTED: /* once: so for what may be done twice */
		printf("  executed, the result is lost: %s\n", pal_error_text(&r->error));
		if (r->error.code == -EFBIG)
			options->max_result *= 2;
		return job->idempotent;
	case ISOLATE_UNKNOWN: /* done, not done, or half: only the world knows */
		printf("  unknown: %s\n", pal_error_text(&r->error));
		if (!job->can_ask)
			return job->idempotent;
		printf("    the journal has it %d times\n", times_in_journal(job->charge));
		return times_in_journal(job->charge) == 0;
	case ISOLATE_RETURNED:
		printf("  returned, %zu bytes\n", r->size);
	}
	return false;
}

static void run(struct job *job)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .max_result = 70000, .core = ISOLATE_CORE_OFF};
	struct isolate_result result;
	bool again = true;

	printf("%s\n", job->title);
	for (job->attempt = 1; again && job->attempt < 8; job->attempt++) {
		if (job->attempt > 1)
			back_off(job->attempt - 1);
		isolate_call(work, job, &options, &result);
		again = decide(job, &result, &options);
		if (!again && result.answer != ISOLATE_RETURNED)
			printf("    -> not again\n");
		isolate_result_clear(&result);
	}
	if (job->charge)
		printf("  charged: %d\n", times_in_journal(job->charge));
}

int main(void)
{
	struct rlimit files = {0};
	struct job jobs[] = {
		{"A charge while no descriptor is free", 1},
		{"A report, longer than expected", 0, LONG_RECEIPT, .idempotent = true},
		{"A charge, its receipt longer than expected", 2, LONG_RECEIPT},
		{"A charge that dies before it is made", 3, DIES_BEFORE, .can_ask = true},
		{"A charge that dies after it was made", 4, DIES_AFTER, .can_ask = true},
		{"The same, and nobody asks the journal", 5, DIES_AFTER, .idempotent = true},
	};

	setlinebuf(stdout);
	journal = tmpfile();
	if (!journal || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return perror("isolate-retry"), 1;
	files.rlim_cur = 64;
	setrlimit(RLIMIT_NOFILE, &files);
	while (spares < 64 && (spare[spares] = dup(fileno(journal))) >= 0)
		spares++;

	for (int i = 0; i < 6; i++)
		run(&jobs[i]);
	for (int i = 1; i <= 4; i++)
		if (times_in_journal(i) != 1)
			return 1;
	return times_in_journal(5) == 2 ? 0 : 1; /* what becomes of those who do not ask */
}
