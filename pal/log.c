/* SPDX-License-Identifier: MIT */
#include <pal/log.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static pal_log_fn log_fn;
static void *log_userdata;

void pal_log_set(pal_log_fn fn, void *userdata)
{
	log_fn = fn;
	log_userdata = userdata;
}

void pal_log(enum pal_log_level level, const char *format, ...)
{
	char text[512];
	int saved = errno;
	va_list args;

	if (!log_fn)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	log_fn(level, text, log_userdata);
	errno = saved;
}
