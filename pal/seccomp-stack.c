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

/* What it answers: 0 goes on to the second filter, 1 is final, -EOPNOTSUPP. */
static int finality(const struct sock_filter *answer)
{
	if (BPF_RVAL(answer->code) != BPF_K)
		return -EOPNOTSUPP;
	switch (answer->k & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return 0;
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_TRACE:
		return -EOPNOTSUPP;
	default:
		return 1;
	}
}

int pal__seccomp_stack(
	const struct sock_fprog *first, const struct sock_fprog *second, struct sock_fprog *ret)
{
	size_t count = (size_t)first->len + second->len;
	struct sock_filter *code;

	if (count > BPF_MAXINSNS)
		return -E2BIG;
	code = calloc(count, sizeof *code);
	if (!code)
		return -ENOMEM;
	memcpy(code, first->filter, first->len * sizeof *code);
	memcpy(code + first->len, second->filter, second->len * sizeof *code);
	*ret = (struct sock_fprog){.len = (unsigned short)count, .filter = code};
	for (unsigned i = 0; i < first->len; i++) {
		int final = is_return(&code[i]) ? finality(&code[i]) : 1;

		if (final < 0) {
			pal__seccomp_program_free(ret);
			return final;
		}
		if (!final) /* the length stays, and with it all other jumps */
			code[i] =
				(struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, first->len - i - 1);
	}
	return 0;
}
