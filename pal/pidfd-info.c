/* SPDX-License-Identifier: MIT */
#include <pal/pidfd-info-priv.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <pal/poll-priv.h>

/* As <linux/pidfd.h> has it in its first version, and here for headers that are older. */
struct info {
	uint64_t mask; /* asked for, and then what there is */
	uint64_t cgroup;
	uint32_t pid, tgid, ppid;
	uint32_t ids[8]; /* of users and groups */
	int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)
#define INFO_EXIT (UINT64_C(1) << 3)

/* A wait can notice the end a moment before the kernel has written it down. */
#define LOOKS 100

int pal__pidfd_exit_status(int pidfd, int *ret)
{
	for (int i = 0; i < LOOKS; i++) {
		struct info info = {.mask = INFO_EXIT};

		if (ioctl(pidfd, GET_INFO, &info) < 0)
			return -errno;
		if (info.mask & INFO_EXIT) {
			*ret = info.exit_code;
			return 0;
		}
		pal__poll(NULL, 0, 1);
	}
	return -EAGAIN;
}
