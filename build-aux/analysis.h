/* SPDX-License-Identifier: MIT */

/*
 * Included before each file when a static analyser reads it. Analysers see one
 * file at a time; this tells them that pal_error_set returns the code it is given.
 */
#include <pal/error.h>

#define pal_error_set(error, stage, code, ...) \
	__extension__({ \
		int analysis_code_ = (code); \
		pal_error_set(error, stage, analysis_code_, __VA_ARGS__); \
		analysis_code_; \
	})
