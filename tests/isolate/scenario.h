/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_ISOLATE_SCENARIO_H
#define PROCMESH_TESTS_ISOLATE_SCENARIO_H

/*
 * Ways to run a function that between them use every option and both interfaces, and what
 * really happened, noted past the library: the answer can be held against it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "isolate-support.h"

struct truth {
	bool watched;  /* the library is at work; not where that is only looked at */
	bool may_leak; /* it has been kept from freeing something */
	bool struck;   /* a call was: the function may never be entered */
	bool entered;
	bool returned; /* the function is about to */
	size_t printed;
	enum isolate_answer answer;
	int code;
	int stage;
	char text[300]; /* what is wrong; or of the error */
};

struct scenario {
	const char *name;
	size_t size; /* of the result */
	bool captures;
	bool in_halves; /* isolate_start, and so on to isolate_finish */
	bool is_ended;  /* the function does not end by itself: by the deadline, or cancelled */
	bool is_cancelled;
	bool limits, keeps_fds, sandboxed, alone;
};
#define SCENARIOS 10
extern const struct scenario scenarios[SCENARIOS];

struct scene {
	const struct scenario *scenario;
	struct truth *truth; /* shared memory */
};

/*
 * Calls the library, holds its answer against the truth, looks for what it left behind, and
 * calls once more. 0, or not and truth->text says why.
 */
int scenario_play(const struct scene *scene);

#endif
