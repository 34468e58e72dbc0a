/* SPDX-License-Identifier: MIT */

#include "tests/pal/attempts.h"

/* inside ATTEMPT ARGUMENT: makes an attempt of attempts.h, and exits with its result. */
int main(int argc, char **argv)
{
	return argc > 2 ? attempt(argv[1], argv[2]) : 255;
}
