/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PIDFD_INFO_PRIV_H
#define PROCMESH_PAL_PIDFD_INFO_PRIV_H

/*
 * How the process of this pidfd has ended, which has been reaped: as waitpid(2)
 * tells it, in *ret. Linux 6.15. Else a negative errno, -ENOTTY or others.
 */
int pal__pidfd_exit_status(int pidfd, int *ret);

#endif
