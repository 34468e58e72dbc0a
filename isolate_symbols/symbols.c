/* SPDX-License-Identifier: MIT */
#include <isolate_symbols/isolate_symbols.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <isolate/isolate.h>

/* All strings of a place are libdw's, and live as long as `dwfl`. */
struct isolate_symbols {
	Dwfl *dwfl;
	Dwfl_Callbacks callbacks;
	char *debuginfo_path;
};

/* ---- from the innermost inlined function outwards ---- */

/* The module of an address, and the part of its debugging information that is about it. */
struct spot {
	Dwfl_Module *module;
	Dwarf_Addr address;
	Dwarf_Addr bias; /* of the addresses in `unit` */
	Dwarf_Die *unit; /* NULL: none is */
};

/* clang writes no table of which unit has which addresses; then each is asked. */
static void find_unit(struct spot *spot)
{
	spot->unit = dwfl_module_addrdie(spot->module, spot->address, &spot->bias);
	if (spot->unit)
		return;
	while ((spot->unit = dwfl_module_nextcu(spot->module, spot->unit, &spot->bias)))
		if (dwarf_haspc(spot->unit, spot->address - spot->bias) == 1)
			return;
}

/* "" and the like are no names. */
static const char *name_of(Dwarf_Die *function)
{
	const char *name = dwarf_diename(function);

	return name && *name ? name : NULL;
}

static bool is_function(Dwarf_Die *scope)
{
	int tag = dwarf_tag(scope);

	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_subprogram;
}

static Dwarf_Word number_of(Dwarf_Die *die, unsigned attribute)
{
	Dwarf_Attribute storage;
	Dwarf_Word value = 0;

	dwarf_formudata(dwarf_attr(die, attribute, &storage), &value);
	return value;
}

/* Where an inlined function was called: a place in the one that it is in. */
static void find_call(Dwarf_Die *unit, Dwarf_Die *inlined, struct isolate_place *place)
{
	Dwarf_Files *files;
	size_t count;

	if (dwarf_getsrcfiles(unit, &files, &count) != 0)
		return;
	place->file = dwarf_filesrc(files, number_of(inlined, DW_AT_call_file), NULL, NULL);
	place->line = place->file ? (int)number_of(inlined, DW_AT_call_line) : 0;
}

/* Where a function begins. One in several parts may not say: then with the part of the address. */
static Dwarf_Addr entry_of(Dwarf_Die *function, Dwarf_Addr address)
{
	Dwarf_Addr entry, base, start, end;
	ptrdiff_t at = 0;

	if (dwarf_entrypc(function, &entry) == 0 && entry <= address)
		return entry;
	while ((at = dwarf_ranges(function, at, &base, &start, &end)) > 0)
		if (start <= address && address < end)
			return start;
	return address;
}

/*
 * The functions around an address, from the inside to the outside. (dwarf_getscopes goes from an
 * inlined function to where it is defined, dwarf_getscopes_die to the function it is in.)
 */
static int get_scopes(const struct spot *spot, Dwarf_Die **ret)
{
	Dwarf_Die *scopes = NULL;
	Dwarf_Die innermost;

	if (dwarf_getscopes(spot->unit, spot->address - spot->bias, &scopes) <= 0)
		return 0;
	innermost = scopes[0];
	free(scopes);
	return dwarf_getscopes_die(&innermost, ret);
}

/*
 * `ret[0]` has what the symbol table and the line table say. Each function is in the next,
 * which called it at the line that the inner one notes.
 */
static size_t unfold(const struct spot *spot, struct isolate_place *ret, size_t max)
{
	Dwarf_Addr address = spot->address - spot->bias;
	struct isolate_place whole = ret[0];
	Dwarf_Die *scopes = NULL;
	size_t count = 0;
	int scope_count = get_scopes(spot, &scopes);

	for (int i = 0; i < scope_count && count < max; i++) {
		if (!is_function(&scopes[i]))
			continue;
		ret[count].module = whole.module;
		ret[count].module_offset = whole.module_offset;
		ret[count].function = name_of(&scopes[i]);
		ret[count].function_offset = address - entry_of(&scopes[i], address);
		count++;
		if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram)
			break;
		if (count < max) {
			ret[count] = (struct isolate_place){0};
			find_call(spot->unit, &scopes[i], &ret[count]);
		}
	}
	free(scopes);
	return count;
}

/* ---- one address ---- */

static struct isolate_place look_up(const struct spot *spot)
{
	struct isolate_place place = {0};
	Dwarf_Line *line = NULL;
	Dwarf_Addr start = 0;
	GElf_Off offset = 0;
	GElf_Sym symbol;

	place.module = dwfl_module_info(
		spot->module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	place.module_offset = spot->address - start;
	place.function = dwfl_module_addrinfo(
		spot->module, spot->address, &offset, &symbol, NULL, NULL, NULL);
	if (place.function)
		place.function_offset = offset;
	if (spot->unit)
		line = dwarf_getsrc_die(spot->unit, spot->address - spot->bias);
	place.file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	if (place.file)
		dwarf_lineno(line, &place.line);
	return place;
}

size_t isolate_symbols_resolve(
	uintptr_t address, struct isolate_place *ret, size_t max, void *userdata)
{
	struct isolate_symbols *symbols = userdata;
	struct spot spot = {.address = address};
	Dwarf_Addr start = 0, end = 0;
	size_t count;

	spot.module = dwfl_addrmodule(symbols->dwfl, address);
	if (!spot.module || max == 0)
		return 0;
	/* Beyond the last one it gives that one. */
	dwfl_module_info(spot.module, NULL, &start, &end, NULL, NULL, NULL, NULL);
	if (address < start || address >= end)
		return 0;
	find_unit(&spot);
	ret[0] = look_up(&spot);
	count = spot.unit ? unfold(&spot, ret, max) : 0;
	return count ? count : 1;
}

/* ---- the object ---- */

static int report_modules(Dwfl *dwfl)
{
	int r;

	dwfl_report_begin(dwfl);
	r = dwfl_linux_proc_report(dwfl, getpid());
	if (dwfl_report_end(dwfl, NULL, NULL) != 0 && r == 0)
		r = -1;
	return r == 0 ? 0 : r > 0 ? -r : -EBADMSG;
}

int isolate_symbols_new(struct isolate_symbols **ret, struct pal_error *error)
{
	struct isolate_symbols *symbols = calloc(1, sizeof *symbols);
	int r;

	if (!symbols)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "memory for symbols");
	symbols->callbacks = (Dwfl_Callbacks){
		.find_elf = dwfl_linux_proc_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.debuginfo_path = &symbols->debuginfo_path,
	};
	symbols->dwfl = dwfl_begin(&symbols->callbacks);
	r = symbols->dwfl ? report_modules(symbols->dwfl) : -ENOMEM;
	if (r < 0) {
		isolate_symbols_free(symbols);
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, r, "/proc/self/maps");
	}
	*ret = symbols;
	return 0;
}

void isolate_symbols_free(struct isolate_symbols *symbols)
{
	int saved = errno;

	if (!symbols)
		return;
	if (symbols->dwfl)
		dwfl_end(symbols->dwfl);
	free(symbols->debuginfo_path);
	free(symbols);
	errno = saved;
}
