/* SPDX-License-Identifier: MIT */

/* What a core file shows of a crash that was reported. The registers in it are read on x86-64 only. */
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "crash-support.h"

#ifdef __x86_64__
UNCHECKED static int reads_address(struct isolate_writer *out, void *arg)
{
	(void)out;
	return *(volatile int *)arg;
}

struct core {
	uintptr_t pc;
	uintptr_t sp;
	siginfo_t info;
};

static void take_note(const Elf64_Nhdr *note, const unsigned char *bytes, struct core *core)
{
	struct elf_prstatus status;
	struct user_regs_struct registers;

	if (note->n_type == NT_SIGINFO)
		memcpy(&core->info, bytes, sizeof core->info);
	if (note->n_type != NT_PRSTATUS || core->pc) /* the first one is of the thread that died */
		return;
	memcpy(&status, bytes, sizeof status);
	memcpy(&registers, status.pr_reg, sizeof registers);
	core->pc = registers.rip;
	core->sp = registers.rsp;
}

static void read_notes(const unsigned char *bytes, size_t size, struct core *core)
{
	Elf64_Nhdr note;

	for (size_t at = 0; at + sizeof note <= size;) {
		memcpy(&note, bytes + at, sizeof note);
		at += sizeof note + ((note.n_namesz + 3) & ~3u);
		take_note(&note, bytes + at, core);
		at += (note.n_descsz + 3) & ~3u;
	}
}

static void read_core(const char *folder, struct core *core)
{
	char path[PATH_MAX];
	glob_t found;
	Elf64_Ehdr head;
	Elf64_Phdr part;
	int fd;

	snprintf(path, sizeof path, "%s/*", folder);
	ck_assert_int_eq(glob(path, 0, NULL, &found), 0);
	fd = open(found.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	globfree(&found);
	ck_assert_int_eq(pread(fd, &head, sizeof head, 0), sizeof head);
	for (unsigned i = 0; i < head.e_phnum; i++) {
		ck_assert_int_eq(
			pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)),
			sizeof part);
		if (part.p_type == PT_NOTE)
			break;
	}
	unsigned char *notes = malloc(part.p_filesz);

	ck_assert_int_eq(pread(fd, notes, part.p_filesz, (off_t)part.p_offset), part.p_filesz);
	memset(core, 0, sizeof *core);
	read_notes(notes, part.p_filesz, core);
	free(notes);
	close(fd);
}

static bool is_core_a_file(void)
{
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	int first = file ? fgetc(file) : EOF;

	if (file)
		fclose(file);
	return first != '|' && first != '/';
}

static int raises_an_abort(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	return raise(SIGABRT);
}

UNCHECKED static int comes_to_a_breakpoint(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	__asm__ volatile("int3");
	return 0;
}

static int is_sent_a_signal(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	return kill(getpid(), SIGBUS);
}

UNCHECKED static int jumps_away(struct isolate_writer *out, void *arg)
{
	isolate_fn volatile nowhere = (isolate_fn)0x7eadbeef000;
	int value = nowhere(out, arg);

	NOT_A_TAIL_CALL();
	return value;
}

/* The handler is entered twice. */
UNCHECKED static int loses_the_stack(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	__asm__ volatile("mov $0x1000, %rsp; push %rax");
	return 0;
}

static const isolate_fn dumped[] = {reads_address, raises_an_abort, is_sent_a_signal, jumps_away,
	comes_to_a_breakpoint, loses_the_stack};

START_TEST(a_core_shows_the_crash_and_not_the_report)
{
	struct isolate_options options = {WITH_REPORT, .core = ISOLATE_CORE_ON};
	char folder[] = "/tmp/isolate-core-XXXXXX", command[64];
	struct isolate_result result;
	struct rlimit limit;
	struct core core;

	getrlimit(RLIMIT_CORE, &limit);
	if (limit.rlim_max < (64 << 20))
		support_skip("the hard limit allows no core");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	crash_in(dumped[_i], NULL, &options, &result);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert(result.status.core);
	ck_assert_ptr_nonnull(result.crash);
	if (is_core_a_file())
		read_core(folder, &core);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
	if (!is_core_a_file())
		support_skip("cores go to a program");
	ck_assert_uint_eq(core.pc, result.crash->pc);
	ck_assert_uint_eq(core.sp, result.crash->sp);
	ck_assert_int_eq(core.info.si_signo, result.crash->signal);
	ck_assert_int_eq(core.info.si_code, result.crash->code);
	if (result.crash->address_known)
		ck_assert_uint_eq((uintptr_t)core.info.si_addr, result.crash->address);
	isolate_result_clear(&result);
}
END_TEST
#endif

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/crash-core");
	TCase *cores = isolate_tcase(suite, "cores");

#ifdef __x86_64__
	tcase_add_loop_test(cores, a_core_shows_the_crash_and_not_the_report, 0,
		sizeof dumped / sizeof *dumped);
#else
	(void)cores;
#endif
	return suite;
}
SUPPORT_MAIN(make_suite)
