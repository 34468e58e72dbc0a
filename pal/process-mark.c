/* SPDX-License-Identifier: MIT */
#include <pal/process-mark.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The mark of this process is in a page that the kernel clears in every fork,
 * also in one that libc does not know of. The fork finds no mark there, and makes
 * the next one: `last` it has from its parent.
 */
static _Atomic(_Atomic uint64_t *) page;
static _Atomic uint64_t last = UINT64_C(1) << 32;

/* `page` where there can be none: then the pid has to do, which is below all marks. */
static _Atomic uint64_t no_page;

/* Of the heap: it is never given back, and what is beside it there is not cleared. */
static _Atomic uint64_t *make_page(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *fresh;

	if (posix_memalign(&fresh, size, size))
		return &no_page;
	memset(fresh, 0, size);
	if (madvise(fresh, size, MADV_WIPEONFORK) == 0)
		return fresh;
	free(fresh);
	return &no_page;
}

/* Always the same answer: who owns something must remain true. */
static _Atomic uint64_t *get_page(void)
{
	_Atomic uint64_t *known = atomic_load(&page), *fresh;

	if (known)
		return known;
	fresh = make_page();
	if (atomic_compare_exchange_strong(&page, &known, fresh))
		return fresh;
	if (fresh != &no_page) { /* another thread was faster */
		madvise((void *)fresh, (size_t)sysconf(_SC_PAGESIZE), MADV_KEEPONFORK);
		free((void *)fresh);
	}
	return known;
}

uint64_t pal_process_mark(void)
{
	_Atomic uint64_t *own = get_page();
	uint64_t mark = atomic_load(own), none = 0;

	if (own == &no_page)
		return (uint64_t)getpid();
	if (mark)
		return mark;
	mark = atomic_fetch_add(&last, 1) + 1;
	return atomic_compare_exchange_strong(own, &none, mark) ? mark : none;
}
