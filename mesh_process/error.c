/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mesh_process__fail(struct pal_error *error, int stage, int code, const char *format, ...)
{
	va_list args;

	if (!error)
		return code;
	*error = (struct pal_error){.code = code, .stage = stage};
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	return code;
}

int mesh_process__wrap(struct pal_error *error, int stage, int code, const char *name)
{
	struct pal_error inner;

	if (!error)
		return code;
	inner = *error;
	mesh_process__fail(
		error, stage, code, "host '%.64s': %.170s", name, pal_error_text(&inner));
	error->index = inner.stage;
	return code;
}
