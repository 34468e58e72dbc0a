/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_H
#define PROCMESH_PAL_PROFILE_H

#include <pal/error.h>
#include <pal/export.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct pal_builder;

/*
 * A sandbox in two stages. `apply` runs in the parent and sets what holds from
 * exec on; the program's loader and initialisation still have to work under it.
 * `finalize` is called by the child itself once it has initialised, and closes
 * what only the initialisation needed. Either may be NULL. Both return 0 or a
 * negative errno. The struct and what `data` points to stay the caller's and
 * must outlive their use.
 *
 * Several profiles on one builder, and what it had been told before them, all hold at once:
 * capabilities and limits that every one of them leaves, calls that every filter allows,
 * every Landlock ruleset (up to five; -E2BIG). Of what is no sandbox - user, folder,
 * environment - the later one counts. The same for what setters say after a profile: it comes on
 * top. -EOPNOTSUPP: a filter with PAL_SECCOMP_NOTIFY or TRACE cannot be the first of two; a later
 * profile, or a setter, may hide files and make them read-only, but not cover a mount of an earlier
 * profile, bind anything into a root that is there, or make a root where mounts are there. (A setter's
 * error comes from the spawn. Until a profile has mounts or a root, the caller's own are free.)
 *
 * One's own profile is made of the parts in sandbox.h, and may begin with
 * another profile's hook; within a hook a part that is set twice is replaced:
 *
 *	static int apply(const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
 *	{
 *		struct pal_landlock *files;
 *		int r = pal_profile_pure_compute()->apply(profile, builder, error);
 *
 *		if (r >= 0)
 *			r = pal_landlock_new(&files, error);
 *		if (r < 0)
 *			return r;
 *		r = pal_landlock_allow_path(files, "/usr", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, error);
 *		if (r >= 0)
 *			pal_builder_landlock(builder, files);
 *		pal_landlock_free(files);
 *		return r;
 *	}
 *	static const struct pal_profile decoder = {.size = sizeof decoder, .name = "decoder", .apply = apply};
 */
struct pal_profile {
	size_t size;      /* sizeof(struct pal_profile); too small is -EINVAL, more than is known here -E2BIG */
	const char *name; /* for messages */
	int (*apply)(const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);
	int (*finalize)(const struct pal_profile *profile, struct pal_error *error);
	void *data;
	/* Of profiles that a function here has made, else NULL: */
	void (*destroy)(struct pal_profile *profile); /* for pal_profile_free */
	/*
	 * which pal_profile_parse makes the same profile of: for pal_profile_pass. pal_profile_describe calls the
	 * finalize of such a profile, while pal_self_restrict only notes what it was to do.
	 */
	const char *text;
};

/* For what the functions below return through *ret; takes NULL. A profile must outlive those composed of it. */
PAL_EXPORT void pal_profile_free(struct pal_profile *profile);

/*
 * Calls profile->finalize on this process, for the child to call when its
 * initialisation is over. Restrictions reach every thread or it fails; see
 * pal_self_restrict. 0 where the profile has none or is NULL.
 */
PAL_EXPORT int pal_profile_finalize(const struct pal_profile *profile, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Pure computation on descriptors that it is given.
 *
 * apply: no_new_privs; no capabilities; no core files and at most 64
 * descriptors (no limit of this process, soft or hard, is raised); a Landlock
 * domain, with which a ruleset of one's own stacks; and a seccomp filter. It lets
 * the dynamic loader, libc's start-up and ordinary initialisation work: files may
 * be opened to be read, threads be started. Not: open for writing or change files,
 * make sockets, signal or start processes, ptrace, mount, execute anything after
 * the first program. (New processes are refused by the filter: RLIMIT_NPROC counts
 * a user's processes everywhere, and does not bind root.)
 * The domain keeps signals inside, and the memory of processes outside of it
 * closed (/proc/PID/mem). What remains on older kernels: before Landlock ABI 6
 * (Linux 6.12) tgkill(2) with SIGABRT or pal_threads_signal() reaches any process
 * of the same user, and other signals fail, even to itself; without Landlock the
 * memory of such a process can be read where ptrace(2) would be allowed.
 *
 * finalize, which needs Landlock: no path at all for Landlock, and a tighter
 * filter: memory that is not executable, read and write and sendmsg/recvmsg on
 * descriptors that exist, poll and epoll, eventfd and memfd_create, time,
 * futexes, threads, exit. From then on no file can be opened and no socket made
 * in any thread. stat of any path still works, as far as the user may search it:
 * libc's fstat is the same call. What libraries load when it is first needed -
 * iconv, locales, name services, libgcc_s for pthread_exit and backtrace - must be
 * loaded before.
 *
 * Under both, what harmless code may try (opening a file, making a socket,
 * forking) fails with EACCES; what only an attacker would (ptrace, mount,
 * unshare, bpf, execve without a fork, ...) kills the process with SIGSYS;
 * calls that this library does not know are ENOSYS, so that libc falls back to
 * older ones. A leak checker that traces the process at exit cannot work here.
 */
PAL_EXPORT const struct pal_profile *pal_profile_pure_compute(void);

/*
 * Reads the files and folders that are named (absolute; they must be there when it is
 * applied), NULL at the end. As pure computation, and Landlock is needed from the start: until finalize
 * the system's programs, libraries and settings (/usr, /lib, /etc, ...), /proc and the builder's program
 * can be read too, /dev/null be written, and the first program be executed; from then on only what is named can be
 * opened, to be read.
 */
PAL_EXPORT int pal_profile_file_reader_new(const char *const *paths, struct pal_profile **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * Calls others on the internet, and has no files: TCP to these ports (none given: any) and UDP
 * to any, over IPv4 and IPv6; it cannot listen, nor use other sockets or protocols, such as MPTCP, nor
 * TCP's fast open and upper layers (TCP_ULP), which Landlock does not see. As pure
 * computation otherwise; until finalize the system's files can be read as above, and what resolves names must be
 * loaded by then, settings included. Ports are Landlock's, ABI 4; before that -EOPNOTSUPP at
 * PAL_STAGE_LANDLOCK where ports are given.
 */
PAL_EXPORT int pal_profile_network_client_new(const uint16_t *ports, size_t count, struct pal_profile **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * Runs compilers and shells: reads and executes the system's programs (/usr, /opt, ...), reads /etc, /proc, and does
 * anything to what is in the folders that are named (absolute, without ".." or "/" itself; more than 512 are
 * -E2BIG, and each takes a descriptor until the program runs). All other files are read-only, their modes, owners,
 * times and attributes too. It makes no sockets but connected pairs, has no
 * privileges, sees no keys, no System V objects and no message queues of others, and cannot trace, enter
 * namespaces, signal processes outside, limit or schedule any
 * but the caller of the call (a number in place of 0 is EPERM, also its own), or put characters into a terminal.
 * Between two of the folders files can be copied, not renamed. TMPDIR is the first. No finalize.
 *
 * It has mounts and IPC of its own, and without CAP_SYS_ADMIN a user namespace for
 * these, where other users' ids are 65534; before Landlock ABI 6, which keeps signals inside, also a pid
 * namespace, with pal_builder_pid_init(). Where these or Landlock cannot be had
 * the spawn fails (PAL_STAGE_NAMESPACE, _ID_MAP, _MOUNT, _LANDLOCK). What it is given open - descriptors, a terminal - is
 * as writable as it was. Names and metadata can be looked at everywhere, and what it may read it may lock (flock(2)).
 */
PAL_EXPORT int pal_profile_build_worker_new(const char *const *folders, struct pal_profile **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/* "pure-computation", "file-reader", "network-client", "build-worker", with their paths or ports as text. */
PAL_EXPORT int pal_profile_by_name(const char *name, const char *const *parameters, size_t count,
	struct pal_profile **ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Both: apply of the first, then of the second, and the same for finalize; there the second must
 * be the one that leaves less, because the first may forbid what finalize needs. Both
 * must outlive it. What a filter says no to, it says in its own way: the first one's answer counts.
 */
PAL_EXPORT int pal_profile_compose(const struct pal_profile *first, const struct pal_profile *second,
	struct pal_profile **ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * What a program under this profile has and has not, a line for each thing, for people: found out by
 * applying it to a builder that nothing is spawned from, and going through what that has then; calls are
 * put through the compiled filter one by one. What finalize adds is told in the same way, if the profile has a
 * text or is composed of such; other hooks are not called, and the description says so. *ret is for free(3).
 * Fails as apply does.
 */
PAL_EXPORT int pal_profile_describe(const struct pal_profile *profile, char **ret, struct pal_error *error)
	PAL_MUST_CHECK;

PAL_END_DECLS

#endif
