/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>
#include "support.h"
static Suite *make_suite(void)
{
	return suite_create("pal/root");
}
SUPPORT_MAIN(make_suite)
