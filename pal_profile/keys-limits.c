/* SPDX-License-Identifier: MIT */
#include <pal_profile/keys-priv.h>

#include <errno.h>
#include <string.h>

#include <pal_profile/value-priv.h>

/* LimitCPU= and its like: "soft:hard", or one value for both. */

enum unit {
	COUNT,
	BYTES,
	SECONDS,
	MICROSECONDS,
	NICE
};

#define SECOND UINT64_C(1000000)

static int read_seconds(const char *text, uint64_t *ret)
{
	uint64_t microseconds;
	int r = pal_profile__time(text, SECOND, &microseconds);

	if (r >= 0) /* never less than asked */
		*ret = microseconds / SECOND + (microseconds % SECOND != 0);
	return r;
}

/* "+5" and "-5" are nice values, "25" is what the limit itself says: 20 - nice. */
static int read_nice(const char *text, uint64_t *ret)
{
	bool is_nice = *text == '+' || *text == '-';
	long number;
	int r = pal_profile__integer(text, is_nice ? -20 : 0, is_nice ? 19 : 40, &number);

	if (r >= 0)
		*ret = (uint64_t)(is_nice ? 20 - number : number);
	return r;
}

static int read_one(const char *text, enum unit unit, rlim_t *ret)
{
	uint64_t number = 0;
	int r = -EINVAL;

	if (!strcmp(text, "infinity")) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	switch (unit) {
	case COUNT:
		r = pal_profile__count(text, &number);
		break;
	case BYTES:
		r = pal_profile__bytes(text, &number);
		break;
	case SECONDS:
		r = read_seconds(text, &number);
		break;
	case MICROSECONDS:
		r = pal_profile__time(text, 1, &number);
		break;
	case NICE:
		r = read_nice(text, &number);
		break;
	}
	if (r >= 0 && number >= RLIM_INFINITY)
		r = -ERANGE;
	if (r >= 0)
		*ret = (rlim_t)number;
	return r;
}

static int read_limit(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = &context->settings->process;
	char *hard = strchr(value, ':');
	enum unit unit = (enum unit)key->offset;
	struct rlimit limit;
	int r;

	process->limit_set[key->argument] = false;
	if (!*value)
		return 0;
	if (hard)
		*hard++ = 0;
	r = read_one(value, unit, &limit.rlim_cur);
	if (r >= 0)
		r = read_one(hard ? hard : value, unit, &limit.rlim_max);
	if (r < 0)
		return pal_profile__bad(context, r, "%s", hard ? "soft:hard" : value);
	if (limit.rlim_cur > limit.rlim_max)
		return pal_profile__bad(context, -EINVAL, "the soft limit is above the hard one");
	process->limits[key->argument] = limit;
	process->limit_set[key->argument] = true;
	return 0;
}

#define LIMIT(name, unit)                                                                          \
	{                                                                                          \
		"Limit" #name, read_limit, unit, RLIMIT_##name, false                              \
	}

const struct pal_profile__key pal_profile__limit_keys[] = {
	LIMIT(CPU, SECONDS),
	LIMIT(FSIZE, BYTES),
	LIMIT(DATA, BYTES),
	LIMIT(STACK, BYTES),
	LIMIT(CORE, BYTES),
	LIMIT(RSS, BYTES),
	LIMIT(NOFILE, COUNT),
	LIMIT(AS, BYTES),
	LIMIT(NPROC, COUNT),
	LIMIT(MEMLOCK, BYTES),
	LIMIT(LOCKS, COUNT),
	LIMIT(SIGPENDING, COUNT),
	LIMIT(MSGQUEUE, BYTES),
	LIMIT(NICE, NICE),
	LIMIT(RTPRIO, COUNT),
	LIMIT(RTTIME, MICROSECONDS),
	{0},
};
