/* SPDX-License-Identifier: MIT */
#include <pal/process-own-priv.h>

#include <stdatomic.h>
#include <stdlib.h>

#include <pal/process-mark.h>

struct pal__process_own *pal__process_own_find(struct pal__process_own *_Atomic *current)
{
	struct pal__process_own *known = atomic_load(current);

	return known && known->owner == pal_process_mark() ? known : NULL;
}

struct pal__process_own *pal__process_own_get(struct pal__process_own *_Atomic *current, size_t size,
	void (*init)(struct pal__process_own *fresh))
{
	struct pal__process_own *known = atomic_load(current), *fresh;
	uint64_t mark = pal_process_mark();

	if (known && known->owner == mark)
		return known;
	fresh = calloc(1, size);
	if (!fresh)
		return NULL;
	fresh->owner = mark;
	fresh->inherited = known;
	init(fresh);
	if (!atomic_compare_exchange_strong(current, &known, fresh)) {
		free(fresh);
		return known; /* another thread was faster */
	}
	return fresh;
}
