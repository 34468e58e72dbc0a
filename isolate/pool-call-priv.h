/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_POOL_CALL_PRIV_H
#define PROCMESH_ISOLATE_POOL_CALL_PRIV_H

#include <isolate/pool-priv.h>

/* One call of a pool, in the thread that has made it. */
struct pool_call {
	struct pal_private private;
	struct isolate_pool *pool;
	struct isolate__slot *slot;
	struct isolate__call call;
	struct isolate__facts facts;
	isolate_pool_fn fn;
	const void *in;
	size_t in_size;
	enum isolate__phase phase;
	pal_deadline next;  /* when to give the phase up */
	pal_deadline heard; /* when to give up a copy that waited */
	int64_t began_us;
	int reserved;            /* keeps a number for the descriptor of a long result; -1 */
	int next_line;           /* of the worker that is made now; -1 */
	int replaced;            /* another came after it for the result; -1 */
	unsigned without_number; /* how often there was none for that descriptor */
	int line_error;          /* it did not come */
	bool was_stocked;        /* the worker was there before the call */
	bool settled;            /* that worker has ended, or waits again */
	bool snapshot_answers;   /* to what it was told last */
	bool lost;               /* the snapshot */
};

/*
 * pool-long-result.c: the descriptor of a long result. 0, or -EMFILE and the like: there would be no
 * number for it.
 */
int isolate__long_result_reserve(struct pool_call *c);
/* Takes what is at the line: perhaps the descriptor, and always a reason to look. */
void isolate__long_result_receive(struct pool_call *c);
/* With the marks that are final: whether they are about the descriptor that has come. */
void isolate__long_result_check(struct pool_call *c);

#endif
