/* SPDX-License-Identifier: MIT */
#include <pal/describe-priv.h>

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

/*
 * What a compiled filter answers, found out by going through it: for each call once, with its
 * arguments unknown, so that both ways of a condition on them are gone. So this is what
 * the kernel will do, whatever was meant.
 */

#define MOST_ANSWERS 8
#define MOST_STEPS 200000

struct answers {
	uint32_t values[MOST_ANSWERS];
	size_t count;
	unsigned steps;
	bool too_many;   /* there are others */
	bool unfinished; /* not all ways through the filter were gone */
};

struct state {
	bool known; /* the accumulator */
	uint32_t value;
};

static void add_answer(struct answers *answers, uint32_t value)
{
	for (size_t i = 0; i < answers->count; i++)
		if (answers->values[i] == value)
			return;
	if (answers->count < MOST_ANSWERS)
		answers->values[answers->count++] = value;
	else
		answers->too_many = true;
}

static struct state load(uint32_t offset, uint32_t arch, uint32_t number)
{
	if (offset == offsetof(struct seccomp_data, nr))
		return (struct state){true, number};
	if (offset == offsetof(struct seccomp_data, arch))
		return (struct state){true, arch};
	return (struct state){false, 0};
}

static bool holds(const struct sock_filter *jump, uint32_t value)
{
	switch (BPF_OP(jump->code)) {
	case BPF_JEQ:
		return value == jump->k;
	case BPF_JGT:
		return value > jump->k;
	case BPF_JGE:
		return value >= jump->k;
	default: /* BPF_JSET */
		return value & jump->k;
	}
}

static void walk(const struct sock_fprog *program, uint32_t number, uint32_t arch, size_t at,
	struct state state, struct answers *answers)
{
	while (at < program->len) {
		const struct sock_filter *now = &program->filter[at++];

		if (++answers->steps > MOST_STEPS) {
			answers->unfinished = true;
			return;
		}
		switch (BPF_CLASS(now->code)) {
		case BPF_LD:
			state = BPF_MODE(now->code) == BPF_ABS   ? load(now->k, arch, number)
				: BPF_MODE(now->code) == BPF_IMM ? (struct state){true, now->k}
								 : (struct state){false, 0};
			break;
		case BPF_ALU: /* masks of arguments, mostly */
			if (state.known && BPF_OP(now->code) == BPF_AND &&
				BPF_SRC(now->code) == BPF_K)
				state.value &= now->k;
			else
				state.known = false;
			break;
		case BPF_JMP:
			if (BPF_OP(now->code) == BPF_JA) {
				at += now->k;
			} else if (state.known && BPF_SRC(now->code) == BPF_K) {
				at += holds(now, state.value) ? now->jt : now->jf;
			} else {
				walk(program, number, arch, at + now->jt, state, answers);
				at += now->jf;
			}
			break;
		case BPF_RET:
			if (BPF_RVAL(now->code) == BPF_K)
				add_answer(answers, now->k);
			else if (state.known)
				add_answer(answers, state.value);
			else
				answers->too_many = true;
			return;
		default: /* BPF_ST, BPF_MISC: of memory and the other register, which stay unknown */
			if (BPF_CLASS(now->code) == BPF_MISC)
				state.known = false;
			break;
		}
	}
}

static struct answers ask(const struct sock_fprog *program, uint32_t number)
{
	struct answers answers = {.count = 0};

	walk(program, number, seccomp_arch_native(), 0, (struct state){false, 0}, &answers);
	return answers;
}

/* Far above the last call there is. */
#define NO_CALL 0x0fffffffu
#define LAST_CALL 1024u

#ifdef __x86_64__
#define OTHER_ARCH AUDIT_ARCH_I386
#define X32 0x40000000u
#else
#define OTHER_ARCH AUDIT_ARCH_X86_64 /* there is none here: any that is not this one */
#endif

/* All that is answered to calls of another architecture, whatever call it is. */
static struct answers ask_foreign(const struct sock_fprog *program)
{
	struct answers answers = {.count = 0};

	for (uint32_t number = 0; number < LAST_CALL && !answers.unfinished; number++) {
		answers.steps = 0;
		walk(program, number, OTHER_ARCH, 0, (struct state){false, 0}, &answers);
#ifdef X32
		walk(program, number | X32, seccomp_arch_native(), 0, (struct state){false, 0},
			&answers);
#endif
	}
	return answers;
}

/* ---- in words ---- */

static void put_answer(FILE *out, uint32_t answer)
{
	uint32_t data = answer & SECCOMP_RET_DATA;

	switch (answer & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		fputs("allowed", out);
		break;
	case SECCOMP_RET_ERRNO:
		fprintf(out, "%s",
			strerrorname_np((int)data) ? strerrorname_np((int)data) : "another error");
		break;
	case SECCOMP_RET_KILL_PROCESS:
		fputs("the process is killed", out);
		break;
	case SECCOMP_RET_KILL_THREAD:
		fputs("the thread is killed", out);
		break;
	case SECCOMP_RET_TRAP:
		fputs("SIGSYS", out);
		break;
	case SECCOMP_RET_LOG:
		fputs("allowed and logged", out);
		break;
	case SECCOMP_RET_USER_NOTIF:
		fputs("the parent decides", out);
		break;
	default:
		fputs("a tracer decides", out);
		break;
	}
}

static void put_answers(FILE *out, const struct answers *answers)
{
	for (size_t i = 0; i < answers->count; i++) {
		fputs(i ? " or " : "", out);
		put_answer(out, answers->values[i]);
	}
	if (answers->too_many)
		fputs(answers->count ? " or others" : "unknown", out);
	if (answers->unfinished)
		fputs(" (the filter is too long to be followed to its end)", out);
}

struct calls {
	char *names[LAST_CALL];
	struct answers answers[LAST_CALL];
	size_t count;
};

static bool same(const struct answers *a, const struct answers *b)
{
	return a->count == b->count && a->too_many == b->too_many &&
	       a->unfinished == b->unfinished &&
	       !memcmp(a->values, b->values, a->count * sizeof *a->values);
}

static void put_group(FILE *out, struct calls *calls, size_t first)
{
	const struct answers *answers = &calls->answers[first];
	size_t count = 0;

	for (size_t i = first; i < calls->count; i++)
		count += calls->names[i] && same(answers, &calls->answers[i]);
	fprintf(out, "  - %zu calls, ", count);
	if (answers->count > 1)
		fputs("by their arguments ", out);
	put_answers(out, answers);
	fputs(":", out);
	for (size_t i = first; i < calls->count; i++)
		if (calls->names[i] && (i == first || same(answers, &calls->answers[i]))) {
			fprintf(out, " %s", calls->names[i]);
			if (i != first) {
				free(calls->names[i]);
				calls->names[i] = NULL;
			}
		}
	fputs("\n", out);
	free(calls->names[first]);
	calls->names[first] = NULL;
}

void pal__describe_filter(FILE *out, const struct sock_fprog *program, bool first_exec)
{
	struct answers otherwise = ask(program, NO_CALL), foreign = ask_foreign(program);
	struct calls *calls = calloc(1, sizeof *calls);

	fprintf(out,
		"- system calls go through a filter of %u instructions; calls that it does not know: ",
		program->len);
	put_answers(out, &otherwise);
	fputs("; calls of other architectures: ", out);
	put_answers(out, &foreign);
	fputs("\n", out);
	if (first_exec)
		fputs("  - execve only once, for the program itself\n", out);
	for (unsigned number = 0; calls && number < LAST_CALL; number++) {
		char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), (int)number);

		if (!name)
			continue;
		calls->names[calls->count] = name;
		calls->answers[calls->count] = ask(program, number);
		if (same(&calls->answers[calls->count], &otherwise)) {
			free(name);
			calls->names[calls->count] = NULL;
		}
		calls->count++;
	}
	for (size_t i = 0; calls && i < calls->count; i++)
		if (calls->names[i])
			put_group(out, calls, i);
	free(calls);
}
