/* SPDX-License-Identifier: MIT */
#include <isolate/isolate.h>

#include <stdlib.h>

void isolate_result_clear(struct isolate_result *result)
{
	if (!result)
		return;
	free(result->data);
	*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED};
}
