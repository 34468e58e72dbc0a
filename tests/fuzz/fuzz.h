/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_FUZZ_H
#define PROCMESH_TESTS_FUZZ_H

/*
 * Each fuzz-NAME.c defines this function. With --enable-fuzzing libFuzzer calls
 * it; in an ordinary build replay.c does, with every file of corpus/NAME. What
 * must hold is written with must(): its failure is a finding.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif
