/* SPDX-License-Identifier: MIT */
#include <pal/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <pal/util-priv.h>

static const char *const stage_names[] = {
	[PAL_STAGE_NONE] = "nothing failed",
	[PAL_STAGE_ARGUMENT] = "argument",
	[PAL_STAGE_MEMORY] = "memory",
	[PAL_STAGE_STDIO] = "stdio",
	[PAL_STAGE_PROFILE] = "profile",
	[PAL_STAGE_STACK] = "child stack",
	[PAL_STAGE_CLONE] = "clone",
	[PAL_STAGE_SIGNALS] = "signals",
	[PAL_STAGE_CGROUP] = "cgroup",
	[PAL_STAGE_NAMESPACE] = "namespace",
	[PAL_STAGE_ID_MAP] = "id map",
	[PAL_STAGE_HOSTNAME] = "hostname",
	[PAL_STAGE_LOOPBACK] = "loopback",
	[PAL_STAGE_MOUNT] = "mount",
	[PAL_STAGE_FDS] = "descriptor",
	[PAL_STAGE_NICE] = "nice value",
	[PAL_STAGE_SCHEDULER] = "scheduler",
	[PAL_STAGE_AFFINITY] = "CPU affinity",
	[PAL_STAGE_SESSION] = "session",
	[PAL_STAGE_PROCESS_GROUP] = "process group",
	[PAL_STAGE_TERMINAL] = "controlling terminal",
	[PAL_STAGE_RLIMIT] = "rlimit",
	[PAL_STAGE_GROUPS] = "supplementary groups",
	[PAL_STAGE_GID] = "group",
	[PAL_STAGE_UID] = "user",
	[PAL_STAGE_PARENT_DEATH] = "parent-death signal",
	[PAL_STAGE_STEP] = "step",
	[PAL_STAGE_CLOSE_OTHERS] = "close other descriptors",
	[PAL_STAGE_CHDIR] = "chdir",
	[PAL_STAGE_CAPABILITIES] = "capabilities",
	[PAL_STAGE_NO_NEW_PRIVS] = "no_new_privs",
	[PAL_STAGE_LANDLOCK] = "Landlock",
	[PAL_STAGE_SECCOMP] = "seccomp",
	[PAL_STAGE_EXEC] = "exec",
	[PAL_STAGE_DIED] = "killed before exec",
	[PAL_STAGE_WAIT] = "wait",
	[PAL_STAGE_SIGNAL] = "signal",
	[PAL_STAGE_THREADS] = "threads",
	[PAL_STAGE_SOCKET] = "socket",
};

const char *pal_stage_name(int stage)
{
	if (stage < 0 || (size_t)stage >= PAL_ARRAY_LENGTH(stage_names) || !stage_names[stage])
		return "unknown stage";
	return stage_names[stage];
}

const char *pal_error_text(const struct pal_error *error)
{
	const char *text;

	if (!error)
		return "unknown error";
	if (error->text[0])
		return error->text;
	text = strerrordesc_np(-error->code); /* a constant string: strerror's buffer is shared */
	return text ? text : "unknown error";
}

int pal_error_set(struct pal_error *error, int stage, int code, const char *format, ...)
{
	int saved = errno, used;
	const char *reason = strerrordesc_np(-code);
	va_list args;

	if (!error)
		return code;
	*error = (struct pal_error){.code = code, .stage = stage};
	va_start(args, format);
	used = vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	if (used < 0)
		used = 0;
	if ((size_t)used < sizeof error->text)
		snprintf(error->text + used, sizeof error->text - (size_t)used, "%s%s", used ? ": " : "",
			reason ? reason : "unknown error");
	errno = saved;
	return code;
}
