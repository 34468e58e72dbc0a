/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include <pal/util-priv.h>

/* What the child reported, in the words and numbers of whoever filled the builder. */

static const char *const streams[] = {"stdin", "stdout", "stderr"};

static int fd_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error)
{
	const struct pal__fd_request *request;
	int stage = PAL_STAGE_FDS, index;

	if (report->index < 0 ||
		(size_t)report->index >= builder->fd_count) /* one of the library's */
		return pal_error_set(error, PAL_STAGE_FDS, report->code, "internal descriptor");
	request = &builder->fds[report->index];
	index = request->call;
	if (request->call >= 0) {
		pal_error_set(error, stage, report->code, "descriptor %d as %d", request->from.fd,
			request->child_fd);
	} else {
		stage = PAL_STAGE_STDIO;
		index = request->child_fd;
		pal_error_set(error, stage, report->code, "%s", streams[request->child_fd]);
	}
	if (error)
		error->index = index;
	return report->code;
}

static int step_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error)
{
	static const char *const names[] = {
		[PAL__STEP_OPEN] = "open",
		[PAL__STEP_DUP2] = "dup2",
		[PAL__STEP_CLOSE] = "close",
		[PAL__STEP_CLOSE_FROM] = "close from",
		[PAL__STEP_CHDIR] = "chdir",
		[PAL__STEP_FCHDIR] = "fchdir",
		[PAL__STEP_FOREGROUND] = "foreground of",
	};
	const struct pal__step *step = &builder->steps.items[report->index];
	const char *stage = pal_stage_name(report->stage), *name = names[step->kind];

	if (step->path)
		pal_error_set(error, report->stage, report->code, "%s %d: %s %s", stage,
			report->index, name, step->path);
	else
		pal_error_set(error, report->stage, report->code, "%s %d: %s %d", stage,
			report->index, name, step->fd);
	if (error)
		error->index = report->index;
	return report->code;
}

static int chdir_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error)
{
	const char *name = pal_stage_name(report->stage);

	if (builder->cwd)
		return pal_error_set(
			error, report->stage, report->code, "%s %s", name, builder->cwd);
	if (builder->cwd_fd >= 0)
		return pal_error_set(error, report->stage, report->code, "%s to descriptor %d",
			name, builder->cwd_fd);
	return pal_error_set(error, report->stage, report->code,
		"%s: this process's folder is not to be seen behind the mounts; say another", name);
}

static int mount_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error)
{
	static const char *const names[] = {
		[PAL__MOUNT_BIND] = "bind",
		[PAL__MOUNT_TMPFS] = "tmpfs",
		[PAL__MOUNT_PROC] = "proc",
		[PAL__MOUNT_DEV] = "dev",
		[PAL__MOUNT_SYMLINK] = "symbolic link",
		[PAL__MOUNT_KEEP] = "keep",
		[PAL__MOUNT_READ_ONLY] = "read-only",
		[PAL__MOUNT_HIDE] = "hide",
	};
	const struct pal__mount *mount;

	if ((size_t)report->index >= builder->root.count) {
		pal_error_set(error, report->stage, report->code, "root of a mount namespace");
	} else {
		mount = &builder->root.items[report->index];
		pal_error_set(error, report->stage, report->code, "mount %d: %s%s%s on /%s%s%s",
			report->index, names[mount->kind], mount->source ? " " : "",
			mount->source ? mount->source : "", mount->target,
			mount->name && *mount->target ? "/" : "", mount->name ? mount->name : "");
	}
	if (error)
		error->index = report->index;
	return report->code;
}

static int limit_error(const struct pal__report *report, struct pal_error *error)
{
	static const char *const names[] = {
		[RLIMIT_CPU] = "CPU",
		[RLIMIT_FSIZE] = "FSIZE",
		[RLIMIT_DATA] = "DATA",
		[RLIMIT_STACK] = "STACK",
		[RLIMIT_CORE] = "CORE",
		[RLIMIT_RSS] = "RSS",
		[RLIMIT_NPROC] = "NPROC",
		[RLIMIT_NOFILE] = "NOFILE",
		[RLIMIT_MEMLOCK] = "MEMLOCK",
		[RLIMIT_AS] = "AS",
		[RLIMIT_LOCKS] = "LOCKS",
		[RLIMIT_SIGPENDING] = "SIGPENDING",
		[RLIMIT_MSGQUEUE] = "MSGQUEUE",
		[RLIMIT_NICE] = "NICE",
		[RLIMIT_RTPRIO] = "RTPRIO",
		[RLIMIT_RTTIME] = "RTTIME",
	};
	size_t resource = (size_t)report->index;

	if (resource < PAL_ARRAY_LENGTH(names) && names[resource])
		pal_error_set(
			error, report->stage, report->code, "limit RLIMIT_%s", names[resource]);
	else
		pal_error_set(error, report->stage, report->code, "limit %d", report->index);
	if (error)
		error->index = report->index;
	return report->code;
}

int pal__report_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error)
{
	const char *name = pal_stage_name(report->stage);

	switch (report->stage) {
	case PAL_STAGE_FDS:
		return fd_error(builder, report, error);
	case PAL_STAGE_MOUNT:
		return mount_error(builder, report, error);
	case PAL_STAGE_STEP:
		return step_error(builder, report, error);
	case PAL_STAGE_CHDIR:
		return chdir_error(builder, report, error);
	case PAL_STAGE_RLIMIT:
		return limit_error(report, error);
	case PAL_STAGE_EXEC:
		return pal_error_set(
			error, report->stage, report->code, "%s %s", name, builder->program);
	}
	pal_error_set(error, report->stage, report->code, report->index ? "%s %d" : "%s", name,
		report->index);
	if (error)
		error->index = report->index;
	return report->code;
}

int pal__died_error(int signal, struct pal_error *error)
{
	const char *name = sigabbrev_np(signal);

	if (signal == 0)
		pal_error_set(error, PAL_STAGE_DIED, -ECHILD, "ended by itself before it ran");
	else if (name)
		pal_error_set(error, PAL_STAGE_DIED, -ECHILD, "%s by SIG%s",
			pal_stage_name(PAL_STAGE_DIED), name);
	else
		pal_error_set(error, PAL_STAGE_DIED, -ECHILD, "%s by signal %d",
			pal_stage_name(PAL_STAGE_DIED), signal);
	if (error)
		error->index = signal;
	return -ECHILD;
}
