/* SPDX-License-Identifier: MIT */

/* A crash report for people. */
#include <isolate/crash.h>

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <pal/export.h>
#include <pal/util-priv.h>

/* How deep functions may have been inlined into one another, as far as that is shown. */
#define INLINED_MAX 16

/* A stack that has overflowed was used about here, by pushing or by a large local variable. */
#define NEAR_THE_STACK ((uintptr_t)64 << 10)

/* ---- appending ---- */

struct text {
	char *buffer;
	size_t size;
	size_t length; /* of the whole, though it may not fit */
};

PAL_PRINTF(2, 3)
static void append(struct text *text, const char *format, ...)
{
	size_t room = text->size > text->length ? text->size - text->length : 0;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(room ? text->buffer + text->length : NULL, room, format, args);
	va_end(args);
	if (length > 0)
		text->length += (size_t)length;
}

/* ---- names ---- */

struct code_name {
	int signal;
	int code;
	const char *name;
};

static const struct code_name code_names[] = {
	{SIGSEGV, SEGV_MAPERR, "address not mapped"},
	{SIGSEGV, SEGV_ACCERR, "not permitted"},
	{SIGSEGV, SEGV_PKUERR, "refused by a protection key"},
	{SIGSEGV, SI_KERNEL, "no address of this machine, misaligned, or no stack for a handler"},
	{SIGBUS, BUS_ADRALN, "misaligned"},
	{SIGBUS, BUS_ADRERR, "beyond the end of a file"},
	{SIGBUS, BUS_MCEERR_AR, "broken memory"},
	{SIGBUS, BUS_MCEERR_AO, "broken memory"},
	{SIGILL, ILL_ILLOPN, "illegal instruction"},
	{SIGILL, ILL_ILLOPC, "illegal instruction"},
	{SIGILL, ILL_PRVOPC, "privileged instruction"},
	{SIGFPE, FPE_INTDIV, "integer divided by zero"},
	{SIGFPE, FPE_INTOVF, "integer overflow"},
	{SIGFPE, FPE_FLTDIV, "divided by zero"},
	{SIGFPE, FPE_FLTOVF, "overflow"},
	{SIGFPE, FPE_FLTUND, "underflow"},
	{SIGFPE, FPE_FLTRES, "inexact"},
	{SIGFPE, FPE_FLTINV, "invalid operation"},
	{SIGTRAP, SI_KERNEL, "breakpoint"},
	{SIGTRAP, TRAP_BRKPT, "breakpoint"},
	{SIGTRAP, TRAP_TRACE, "single step"},
};

static void append_code(struct text *text, const struct isolate_crash *crash)
{
	static const char *const accesses[] = {
		[ISOLATE_ACCESS_READ] = "read, ",
		[ISOLATE_ACCESS_WRITE] = "write, ",
		[ISOLATE_ACCESS_EXECUTE] = "jump, ",
	};
	const char *access = "";

	if (crash->access < PAL_ARRAY_LENGTH(accesses) && accesses[crash->access])
		access = accesses[crash->access];
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(code_names); i++)
		if (code_names[i].signal == crash->signal && code_names[i].code == crash->code) {
			append(text, " (%s%s)", access, code_names[i].name);
			return;
		}
	append(text, " (%scode %d)", access, crash->code);
}

/* ---- places ---- */

static const char *without_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void append_place(struct text *text, const struct isolate_place *place)
{
	if (place->function)
		append(text, " %s+0x%" PRIxPTR, place->function, place->function_offset);
	if (place->module)
		append(text, " (%s+0x%" PRIxPTR ")", without_folder(place->module),
			place->module_offset);
	if (place->file)
		append(text, " at %s:%d", place->file, place->line);
}

struct resolver {
	isolate_resolve_fn resolve;
	void *userdata;
};

static size_t find(const struct resolver *resolver, const struct isolate_crash *crash, size_t frame,
	struct isolate_place *ret)
{
	uintptr_t address = crash->frames[frame];
	/* Where a caller would have gone on may be another line, and even another function. */
	bool returned_to = frame > 0 || crash->kind == ISOLATE_CRASH_BY_SANITIZER;
	size_t count;

	if (!address)
		return 0;
	count = resolver->resolve(address - returned_to, ret, INLINED_MAX, resolver->userdata);
	if (count > INLINED_MAX)
		count = INLINED_MAX;
	if (!returned_to)
		return count;
	for (size_t i = 0; i < count; i++) {
		ret[i].module_offset += ret[i].module != NULL;
		ret[i].function_offset += ret[i].function != NULL;
	}
	return count;
}

/* ---- what happened ---- */

static bool is_near_the_stack(const struct isolate_crash *crash)
{
	return crash->signal == SIGSEGV && crash->address_known && crash->sp &&
	       crash->address - (crash->sp - NEAR_THE_STACK) < 2 * NEAR_THE_STACK;
}

static void append_signal(struct text *text, const struct isolate_crash *crash)
{
	const char *name = sigabbrev_np(crash->signal);

	if (name)
		append(text, "SIG%s", name);
	else
		append(text, "signal %d", crash->signal);
	if (crash->sender)
		append(text, " sent by process %ld of user %lu", (long)crash->sender,
			(unsigned long)crash->sender_user);
	else if (crash->system_call >= 0)
		append(text, " for system call %d, which a filter refuses", crash->system_call);
	if (crash->address_known)
		append(text, " at address 0x%" PRIxPTR, crash->address);
	if (crash->code > 0 && crash->signal != SIGSYS)
		append_code(text, crash);
	if (is_near_the_stack(crash))
		append(text, ", near the stack pointer: did the stack overflow?");
}

static void append_head(
	struct text *text, const struct isolate_crash *crash, const struct resolver *resolver)
{
	struct isolate_place places[INLINED_MAX];

	if (crash->kind == ISOLATE_CRASH_BY_SANITIZER) {
		append(text, "sanitizer: %s",
			*crash->description ? crash->description : "a defect");
		if (crash->address_known)
			append(text, " at address 0x%" PRIxPTR, crash->address);
	} else {
		append_signal(text, crash);
	}
	if (crash->pc)
		append(text, ", pc 0x%" PRIxPTR, crash->pc);
	if (crash->frame_count && crash->frames[0] == crash->pc &&
		find(resolver, crash, 0, places)) {
		append(text, "%s", places[0].function ? " in" : "");
		append_place(text, &places[0]);
	}
	if (!crash->own_thread)
		append(text, ", in thread %ld of it", (long)crash->thread);
	append(text, "\n");
}

static void append_frame(struct text *text, const struct isolate_crash *crash, size_t frame,
	const struct resolver *resolver)
{
	struct isolate_place places[INLINED_MAX];
	size_t count = find(resolver, crash, frame, places);

	append(text, "  #%zu 0x%" PRIxPTR, frame, crash->frames[frame]);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			append(text, "\n     inlined into");
		append_place(text, &places[i]);
	}
	append(text, "\n");
}

size_t isolate_crash_text(const struct isolate_crash *crash, isolate_resolve_fn resolve,
	void *userdata, char *buffer, size_t size)
{
	struct text text = {buffer, size, 0};
	struct resolver resolver = {resolve ? resolve : isolate_resolve, userdata};
	size_t count = crash->function_frame_count < crash->frame_count ? crash->function_frame_count
									: crash->frame_count;

	if (size)
		*buffer = '\0';
	append_head(&text, crash, &resolver);
	for (size_t i = 0; i < count && i < ISOLATE_CRASH_FRAMES; i++)
		append_frame(&text, crash, i, &resolver);
	if (count < crash->frame_count)
		return text.length;
	if (crash->frames_end == ISOLATE_FRAMES_CUT)
		append(&text, "  ... and more\n");
	else if (crash->frames_end == ISOLATE_FRAMES_LOST)
		append(&text, "  ... and then the stack cannot be read\n");
	return text.length;
}

int isolate_crash_print(
	const struct isolate_crash *crash, isolate_resolve_fn resolve, void *userdata, FILE *out)
{
	size_t size = isolate_crash_text(crash, resolve, userdata, NULL, 0) + 1;
	char *buffer = malloc(size);
	int r = -ENOMEM;

	if (buffer) {
		isolate_crash_text(crash, resolve, userdata, buffer, size);
		r = fputs(buffer, out) < 0 ? -errno : 0;
	}
	free(buffer);
	return r;
}

size_t isolate_resolve(uintptr_t address, struct isolate_place *ret, size_t max, void *unused)
{
	Dl_info info;

	(void)unused;
	if (max == 0 || !dladdr((const void *)address, &info))
		return 0;
	*ret = (struct isolate_place){
		.module = info.dli_fname,
		.module_offset = address - (uintptr_t)info.dli_fbase,
		.function = info.dli_sname,
	};
	if (info.dli_sname)
		ret->function_offset = address - (uintptr_t)info.dli_saddr;
	return 1;
}
