/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_CRASH_H
#define PROCMESH_ISOLATE_CRASH_H

#include <pal/export.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

/*
 * What a function died of, noted by itself: options.crash_report of isolate.h. The
 * child is a copy of this process, so its addresses mean here what they meant
 * there, as long as nothing is unloaded; what it loaded itself is not known here.
 *
 * It is a note of a process that is dying, perhaps of having written anywhere: good
 * for a log and a programmer. Everything in it is within its bounds, and may be wrong.
 */

enum isolate_crash_kind {
	ISOLATE_CRASH_BY_SIGNAL = 1,
	ISOLATE_CRASH_BY_SANITIZER /* a sanitizer found a defect, and ends the process its own way */
};

/* What was being done to the address; known on x86-64 only. */
enum isolate_crash_access {
	ISOLATE_ACCESS_UNKNOWN,
	ISOLATE_ACCESS_READ,
	ISOLATE_ACCESS_WRITE,
	ISOLATE_ACCESS_EXECUTE
};

/* Why there are no more frames. */
enum isolate_crash_frames {
	ISOLATE_FRAMES_END = 1, /* the outermost, or one of code that does not say who called it */
	ISOLATE_FRAMES_CUT,     /* ISOLATE_CRASH_FRAMES; there are more */
	ISOLATE_FRAMES_LOST     /* looking for the next one failed: the stack is destroyed */
};

#define ISOLATE_CRASH_FRAMES 64
#define ISOLATE_CRASH_REGISTERS 34
#define ISOLATE_CRASH_DESCRIPTION 64

/* Made by the library only; later versions may add fields. */
struct isolate_crash {
	enum isolate_crash_kind kind;
	int signal; /* 0: ISOLATE_CRASH_BY_SANITIZER */
	int code;   /* si_code (sigaction(2)) */
	enum isolate_crash_access access;
	int address_known; /* whether the signal, with this code, or the sanitizer told `address` */
	uintptr_t address;
	pid_t sender; /* of a signal that was sent, as the child sees it: itself, for abort and raise; else 0 */
	uid_t sender_user;
	int system_call; /* its number, for SIGSYS; else -1 */
	pid_t thread;    /* gettid(2) */
	int own_thread;  /* the one that fn was called in, not one that it started */

	uintptr_t pc;
	uintptr_t sp;
	size_t register_count; /* 0: machines that this library does not know, and sanitizers */
	uintptr_t registers[ISOLATE_CRASH_REGISTERS]; /* isolate_crash_register_name */

	enum isolate_crash_frames frames_end;
	size_t frame_count;
	uintptr_t frames[ISOLATE_CRASH_FRAMES]; /* `pc`, then where each caller would have gone on */

	char description[ISOLATE_CRASH_DESCRIPTION]; /* by the sanitizer: "heap-use-after-free"; or "" */

	/*
	 * How many of the frames are the function's and of what it has called; those behind tell
	 * how this library came to call it. frame_count: where that is not known, and in a thread
	 * that the function started.
	 */
	size_t function_frame_count;
};

/* "rip", of registers[index] on this machine. NULL beyond those there are. Any thread. */
PAL_EXPORT const char *isolate_crash_register_name(size_t index);

/* Where an address is. Unknown: NULL and 0. */
struct isolate_place {
	const char *module; /* the file of the program or library */
	uintptr_t module_offset;
	const char *function;
	uintptr_t function_offset;
	const char *file;
	int line;
};

/*
 * Finds the function that has an address and, if it was inlined, those that it is in, innermost
 * first: up to `max`, in `ret`. Returns how many; 0: nothing is known. The strings stay good
 * until the next call.
 */
typedef size_t (*isolate_resolve_fn)(
	uintptr_t address, struct isolate_place *ret, size_t max, void *userdata);

/*
 * By dladdr(3): module and exported functions (those of a program only if it was linked with
 * -rdynamic), no lines. `unused` may be NULL. Any thread. See isolate_symbols for more.
 */
PAL_EXPORT size_t isolate_resolve(
	uintptr_t address, struct isolate_place *ret, size_t max, void *unused);

/*
 * A report as text: what happened, then a line for each frame of the function.
 *
 *	SIGSEGV at address 0x10 (write, address not mapped), pc 0x7f3a8c0e5123 in parse_chunk+0x23 (libfoo.so+0x5123)
 *	  #0 0x7f3a8c0e5123 parse_chunk+0x23 (libfoo.so+0x5123)
 *	  #1 0x7f3a8c0e5207 parse+0x47 (libfoo.so+0x5207)
 *
 * `resolve` NULL: isolate_resolve. The wording is for people, and may change. Writes up to
 * `size` bytes, with a NUL, and returns the length of the whole as snprintf(3) does.
 */
PAL_EXPORT size_t isolate_crash_text(const struct isolate_crash *crash, isolate_resolve_fn resolve,
	void *userdata, char *buffer, size_t size);
/* The same to a stream. 0, -ENOMEM, or the errno of fputs(3). */
PAL_EXPORT int isolate_crash_print(const struct isolate_crash *crash, isolate_resolve_fn resolve,
	void *userdata, FILE *out);

PAL_END_DECLS

#endif
