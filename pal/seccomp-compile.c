/* SPDX-License-Identifier: MIT */
#include <pal/seccomp-priv.h>

#include <endian.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <pal/util-priv.h>

/*
 * From rules to BPF. The numbers of system calls are cut into stretches whose calls all meet
 * the same, which a binary tree of comparisons leads to: fewer instructions than one
 * comparison per call, which is what loading a filter costs most. (The kernel runs it for every
 * number then, to know what it may answer without running it.)
 *
 * The program is written from its end to its beginning: there are only jumps forward in BPF,
 * so that where they lead is written already.
 */

#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#endif
#define X32_BIT 0x40000000u
#define LAST_NUMBER 512u
#define FAR 255     /* a conditional jump has 8 bits */
#define NEARBY 200  /* what a jump that is not written yet will surely reach */
#define VERDICTS 16 /* whose last place is remembered */

/* ---- instructions ---- */

/* An instruction, counted from the end: the last one is 1. */
typedef size_t label;

struct writer {
	struct sock_filter code[BPF_MAXINSNS]; /* filled from the end */
	size_t count;                          /* more than fit: nothing is written any more */
	struct {
		uint32_t verdict;
		label place; /* 0: none */
	} returns[VERDICTS];
};

static label put_jump(struct writer *writer, unsigned code, uint32_t value, size_t yes, size_t no)
{
	writer->count++;
	if (writer->count <= BPF_MAXINSNS)
		writer->code[BPF_MAXINSNS - writer->count] =
			(struct sock_filter){(uint16_t)code, (uint8_t)yes, (uint8_t)no, value};
	return writer->count;
}

static label put(struct writer *writer, unsigned code, uint32_t value)
{
	return put_jump(writer, code, value, 0, 0);
}

/* So that what is written next may go on with `place`. */
static label go_to(struct writer *writer, label place)
{
	if (place == writer->count)
		return place;
	return put(writer, BPF_JMP | BPF_JA, (uint32_t)(writer->count - place));
}

static label put_return(struct writer *writer, uint32_t verdict)
{
	size_t i = 0;

	while (i < VERDICTS - 1 && writer->returns[i].place &&
		writer->returns[i].verdict != verdict)
		i++;
	if (writer->returns[i].place && writer->returns[i].verdict == verdict &&
		writer->count - writer->returns[i].place < NEARBY)
		return writer->returns[i].place;
	writer->returns[i].verdict = verdict;
	writer->returns[i].place = put(writer, BPF_RET | BPF_K, verdict);
	return writer->returns[i].place;
}

/* `test` is BPF_JEQ, BPF_JGT or BPF_JGE. */
static label branch(struct writer *writer, unsigned test, uint32_t value, label yes, label no)
{
	if (yes == no)
		return go_to(writer, yes);
	if (writer->count + 1 - no > FAR)
		no = put(writer, BPF_JMP | BPF_JA, (uint32_t)(writer->count - no));
	if (writer->count - yes > FAR)
		yes = put(writer, BPF_JMP | BPF_JA, (uint32_t)(writer->count - yes));
	return put_jump(
		writer, BPF_JMP | test | BPF_K, value, writer->count - yes, writer->count - no);
}

static label load(struct writer *writer, size_t offset)
{
	return put(writer, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

/* ---- conditions ---- */

enum half {
	LOW,
	HIGH
};

static uint32_t half_of(uint64_t value, enum half half)
{
	return (uint32_t)(half == HIGH ? value >> 32 : value);
}

static label load_half(struct writer *writer, unsigned arg, uint64_t mask, enum half half)
{
	size_t offset = offsetof(struct seccomp_data, args) + 8 * arg;

	if ((half == HIGH) == (__BYTE_ORDER == __LITTLE_ENDIAN))
		offset += 4;
	if (half_of(mask, half) != UINT32_MAX)
		put(writer, BPF_ALU | BPF_AND | BPF_K, half_of(mask, half));
	return load(writer, offset);
}

static label equal(
	struct writer *writer, const struct pal_seccomp_compare *condition, label yes, label no)
{
	for (int half = LOW; half <= HIGH; half++) {
		if (!half_of(condition->mask, half))
			continue;
		branch(writer, BPF_JEQ, half_of(condition->value, half), yes, no);
		yes = load_half(writer, condition->arg, condition->mask, half);
	}
	return go_to(writer, yes);
}

/* `test`, BPF_JGT or BPF_JGE, decides where the upper halves are equal. */
static label greater(struct writer *writer, const struct pal_seccomp_compare *condition,
	unsigned test, label yes, label no)
{
	uint32_t high = half_of(condition->value, HIGH);
	label low;

	branch(writer, test, half_of(condition->value, LOW), yes, no);
	low = load_half(writer, condition->arg, condition->mask, LOW);
	if (!half_of(condition->mask, HIGH)) /* and none in the value */
		return low;
	low = branch(writer, BPF_JEQ, high, low, no);
	branch(writer, BPF_JGT, high, yes, low);
	return load_half(writer, condition->arg, condition->mask, HIGH);
}

static label compare(
	struct writer *writer, const struct pal_seccomp_compare *condition, label yes, label no)
{
	switch (condition->op) {
	case PAL_SECCOMP_EQ:
		return equal(writer, condition, yes, no);
	case PAL_SECCOMP_NE:
		return equal(writer, condition, no, yes);
	case PAL_SECCOMP_GE:
		return greater(writer, condition, BPF_JGE, yes, no);
	case PAL_SECCOMP_LT:
		return greater(writer, condition, BPF_JGE, no, yes);
	case PAL_SECCOMP_GT:
		return greater(writer, condition, BPF_JGT, yes, no);
	case PAL_SECCOMP_LE:
		return greater(writer, condition, BPF_JGT, no, yes);
	}
	return no; /* never: see check_conditions */
}

/* ---- stretches of numbers ---- */

/* From `first` to the next one's: the rules in [begin, end), the last of them first, else `verdict`. */
struct stretch {
	uint32_t first;
	uint32_t verdict;
	const struct pal__seccomp_rule *const *begin, *const *end; /* all with conditions */
};

struct stretches {
	struct stretch *items;
	size_t count;
};

static void begin_stretch(struct stretches *all, struct stretch next)
{
	struct stretch *last = all->count ? &all->items[all->count - 1] : NULL;

	if (last && last->first == next.first) { /* nothing was in it */
		all->count--;
		last = all->count ? last - 1 : NULL;
	}
	if (last && last->begin == last->end && next.begin == next.end &&
		last->verdict == next.verdict)
		return;
	all->items[all->count++] = next;
}

static void begin_plain(struct stretches *all, uint32_t first, uint32_t verdict)
{
	begin_stretch(all, (struct stretch){.first = first, .verdict = verdict});
}

/* The rules in [begin, end) are about one call. */
static void add_call(struct stretches *all, const struct pal__seccomp_rule *const *begin,
	const struct pal__seccomp_rule *const *end, uint32_t otherwise)
{
	struct stretch stretch = {.first = (*begin)->number, .verdict = otherwise, .end = end};
	const struct pal__seccomp_rule *const *rule;

	for (rule = end; rule > begin && rule[-1]->count; rule--)
		;
	if (rule > begin)
		stretch.verdict = rule[-1]->verdict;
	while (rule < end && (*rule)->verdict == stretch.verdict)
		rule++;
	stretch.begin = rule;
	begin_stretch(all, stretch);
	begin_plain(all, stretch.first + 1, otherwise);
}

static void cut(struct stretches *all, const struct pal_seccomp *filter,
	const struct pal__seccomp_rule *const *sorted, size_t count)
{
	unsigned newest = filter->newer_set ? pal__seccomp_newest_known() : 0;
	uint32_t rest = filter->newer_set ? filter->newer : filter->otherwise;

	begin_plain(all, 0, filter->otherwise);
	for (size_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && sorted[next]->number == sorted[i]->number;)
			next++;
		add_call(all, sorted + i, sorted + next, filter->otherwise);
	}
	if (count && sorted[count - 1]->number > newest)
		newest = sorted[count - 1]->number;
	begin_plain(all, newest + 1, rest);
#ifdef __x86_64__
	begin_plain(all, X32_BIT, filter->foreign);
	begin_plain(all, UINT32_MAX, rest); /* a tracer's way to skip a call */
#endif
	all->items[all->count].first = UINT32_MAX;
}

static label put_call(struct writer *writer, const struct stretch *stretch)
{
	label next = put_return(writer, stretch->verdict);

	for (const struct pal__seccomp_rule *const *rule = stretch->begin; rule < stretch->end;
		rule++) {
		label place = put_return(writer, (*rule)->verdict);

		for (size_t i = (*rule)->count; i-- > 0;)
			place = compare(writer, &(*rule)->conditions[i], place, next);
		next = place;
	}
	return next;
}

/* How many calls of a kernel are in [begin, end), about. One more each, so that none weighs nothing. */
static size_t weight(const struct stretch *begin, const struct stretch *end)
{
	uint32_t from = begin->first < LAST_NUMBER ? begin->first : LAST_NUMBER;
	uint32_t to = end->first < LAST_NUMBER ? end->first : LAST_NUMBER;

	return to - from + (size_t)(end - begin);
}

/*
 * Splits where half of the calls are on either side: the kernel goes all these ways when it
 * loads the filter. There is one stretch behind the last one.
 */
static size_t middle(const struct stretch *stretches, size_t count)
{
	size_t all = weight(stretches, stretches + count), half = 1;

	while (half < count - 1 && 2 * weight(stretches, stretches + half + 1) <= all)
		half++;
	return half;
}

static label put_tree(struct writer *writer, const struct stretch *stretches, size_t count)
{
	label below, above;
	size_t half;

	if (count == 1)
		return put_call(writer, stretches);
	half = middle(stretches, count);
	above = put_tree(writer, stretches + half, count - half);
	below = put_tree(writer, stretches, half);
	return branch(writer, BPF_JGE, stretches[half].first, above, below);
}

/* ---- the library's own calls under a filter that asks somebody else ---- */

static label put_arch(struct writer *writer, label native, label foreign)
{
	branch(writer, BPF_JEQ, seccomp_arch_native(), native, foreign);
	return load(writer, offsetof(struct seccomp_data, arch));
}

/*
 * Between the filter and the program the child opens its signal mask, hands the
 * listener over, says that it is ready (pal_fork) and executes: nobody listens yet. All other
 * calls go on with what is written already.
 */
static void put_prologue(struct writer *writer, unsigned long key)
{
	const unsigned calls[] = {
		SYS_execve, SYS_rt_sigprocmask, SYS_sendmsg, SYS_close, SYS_write};
	const struct pal_seccomp_compare has_key = {
		.arg = PAL__START_KEY_ARGUMENT, .value = key, .mask = UINT64_MAX};
	/* as the accumulator is at the beginning */
	label others = put(writer, BPF_LD | BPF_IMM, 0), next = others;
	label keyed = equal(writer, &has_key, put_return(writer, SECCOMP_RET_ALLOW), others);

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(calls); i++)
		next = branch(writer, BPF_JEQ, calls[i], keyed, next);
	put_arch(writer, load(writer, offsetof(struct seccomp_data, nr)), others);
}

static bool notifies(const struct writer *writer)
{
	for (size_t i = BPF_MAXINSNS - writer->count; i < BPF_MAXINSNS; i++)
		if (writer->code[i].code == (BPF_RET | BPF_K) &&
			(writer->code[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

static int too_long(size_t count, struct pal_error *error)
{
	return pal_error_set(error, PAL_STAGE_SECCOMP, -E2BIG,
		"a seccomp filter of %zu instructions, of which the kernel takes %d", count,
		BPF_MAXINSNS);
}

/* What is written becomes a program. */
static int finish(struct writer *writer, struct pal__seccomp_program *ret, struct pal_error *error)
{
	struct pal__seccomp_program program = {0};
	int result = 0;

	if (writer->count > BPF_MAXINSNS)
		return too_long(writer->count, error);
	program.notify = notifies(writer);
	if (program.notify)
		result = pal__seccomp_key(&program.start_key);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_SECCOMP, result, "a key for the start");
	if (program.notify)
		put_prologue(writer, program.start_key);
	if (writer->count > BPF_MAXINSNS)
		return too_long(writer->count, error);
	program.code.len = (unsigned short)writer->count;
	program.code.filter = malloc(writer->count * sizeof *writer->code);
	if (!program.code.filter)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "seccomp filter");
	memcpy(program.code.filter, writer->code + BPF_MAXINSNS - writer->count,
		writer->count * sizeof *writer->code);
	*ret = program;
	return 0;
}

/* ---- all of it ---- */

static int compare_rules(const void *a, const void *b)
{
	const struct pal__seccomp_rule *const *left = a, *const *right = b;

	if ((*left)->number != (*right)->number)
		return (*left)->number < (*right)->number ? -1 : 1;
	return *left < *right ? -1 : 1; /* all are in one array, in the order that counts */
}

/* The rules of `filter`, and two that count more: execve with the key, and without. */
static size_t copy_rules(const struct pal_seccomp *filter, struct pal__seccomp_rule *rules,
	const struct pal__seccomp_rule **sorted)
{
	size_t count = filter->count;

	if (count)
		memcpy(rules, filter->rules, count * sizeof *rules);
	if (filter->exec_key) {
		rules[count] = (struct pal__seccomp_rule){
			.number = SYS_execve, .verdict = SECCOMP_RET_KILL_PROCESS};
		rules[count + 1] = (struct pal__seccomp_rule){
			.number = SYS_execve,
			.verdict = SECCOMP_RET_ALLOW,
			.count = 1,
			.conditions = {{.arg = PAL__EXEC_KEY_ARGUMENT,
				.value = filter->exec_key,
				.mask = UINT64_MAX}},
		};
		count += 2;
	}
	for (size_t i = 0; i < count; i++)
		sorted[i] = &rules[i];
	qsort(sorted, count, sizeof *sorted, compare_rules);
	return count;
}

static void write_filter(
	struct writer *writer, const struct pal_seccomp *filter, const struct stretches *stretches)
{
	label tree = put_tree(writer, stretches->items, stretches->count), foreign;

	go_to(writer, tree);
	tree = load(writer, offsetof(struct seccomp_data, nr));
	foreign = put_return(writer, filter->foreign);
	put_arch(writer, tree, foreign);
}

static void wipe(void *memory, size_t size)
{
	if (memory)
		explicit_bzero(memory, size);
}

int pal__seccomp_compile(
	const struct pal_seccomp *filter, struct pal__seccomp_program *ret, struct pal_error *error)
{
	PAL_CLEANUP_FREE struct pal__seccomp_rule *rules = NULL;
	PAL_CLEANUP_FREE const struct pal__seccomp_rule **sorted = NULL;
	PAL_CLEANUP_FREE struct writer *writer = NULL;
	struct stretches stretches = {0};
	PAL_CLEANUP_FREE struct stretch *items = NULL;
	size_t room;
	int result;

	if (!filter)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp filter");
	room = filter->count + 2;
	rules = calloc(room, sizeof *rules);
	sorted = calloc(room, sizeof *sorted);
	items = stretches.items = calloc(2 * room + 5, sizeof *items);
	writer = calloc(1, sizeof *writer);
	if (!rules || !sorted || !items || !writer)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "seccomp filter");
	cut(&stretches, filter, sorted, copy_rules(filter, rules, sorted));
	write_filter(writer, filter, &stretches);
	result = finish(writer, ret, error);
	if (!result)
		ret->exec_key = filter->exec_key;
	wipe(rules, room * sizeof *rules);
	wipe(writer, sizeof *writer);
	return result;
}

int pal__seccomp_copy(const struct sock_filter *code, size_t count,
	struct pal__seccomp_program *ret, struct pal_error *error)
{
	PAL_CLEANUP_FREE struct writer *writer = NULL;
	int result;

	if (!code || !count)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp filter");
	if (count > BPF_MAXINSNS)
		return too_long(count, error);
	writer = calloc(1, sizeof *writer);
	if (!writer)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "seccomp filter");
	memcpy(writer->code + BPF_MAXINSNS - count, code, count * sizeof *code);
	writer->count = count;
	result = finish(writer, ret, error);
	wipe(writer, sizeof *writer);
	return result;
}

void pal__seccomp_program_free(struct sock_fprog *program)
{
	if (program->filter)
		explicit_bzero(program->filter, program->len * sizeof *program->filter);
	free(program->filter);
	*program = (struct sock_fprog){0};
}
