/* SPDX-License-Identifier: MIT */
#include <pal/seccomp-stack-priv.h>

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

/*
 * The kernel would take several filters, too, but the first could forbid loading the second, and each
 * is run for every call, one after the other.
 */

#ifndef SECCOMP_RET_LOG
#define SECCOMP_RET_LOG 0x7ffc0000u
#endif

static bool is_return(const struct sock_filter *instruction)
{
	return BPF_CLASS(instruction->code) == BPF_RET;
}

/* What an answer of the first program means. */
enum {
	FINAL,
	GOES_ON,
	GOES_ON_LOGGED,
};

/* One of them, or -EOPNOTSUPP. */
static int meaning_of(const struct sock_filter *answer)
{
	if (BPF_RVAL(answer->code) != BPF_K)
		return -EOPNOTSUPP;
	switch (answer->k & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return GOES_ON;
	case SECCOMP_RET_LOG:
		return GOES_ON_LOGGED;
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_TRACE:
		return -EOPNOTSUPP;
	default:
		return FINAL;
	}
}

/* A program begins with both registers 0, and one of somebody's own may count on that. */
static const struct sock_filter reset[] = {
	BPF_STMT(BPF_LDX | BPF_IMM, 0),
	BPF_STMT(BPF_LD | BPF_IMM, 0),
};
#define RESET_LENGTH PAL_ARRAY_LENGTH(reset)

static void append(struct sock_filter *to, const struct sock_fprog *program)
{
	memcpy(to, reset, sizeof reset);
	memcpy(to + RESET_LENGTH, program->filter, program->len * sizeof *to);
}

/* The first program decides that a call is logged, whatever the second lets pass. */
static int log_what_passes(struct sock_filter *code, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!is_return(&code[i]))
			continue;
		if (BPF_RVAL(code[i].code) != BPF_K)
			return -EOPNOTSUPP;
		if ((code[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW)
			code[i].k = SECCOMP_RET_LOG;
	}
	return 0;
}

/* How often the second program is needed: once, and once more for calls to be logged. -EOPNOTSUPP. */
static int count_copies(const struct sock_fprog *first)
{
	int copies = 1;

	for (unsigned i = 0; i < first->len; i++) {
		int meaning = is_return(&first->filter[i]) ? meaning_of(&first->filter[i]) : FINAL;

		if (meaning < 0)
			return meaning;
		if (meaning == GOES_ON_LOGGED)
			copies = 2;
	}
	return copies;
}

/* In place of an answer: the length stays, and with it all other jumps. `copy`: where the second program is. */
static void go_on(struct sock_filter *code, unsigned at, unsigned copy)
{
	code[at] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, copy - at - 1);
}

int pal__seccomp_stack(
	const struct sock_fprog *first, const struct sock_fprog *second, struct sock_fprog *ret)
{
	unsigned second_length = (unsigned)RESET_LENGTH + second->len;
	int copies = count_copies(first), r = 0;
	unsigned count = first->len + (copies > 1 ? 2 : 1) * second_length;
	PAL_CLEANUP_FREE struct sock_filter *code = NULL;

	if (copies < 0 || count > BPF_MAXINSNS)
		return copies < 0 ? copies : -E2BIG;
	code = calloc(count, sizeof *code);
	if (!code)
		return -ENOMEM;
	memcpy(code, first->filter, first->len * sizeof *code);
	append(code + first->len, second);
	if (copies > 1) {
		append(code + first->len + second_length, second);
		r = log_what_passes(code + first->len + second_length, second_length);
	}
	if (r < 0)
		return r;
	for (unsigned i = 0; i < first->len; i++) {
		int meaning = is_return(&code[i]) ? meaning_of(&code[i]) : FINAL;

		if (meaning == GOES_ON)
			go_on(code, i, first->len);
		else if (meaning == GOES_ON_LOGGED)
			go_on(code, i, first->len + second_length);
	}
	*ret = (struct sock_fprog){.len = (unsigned short)count, .filter = PAL_TAKE_POINTER(code)};
	return 0;
}
