/* SPDX-License-Identifier: MIT */
#include <pal/sandbox-priv.h>

#include <linux/seccomp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/capabilities-priv.h>
#include <pal/landlock-priv.h>
#include <pal/seccomp-priv.h>
#include <pal/threads-priv.h>
#include <pal/util-priv.h>

/* What every thread does to itself, and what the first of them that could not do it says. */
struct tightening {
	struct pal__sandbox sandbox;
	struct pal__sandbox_entry entry; /* the ruleset's descriptor is borrowed from it */
	atomic_flag failed;
	struct pal__report report;
};

static int tighten_thread(void *arg)
{
	struct tightening *tightening = arg;
	struct pal__report report = {0};
	int result =
		pal__sandbox_enter_unfiltered(&tightening->sandbox, &tightening->entry, &report);

	if (result < 0 && !atomic_flag_test_and_set(&tightening->failed))
		tightening->report = report;
	return result;
}

static int tighten_all_threads(const struct pal_self_restrictions *asked, struct pal_error *error)
{
	struct tightening tightening = {
		.sandbox = PAL__SANDBOX_INIT,
		.entry = {.landlock_fd = asked->landlock ? asked->landlock->fd : -1,
			.stacked_fds = {[0 ... PAL__STACKED_MAX - 1] = -1}},
		.failed = ATOMIC_FLAG_INIT,
	};
	int result;

	tightening.sandbox.no_new_privs = asked->no_new_privs;
	if (asked->landlock)
		tightening.sandbox.landlock_flags = asked->landlock->restrict_flags;
	tightening.sandbox.only_narrow = true;
	if (asked->capabilities)
		pal__capabilities_plan(&tightening.sandbox, asked->capabilities);
	result = pal__on_every_thread(tighten_thread, &tightening, error);
	if (!tightening.report.code)
		return result;
	pal_error_set(error, tightening.report.stage, result, "%s of this process",
		pal_stage_name(tightening.report.stage));
	if (error)
		error->index = tightening.report.index;
	return result;
}

/* One call for all threads, none of which has to be interrupted for it. */
static int filter_all_threads(const struct sock_fprog *program, struct pal_error *error)
{
	long result =
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program);

	if (result < 0)
		return pal_error_set(error, PAL_STAGE_SECCOMP, -errno, "seccomp of this process");
	if (result == 0)
		return 0;
	pal_error_set(error, PAL_STAGE_SECCOMP, -EBUSY,
		"thread %ld has a seccomp filter of its own", result);
	if (error)
		error->index = (int)result;
	return -EBUSY;
}

/* Of a thread that describes a profile: what takes the place of this process. */
static _Thread_local struct pal_builder *instead;

struct pal_builder *pal__self_restrict_instead(struct pal_builder *builder)
{
	struct pal_builder *before = instead;

	instead = builder;
	return before;
}

static int note(const struct pal_self_restrictions *restrictions, struct pal_error *error)
{
	if (restrictions->no_new_privs)
		pal_builder_no_new_privs(instead, true);
	if (restrictions->capabilities)
		pal_builder_capabilities(instead, restrictions->capabilities);
	if (restrictions->landlock)
		pal_builder_landlock(instead, restrictions->landlock);
	if (restrictions->seccomp)
		pal_builder_seccomp(instead, restrictions->seccomp);
	if (instead->first_error.code && error)
		*error = instead->first_error;
	return instead->first_error.code;
}

int pal_self_restrict(const struct pal_self_restrictions *restrictions, struct pal_error *error)
{
	struct pal__seccomp_program program = {0};
	int result = restrictions ? pal_check_size(
					    restrictions, restrictions->size, sizeof *restrictions)
				  : -EINVAL;

	if (result < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, result, "pal_self_restrict");
	if (instead)
		return note(restrictions, error);
	if (restrictions->seccomp) { /* before anything is applied, under which it might fail */
		result = pal__seccomp_compile(restrictions->seccomp, &program, error);
		if (!result && program.notify) /* there is nobody else to ask */
			result = pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL,
				"PAL_SECCOMP_NOTIFY in this process");
	}
	if (!result && (restrictions->no_new_privs || restrictions->capabilities ||
			       restrictions->landlock))
		result = tighten_all_threads(restrictions, error);
	if (!result && program.code.len)
		result = filter_all_threads(&program.code, error);
	pal__seccomp_program_free(&program.code);
	return result;
}
