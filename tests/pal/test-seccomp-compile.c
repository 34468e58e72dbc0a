/* SPDX-License-Identifier: MIT */
#include <pal/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

#include "support.h"

/*
 * Compiled filters, run by an interpreter of their own here and compared with the rules
 * themselves, and with what libseccomp makes of the same rules.
 */

#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#endif

/* ---- the interpreter: what filters use of classic BPF, and what the kernel checks of it ---- */

static uint32_t run(const struct sock_fprog *program, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;

	for (size_t at = 0;;) {
		const struct sock_filter *next = &program->filter[at++];

		ck_assert_uint_le(at, program->len);
		switch (next->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			ck_assert_uint_eq(next->k % 4, 0);
			ck_assert_uint_le(next->k, sizeof *data - 4);
			memcpy(&accumulator, (const char *)data + next->k, 4);
			break;
		case BPF_LD | BPF_IMM:
			accumulator = next->k;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			accumulator &= next->k;
			break;
		case BPF_JMP | BPF_JA:
			at += next->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += accumulator == next->k ? next->jt : next->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += accumulator > next->k ? next->jt : next->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += accumulator >= next->k ? next->jt : next->jf;
			break;
		case BPF_RET | BPF_K:
			return next->k;
		default:
			ck_abort_msg("instruction %#x", next->code);
		}
	}
}

static uint32_t answer(const struct sock_fprog *program, unsigned number)
{
	struct seccomp_data data = {.nr = (int)number, .arch = seccomp_arch_native()};

	return run(program, &data);
}

/* ---- help ---- */

static struct pal_seccomp *new_filter(int otherwise)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(otherwise, &filter, &error), &error);
	return filter;
}

static void rule(struct pal_seccomp *filter, int action, const char *name)
{
	struct pal_error error = {0};

	ck_assert_ok(pal_seccomp_rule(filter, action, name, &error), &error);
}

static void rule_if(struct pal_seccomp *filter, int action, const char *name,
	const struct pal_seccomp_compare *conditions, size_t count)
{
	struct pal_error error = {0};

	ck_assert_ok(
		pal_seccomp_rule_compare(filter, action, name, conditions, count, &error), &error);
}

static struct pal__seccomp_program compiled(const struct pal_seccomp *filter)
{
	struct pal__seccomp_program program;
	struct pal_error error = {0};

	ck_assert_ok(pal__seccomp_compile(filter, &program, &error), &error);
	return program;
}

/* The same sequence in every run: a failure can be looked at again. */
static uint64_t random_number(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* ---- conditions ---- */

/* What is near where comparisons go wrong. */
static uint64_t interesting(void)
{
	static const uint64_t values[] = {0, 1, 2, UINT32_MAX - 1, UINT32_MAX, UINT64_C(1) << 32,
		(UINT64_C(1) << 32) + 1, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX,
		UINT64_C(0xffffffff00000000), UINT64_C(0x80000000), INT64_MAX};
	uint64_t choice = random_number() % (PAL_ARRAY_LENGTH(values) + 3);

	return choice < PAL_ARRAY_LENGTH(values) ? values[choice] : random_number();
}

static bool holds(const struct pal_seccomp_compare *condition, const struct seccomp_data *data)
{
	uint64_t mask = condition->mask ? condition->mask : UINT64_MAX;
	uint64_t argument = data->args[condition->arg] & mask;

	switch (condition->op) {
	case PAL_SECCOMP_EQ:
		return argument == condition->value;
	case PAL_SECCOMP_NE:
		return argument != condition->value;
	case PAL_SECCOMP_LT:
		return argument < condition->value;
	case PAL_SECCOMP_LE:
		return argument <= condition->value;
	case PAL_SECCOMP_GT:
		return argument > condition->value;
	case PAL_SECCOMP_GE:
		return argument >= condition->value;
	}
	return false;
}

static struct pal_seccomp_compare random_condition(void)
{
	static const uint64_t masks[] = {0, UINT32_MAX, UINT64_C(0xffffffff00000000), 3, 1,
		UINT64_C(0x8000000000000001), UINT64_MAX};
	struct pal_seccomp_compare condition = {
		.arg = (unsigned)(random_number() % 6),
		.op = (enum pal_seccomp_op)(random_number() % 6),
		.mask = masks[random_number() % PAL_ARRAY_LENGTH(masks)],
		.value = interesting(),
	};

	condition.value &= condition.mask ? condition.mask : UINT64_MAX;
	return condition;
}

#define MOST_RULES 5

START_TEST(conditions_mean_what_they_say_and_the_last_rule_counts) /* S94 */
{
	for (int round = 0; round < 3000; round++) {
		struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ERRNO(100));
		struct pal_seccomp_compare conditions[MOST_RULES][PAL_SECCOMP_COMPARE_MAX];
		size_t counts[MOST_RULES], rules = 1 + random_number() % MOST_RULES;
		struct pal__seccomp_program program;

		for (size_t i = 0; i < rules; i++) {
			counts[i] = random_number() % (PAL_SECCOMP_COMPARE_MAX + 1);
			for (size_t j = 0; j < counts[i]; j++)
				conditions[i][j] = random_condition();
			rule_if(filter, PAL_SECCOMP_ERRNO(200 + (int)i), "mmap", conditions[i],
				counts[i]);
		}
		program = compiled(filter);
		for (int call = 0; call < 60; call++) {
			struct seccomp_data data = {.nr = SYS_mmap, .arch = seccomp_arch_native()};
			uint32_t expected = SECCOMP_RET_ERRNO | 100;

			for (int arg = 0; arg < 6; arg++)
				data.args[arg] = interesting();
			for (size_t i = 0; i < rules; i++) {
				bool all = true;

				for (size_t j = 0; j < counts[i]; j++)
					all = all && holds(&conditions[i][j], &data);
				if (all)
					expected = SECCOMP_RET_ERRNO | (200 + (uint32_t)i);
			}
			ck_assert_uint_eq(run(&program.code, &data), expected);
			ck_assert_uint_eq(
				answer(&program.code, SYS_munmap), SECCOMP_RET_ERRNO | 100);
		}
		pal__seccomp_program_free(&program.code);
		pal_seccomp_free(filter);
	}
}
END_TEST

/* ---- numbers ---- */

static const int actions[] = {PAL_SECCOMP_ALLOW, PAL_SECCOMP_KILL, PAL_SECCOMP_KILL_THREAD,
	PAL_SECCOMP_TRAP, PAL_SECCOMP_LOG, PAL_SECCOMP_ERRNO(EPERM), PAL_SECCOMP_TRACE(7)};
static const uint32_t verdicts[] = {SCMP_ACT_ALLOW, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD,
	SCMP_ACT_TRAP, SCMP_ACT_LOG, SCMP_ACT_ERRNO(EPERM), SCMP_ACT_TRACE(7)};

/* libseccomp's program for the same rules. */
static struct sock_fprog reference(uint32_t otherwise, const uint32_t *by_number, size_t count)
{
	scmp_filter_ctx context = seccomp_init(otherwise);
	PAL_CLEANUP_CLOSE int fd = memfd_create("reference", MFD_CLOEXEC);
	struct sock_fprog program;
	off_t size;

	ck_assert_int_eq(
		seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
	for (size_t number = 0; number < count; number++)
		if (by_number[number] != otherwise)
			ck_assert_int_eq(
				seccomp_rule_add(context, by_number[number], (int)number, 0), 0);
	ck_assert_int_eq(seccomp_export_bpf(context, fd), 0);
	seccomp_release(context);
	size = lseek(fd, 0, SEEK_END);
	program = (struct sock_fprog){
		.len = (unsigned short)((size_t)size / 8), .filter = malloc((size_t)size)};
	ck_assert_int_eq(pread(fd, program.filter, (size_t)size, 0), size);
	return program;
}

#define NUMBERS 450

START_TEST(libseccomp_makes_the_same_of_rules_without_conditions)
{
	for (int round = 0; round < 40; round++) {
		size_t otherwise = random_number() % PAL_ARRAY_LENGTH(actions);
		struct pal_seccomp *filter = new_filter(actions[otherwise]);
		uint32_t by_number[NUMBERS];
		struct pal__seccomp_program program;
		struct sock_fprog theirs;
		unsigned density = 1 + (unsigned)(random_number() % 40);

		for (unsigned number = 0; number < NUMBERS; number++) {
			char *name =
				seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)number);
			size_t action = random_number() % PAL_ARRAY_LENGTH(actions);

			by_number[number] = verdicts[otherwise];
			if (name && random_number() % density == 0) {
				rule(filter, actions[action], name);
				by_number[number] = verdicts[action];
			}
			free(name);
		}
		program = compiled(filter);
		theirs = reference(verdicts[otherwise], by_number, NUMBERS);
		for (unsigned number = 0; number < NUMBERS + 100; number++)
			ck_assert_uint_eq(answer(&program.code, number), answer(&theirs, number));
		for (unsigned far = 9; far < 32; far++)
			for (int by = -1; by <= 1; by++) {
				unsigned number = (1u << far) + (unsigned)by;

				ck_assert_uint_eq(
					answer(&program.code, number), answer(&theirs, number));
			}
		ck_assert_uint_eq(answer(&program.code, UINT32_MAX), answer(&theirs, UINT32_MAX));
		free(theirs.filter);
		pal__seccomp_program_free(&program.code);
		pal_seccomp_free(filter);
	}
}
END_TEST

START_TEST(a_filter_may_be_so_long_that_jumps_need_help)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_KILL);
	struct pal__seccomp_program program;
	struct seccomp_data data = {.arch = seccomp_arch_native()};

	for (uint64_t value = 0; value < 300; value++)
		for (int call = 0; call < 3; call++)
			rule_if(filter, PAL_SECCOMP_ERRNO(1 + (int)value),
				(const char *const[]){"read", "mmap", "openat"}[call],
				&(struct pal_seccomp_compare){
					.arg = 1, .value = value, .mask = UINT32_MAX},
				1);
	program = compiled(filter);
	ck_assert_uint_gt(program.code.len, 3 * 300 * 2);
	for (int call = 0; call < 3; call++)
		for (uint64_t value = 0; value <= 300; value++) {
			data.nr = (const int[]){SYS_read, SYS_mmap, SYS_openat}[call];
			data.args[1] = UINT64_C(0xabcd00000000) | value;
			ck_assert_uint_eq(run(&program.code, &data),
				value == 300 ? SECCOMP_RET_KILL_PROCESS
					     : SECCOMP_RET_ERRNO | (uint32_t)(1 + value));
		}
	ck_assert_uint_eq(answer(&program.code, SYS_write), SECCOMP_RET_KILL_PROCESS);
	pal__seccomp_program_free(&program.code);
	pal_seccomp_free(filter);
}
END_TEST

START_TEST(a_later_rule_takes_back_what_a_group_gave)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_KILL);
	struct pal__seccomp_program program;
	struct pal_error error = {0};

	ck_assert_ok(
		pal_seccomp_group(filter, PAL_SECCOMP_ALLOW, "@system-service", &error), &error);
	rule(filter, PAL_SECCOMP_ERRNO(EACCES), "socket");
	rule_if(filter, PAL_SECCOMP_ERRNO(EXFULL), "openat",
		&(struct pal_seccomp_compare){.arg = 2, .value = O_WRONLY, .mask = O_ACCMODE}, 1);
	program = compiled(filter);
	ck_assert_uint_eq(answer(&program.code, SYS_read), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(answer(&program.code, SYS_socket), SECCOMP_RET_ERRNO | EACCES);
	ck_assert_uint_eq(answer(&program.code, SYS_openat), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(run(&program.code, &(struct seccomp_data){.nr = SYS_openat,
						     .arch = seccomp_arch_native(),
						     .args = {0, 0, O_WRONLY | O_CREAT}}),
		SECCOMP_RET_ERRNO | EXFULL);
	ck_assert_uint_eq(answer(&program.code, SYS_mount), SECCOMP_RET_KILL_PROCESS);
	pal__seccomp_program_free(&program.code);
	pal_seccomp_free(filter);
}
END_TEST

/* ---- what no rule is about ---- */

START_TEST(newer_calls_may_meet_something_else) /* S93 */
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_KILL);
	struct pal__seccomp_program program;
	struct pal_error error = {0};

	rule(filter, PAL_SECCOMP_ALLOW, "read");
	ck_assert_ok(pal_seccomp_newer(filter, PAL_SECCOMP_ERRNO(ENOSYS), &error), &error);
	program = compiled(filter);
	ck_assert_uint_eq(answer(&program.code, SYS_read), SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(answer(&program.code, SYS_write), SECCOMP_RET_KILL_PROCESS);
	ck_assert_uint_eq(answer(&program.code, SYS_clone3), SECCOMP_RET_KILL_PROCESS);
	ck_assert_uint_eq(answer(&program.code, 9999), SECCOMP_RET_ERRNO | ENOSYS);
	ck_assert_uint_eq(answer(&program.code, UINT32_MAX), SECCOMP_RET_ERRNO | ENOSYS);
#ifdef __x86_64__
	ck_assert_uint_eq(answer(&program.code, 448), SECCOMP_RET_KILL_PROCESS);
	ck_assert_uint_eq(answer(&program.code, 500), SECCOMP_RET_ERRNO | ENOSYS);
	ck_assert_uint_eq(answer(&program.code, 0x40000000u | SYS_read), SECCOMP_RET_KILL_PROCESS);
#endif
	pal__seccomp_program_free(&program.code);
	pal_seccomp_free(filter);
}
END_TEST

START_TEST(foreign_architectures_meet_one_action_and_never_a_rule) /* S92 */
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct seccomp_data data = {.nr = SYS_read, .arch = SCMP_ARCH_X86};
	struct pal__seccomp_program program;
	struct pal_error error = {0};
	const int refused[] = {PAL_SECCOMP_ALLOW, PAL_SECCOMP_LOG, PAL_SECCOMP_NOTIFY,
		PAL_SECCOMP_TRACE(0), -6, 4096};

	program = compiled(filter);
	ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_KILL_PROCESS);
	pal__seccomp_program_free(&program.code);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(refused); i++)
		ck_assert_int_eq(pal_seccomp_foreign(filter, refused[i], &error), -EINVAL);
	ck_assert_ok(pal_seccomp_foreign(filter, PAL_SECCOMP_ERRNO(EACCES), &error), &error);
	program = compiled(filter);
	ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_ERRNO | EACCES);
#ifdef __x86_64__
	ck_assert_uint_eq(
		answer(&program.code, 0x40000000u | SYS_read), SECCOMP_RET_ERRNO | EACCES);
	ck_assert_uint_eq(answer(&program.code, 0x3fffffff), SECCOMP_RET_ALLOW);
#endif
	pal__seccomp_program_free(&program.code);
	pal_seccomp_free(filter);
}
END_TEST

/* ---- keys ---- */

START_TEST(the_first_execs_key_counts_more_than_any_rule)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct seccomp_data data = {.nr = SYS_execve, .arch = seccomp_arch_native()};
	struct pal__seccomp_program program;
	struct pal_error error = {0};

	ck_assert_ok(pal_seccomp_allow_first_exec(filter, &error), &error);
	rule(filter, PAL_SECCOMP_ALLOW, "execve");
	program = compiled(filter);
	ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_KILL_PROCESS);
	data.args[3] = program.exec_key;
	ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_ALLOW);
	data.args[3] = program.exec_key + 1;
	ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_KILL_PROCESS);
	pal__seccomp_program_free(&program.code);
	pal_seccomp_free(filter);
}
END_TEST

START_TEST(under_notification_the_key_lets_the_librarys_calls_pass_and_no_others)
{
	const long keyed[] = {SYS_execve, SYS_rt_sigprocmask, SYS_sendmsg, SYS_close, SYS_write};
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_NOTIFY);
	struct pal__seccomp_program program = compiled(filter), again;
	struct seccomp_data data = {.arch = seccomp_arch_native()};

	ck_assert(program.notify);
	ck_assert_uint_ne(program.start_key, 0);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(keyed); i++) {
		data.nr = (int)keyed[i];
		data.args[5] = program.start_key;
		data.arch = seccomp_arch_native();
		ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_ALLOW);
		for (int bit = 0; bit < 64; bit++) {
			data.args[5] = program.start_key ^ UINT64_C(1) << bit;
			ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_USER_NOTIF);
		}
		data.args[5] = program.start_key;
		data.arch ^= 1;
		ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_KILL_PROCESS);
	}
	data.arch = seccomp_arch_native();
	data.nr = SYS_openat;
	ck_assert_uint_eq(run(&program.code, &data), SECCOMP_RET_USER_NOTIF);
	again = compiled(filter);
	ck_assert_uint_ne(program.start_key, again.start_key);
	pal__seccomp_program_free(&program.code);
	pal__seccomp_program_free(&again.code);
	pal_seccomp_free(filter);
}
END_TEST

/* ---- limits ---- */

START_TEST(a_program_of_4096_instructions_passes_and_one_more_does_not) /* S91 */
{
	PAL_CLEANUP_FREE struct sock_filter *code = calloc(BPF_MAXINSNS + 1, sizeof *code);
	struct pal__seccomp_program program;
	struct pal_error error = {0};

	for (size_t i = 0; i <= BPF_MAXINSNS; i++)
		code[i] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	ck_assert_ok(pal__seccomp_copy(code, BPF_MAXINSNS, &program, &error), &error);
	ck_assert_uint_eq(program.code.len, BPF_MAXINSNS);
	ck_assert_mem_eq(program.code.filter, code, BPF_MAXINSNS * sizeof *code);
	ck_assert(!program.notify);
	pal__seccomp_program_free(&program.code);
	ck_assert_int_eq(pal__seccomp_copy(code, BPF_MAXINSNS + 1, &program, &error), -E2BIG);
	ck_assert_int_eq(error.stage, PAL_STAGE_SECCOMP);
	ck_assert_int_eq(pal__seccomp_copy(code, 0, &program, &error), -EINVAL);
	ck_assert_int_eq(pal__seccomp_copy(NULL, 1, &program, &error), -EINVAL);
	/* with the library's own prologue it is too long */
	code[0].k = SECCOMP_RET_USER_NOTIF;
	ck_assert_int_eq(pal__seccomp_copy(code, BPF_MAXINSNS, &program, &error), -E2BIG);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/seccomp-compile");
	TCase *rules = support_tcase(suite, "rules");
	TCase *rest = support_tcase(suite, "rest");
	TCase *limits = support_tcase(suite, "limits");

	tcase_set_timeout(rules, 60);
	tcase_add_test(rules, conditions_mean_what_they_say_and_the_last_rule_counts);
	tcase_add_test(rules, libseccomp_makes_the_same_of_rules_without_conditions);
	tcase_add_test(rules, a_filter_may_be_so_long_that_jumps_need_help);
	tcase_add_test(rules, a_later_rule_takes_back_what_a_group_gave);
	tcase_add_test(rest, newer_calls_may_meet_something_else);
	tcase_add_test(rest, foreign_architectures_meet_one_action_and_never_a_rule);
	tcase_add_test(rest, the_first_execs_key_counts_more_than_any_rule);
	tcase_add_test(rest, under_notification_the_key_lets_the_librarys_calls_pass_and_no_others);
	tcase_add_test(limits, a_program_of_4096_instructions_passes_and_one_more_does_not);
	return suite;
}
SUPPORT_MAIN(make_suite)
