/* SPDX-License-Identifier: MIT */
#include <pal/seccomp.h>

#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

/*
 * Filters as lists of rules. libseccomp knows the numbers of the calls; it does not make
 * the program, because it takes two rules for one call without a word where one of
 * them hides the other - and the one that denies may be the hidden one.
 */

#define LARGEST_ERRNO 4095 /* the kernel cuts larger ones down to this */
#define LARGEST_TRACE 0xffff

#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#endif

static int to_verdict(int action, uint32_t *ret)
{
	if (action > 0 && action <= LARGEST_ERRNO)
		*ret = SECCOMP_RET_ERRNO | (uint32_t)action;
	else if (action <= PAL_SECCOMP_TRACE(0) && action >= PAL_SECCOMP_TRACE(LARGEST_TRACE))
		*ret = SECCOMP_RET_TRACE | (uint32_t)(PAL_SECCOMP_TRACE(0) - action);
	else
		switch (action) {
		case PAL_SECCOMP_ALLOW:
			*ret = SECCOMP_RET_ALLOW;
			break;
		case PAL_SECCOMP_KILL:
			*ret = SECCOMP_RET_KILL_PROCESS;
			break;
		case PAL_SECCOMP_KILL_THREAD:
			*ret = SECCOMP_RET_KILL_THREAD;
			break;
		case PAL_SECCOMP_TRAP:
			*ret = SECCOMP_RET_TRAP;
			break;
		case PAL_SECCOMP_LOG:
			*ret = SECCOMP_RET_LOG;
			break;
		case PAL_SECCOMP_NOTIFY:
			*ret = SECCOMP_RET_USER_NOTIF;
			break;
		default:
			return -EINVAL;
		}
	return 0;
}

int pal_seccomp_new(int otherwise, struct pal_seccomp **ret, struct pal_error *error)
{
	struct pal_seccomp *filter;
	uint32_t verdict;

	if (!ret || to_verdict(otherwise, &verdict) < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp filter");
	filter = calloc(1, sizeof *filter);
	if (!filter)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "seccomp filter");
	filter->otherwise = verdict;
	filter->foreign =
		SECCOMP_RET_KILL_PROCESS; /* not the thread: its locks would stay locked */
	*ret = filter;
	return 0;
}

void pal_seccomp_free(struct pal_seccomp *filter)
{
	int saved = errno;

	if (!filter)
		return;
	free(filter->rules);
	explicit_bzero(filter, sizeof *filter);
	free(filter);
	errno = saved;
}

int pal_seccomp_foreign(struct pal_seccomp *filter, int action, struct pal_error *error)
{
	uint32_t verdict;

	if (!filter || to_verdict(action, &verdict) < 0 || action < PAL_SECCOMP_TRAP ||
		action == PAL_SECCOMP_ALLOW)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp on foreign architectures");
	filter->foreign = verdict;
	return 0;
}

int pal_seccomp_newer(struct pal_seccomp *filter, int action, struct pal_error *error)
{
	uint32_t verdict;

	if (!filter || to_verdict(action, &verdict) < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp on newer calls");
	filter->newer = verdict;
	filter->newer_set = true;
	return 0;
}

/* ---- rules ---- */

int pal__seccomp_number(const char *name, int *ret)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR)
		return -EINVAL;
	*ret = number;
	return 0;
}

static int append(struct pal_seccomp *filter, const struct pal__seccomp_rule *rule)
{
	if (filter->count == filter->room) {
		size_t room = filter->room ? 2 * filter->room : 64;
		struct pal__seccomp_rule *rules = reallocarray(filter->rules, room, sizeof *rules);

		if (!rules)
			return -ENOMEM;
		filter->rules = rules;
		filter->room = room;
	}
	filter->rules[filter->count++] = *rule;
	return 0;
}

static int check_conditions(struct pal__seccomp_rule *rule)
{
	for (size_t i = 0; i < rule->count; i++) {
		struct pal_seccomp_compare *condition = &rule->conditions[i];

		if (!condition->mask)
			condition->mask = UINT64_MAX;
		/* a value outside the mask would never match */
		if (condition->arg > 5 || (unsigned)condition->op > PAL_SECCOMP_GE ||
			(condition->value & ~condition->mask))
			return -EINVAL;
	}
	return 0;
}

/* The same where the call can be made by another one, too. */
static int append_multiplexed(
	struct pal_seccomp *filter, const struct pal__seccomp_rule *rule, const char *name)
{
	const struct pal__seccomp_multiplexer *by = pal__seccomp_multiplexer(name);
	bool allows = rule->verdict == SECCOMP_RET_ALLOW || rule->verdict == SECCOMP_RET_LOG;
	struct pal__seccomp_rule theirs;
	int number;

	if (!by || pal__seccomp_number(by->name, &number) < 0 || number < 0 ||
		!pal__seccomp_multiplexed_rule(rule, allows, by, (unsigned)number, &theirs))
		return 0;
	return append(filter, &theirs);
}

int pal_seccomp_rule_compare(struct pal_seccomp *filter, int action, const char *name,
	const struct pal_seccomp_compare *conditions, size_t count, struct pal_error *error)
{
	struct pal__seccomp_rule rule = {.count = count};
	int number, result;

	if (!filter || !name || to_verdict(action, &rule.verdict) < 0 ||
		count > PAL_SECCOMP_COMPARE_MAX || (count && !conditions))
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rule for %s",
			name ? name : "no call");
	if (count)
		memcpy(rule.conditions, conditions, count * sizeof *conditions);
	if (check_conditions(&rule) < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL,
			"condition of the seccomp rule for %s", name);
	result = pal__seccomp_number(name, &number);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_SECCOMP, result, "seccomp rule for %s", name);
	rule.number = (unsigned)number;
	result = number < 0 ? 0 : append(filter, &rule); /* else another architecture has it */
	if (result >= 0)
		result = append_multiplexed(filter, &rule, name);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_MEMORY, result, "seccomp rule for %s", name);
	return 0;
}

int pal_seccomp_rule(
	struct pal_seccomp *filter, int action, const char *name, struct pal_error *error)
{
	return pal_seccomp_rule_compare(filter, action, name, NULL, 0, error);
}

int pal_seccomp_rules(
	struct pal_seccomp *filter, int action, const char *const *names, struct pal_error *error)
{
	int result = 0;

	if (!names)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rules");
	for (; *names && !result; names++)
		result = pal_seccomp_rule(filter, action, *names, error);
	return result;
}

int pal_seccomp_rule_masked(struct pal_seccomp *filter, int action, const char *name, unsigned arg,
	uint64_t mask, uint64_t value, struct pal_error *error)
{
	const struct pal_seccomp_compare condition = {
		.arg = arg, .op = PAL_SECCOMP_MASKED_EQ, .value = value, .mask = mask};

	if (!mask) /* nothing of the argument would count, which the other call takes for all of it */
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rule for %s",
			name ? name : "no call");
	return pal_seccomp_rule_compare(filter, action, name, &condition, 1, error);
}

/* ---- keys ---- */

int pal__seccomp_key(unsigned long *ret)
{
	unsigned long key = 0;

	while (!key)
		if (getrandom(&key, sizeof key, 0) < 0 && errno != EINTR)
			return -errno;
	*ret = key;
	explicit_bzero(&key, sizeof key);
	return 0;
}

int pal_seccomp_allow_first_exec(struct pal_seccomp *filter, struct pal_error *error)
{
	int result;

	if (!filter)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp rule");
	result = filter->exec_key ? 0 : pal__seccomp_key(&filter->exec_key);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_SECCOMP, result, "a key for the first exec");
	return 0;
}
