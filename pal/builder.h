/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_BUILDER_H
#define PROCMESH_PAL_BUILDER_H

#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

struct pal_builder;
struct pal_child;
struct pal_profile;

/*
 * A description of a child process, from which any number of children can be
 * spawned. A builder belongs to one thread at a time; different builders may be
 * used from different threads at once.
 *
 * Setters copy what they are given and return nothing: the first invalid value
 * (an empty name, '=' in a variable's
 * name, a negative descriptor, memory running out) is remembered and returned
 * by spawn, with its stage.
 *
 * What a child gets if nothing is said: the parent's environment at the time of
 * spawn, its working directory, its stdin, stdout and stderr, no other
 * descriptor; every signal at its default disposition with nothing blocked;
 * everything else as execve(2) says.
 */

/*
 * Never NULL to a caller who checks spawn: returns NULL when memory runs out,
 * and every setter and spawn accept NULL (spawn then returns -ENOMEM).
 * `program` containing a slash is a path, relative to the child's cwd();
 * otherwise it is searched, see pal_builder_search. A text file without #! is
 * ENOEXEC and is never handed to a shell. NULL is allowed for a builder that is
 * used with pal_fork only.
 */
PAL_EXPORT struct pal_builder *pal_builder_new(const char *program);
PAL_EXPORT void pal_builder_free(struct pal_builder *builder);
/*
 * Frees its memory and closes nothing that it owns: for the copy in a fork, which may have files of
 * its own at these numbers. Takes NULL; keeps errno.
 */
PAL_EXPORT void pal_builder_forget(struct pal_builder *builder);

/*
 * What spawn would return before it does anything: the first invalid value, or -ENOMEM for
 * NULL. 0: nothing is wrong so far.
 */
PAL_EXPORT int pal_builder_error(const struct pal_builder *builder, struct pal_error *error);

/*
 * Where a program without a slash is looked for. By default in the PATH of the
 * parent's environment at the time of spawn, or in /bin:/usr/bin where there is
 * no PATH; elements that are empty or relative are skipped, because they would
 * run whatever lies in a working directory. As with execvp(3) the search goes on
 * behind what is missing (ENOENT, ENOTDIR, ...) or may not be executed (EACCES,
 * reported if nothing else is found). Flags, or-ed:
 */
#define PAL_SEARCH_CHILD_PATH 1u /* PATH of the environment that the child gets, in place of the parent's */
#define PAL_SEARCH_RELATIVE 2u   /* as execvp(3): empty and relative elements count, from the child's cwd() */
#define PAL_SEARCH_NONE 4u       /* no search: a program without a slash is a path, too, as in execve(2) */
PAL_EXPORT void pal_builder_search(struct pal_builder *builder, unsigned flags);

/* argv[0] is the program as given unless set here. */
PAL_EXPORT void pal_builder_arg0(struct pal_builder *builder, const char *arg0);
PAL_EXPORT void pal_builder_arg(struct pal_builder *builder, const char *arg);
PAL_EXPORT void pal_builder_args(struct pal_builder *builder, const char *const *args); /* NULL ends it */

/*
 * Changes on top of the environment that the child would get. A later change to
 * the same name wins; clear forgets the parent's environment and earlier sets.
 * Entries of the parent that have no '=' are left out, and of several entries
 * for one name all but the last; its other entries pass as they are, sorted by name.
 * Reading the parent's environment races with setenv(3) in another thread, as
 * every use of environ does; a builder that was cleared does not read it.
 */
PAL_EXPORT void pal_builder_env(struct pal_builder *builder, const char *name, const char *value);
PAL_EXPORT void pal_builder_env_remove(struct pal_builder *builder, const char *name);
PAL_EXPORT void pal_builder_env_clear(struct pal_builder *builder);

/*
 * Exactly these entries, in this order, in place of all of the above: also those
 * without '=' and repeated ones. For programs that stand between others. NULL
 * ends it; it is copied. Later calls of the three above change these entries:
 * env() takes the place of the first one of that name and leaves no other, or is the last.
 */
PAL_EXPORT void pal_builder_env_verbatim(struct pal_builder *builder, const char *const *entries);

/* One of the three standard streams of the child. Make one with the macros below. */
enum pal_stdio_kind {
	PAL_STDIO_KIND_INHERIT,
	PAL_STDIO_KIND_NULL,
	PAL_STDIO_KIND_FD,
	PAL_STDIO_KIND_PIPE,
	PAL_STDIO_KIND_FILE,
	PAL_STDIO_KIND_STDOUT
};

struct pal_stdio {
	enum pal_stdio_kind kind;
	int fd; /* of PAL_STDIO_KIND_FD; borrowed, must be open at every spawn */
	const char *path; /* of PAL_STDIO_KIND_FILE; copied by the setter */
	int flags;        /* for open(2) */
	mode_t mode;
};
#if defined __cplusplus && __cplusplus >= 201103L
#define PAL_STDIO_OF_(kind, fd, path, flags, mode)                                                 \
	(pal_stdio{kind, fd, path, flags, static_cast<mode_t>(mode)})
#else
#define PAL_STDIO_OF_(kind, fd, path, flags, mode)                                                 \
	((struct pal_stdio){kind, fd, path, flags, mode})
#endif
#define PAL_STDIO_INHERIT PAL_STDIO_OF_(PAL_STDIO_KIND_INHERIT, -1, NULL, 0, 0)
#define PAL_STDIO_NULL PAL_STDIO_OF_(PAL_STDIO_KIND_NULL, -1, NULL, 0, 0)
#define PAL_STDIO_FD(number) PAL_STDIO_OF_(PAL_STDIO_KIND_FD, (number), NULL, 0, 0)
/* The other end: pal_child_stdin() ... */
#define PAL_STDIO_PIPE PAL_STDIO_OF_(PAL_STDIO_KIND_PIPE, -1, NULL, 0, 0)
/*
 * A file, opened by the parent at every spawn: with its rights and from its
 * working directory, whatever the child's are. O_CLOEXEC and O_NOCTTY are added.
 * -ENOENT, -EACCES and the like at PAL_STAGE_STDIO. Spawn waits where open(2)
 * does: a FIFO has to be opened at its other end, too, and no signal ends that,
 * nor pthread_cancel(3). With O_NONBLOCK it does not, and the child's stream has that flag.
 */
#define PAL_STDIO_OPEN(name, open_flags, create_mode)                                              \
	PAL_STDIO_OF_(PAL_STDIO_KIND_FILE, -1, (name), (open_flags), (create_mode))
#define PAL_STDIO_APPEND(name) PAL_STDIO_OPEN(name, O_WRONLY | O_CREAT | O_APPEND, 0666)
/*
 * Of stderr: what stdout is, whichever of the two was set first; closed where stdout is. What
 * close_fd(1) takes away stderr has all the same: that comes after the moves.
 */
#define PAL_STDIO_STDOUT PAL_STDIO_OF_(PAL_STDIO_KIND_STDOUT, -1, NULL, 0, 0)

/* With INHERIT a stream that is closed in the parent is closed in the child. */
PAL_EXPORT void pal_builder_stdin(struct pal_builder *builder, struct pal_stdio from);
PAL_EXPORT void pal_builder_stdout(struct pal_builder *builder, struct pal_stdio to);
PAL_EXPORT void pal_builder_stderr(struct pal_builder *builder, struct pal_stdio to);

/*
 * The parent's `fd` becomes `child_fd` in the child, open across exec. All
 * dup_fd and stdio happen at once: any permutation of numbers works, and
 * `fd` == `child_fd` just keeps it. The last one for a number wins. `fd` is
 * borrowed and must be open at every spawn, else spawn fails with -EBADF.
 */
PAL_EXPORT void pal_builder_dup_fd(struct pal_builder *builder, int fd, int child_fd);

/* The same, and the builder owns `fd` from now on, also on failure: pal_builder_free closes it. */
PAL_EXPORT void pal_builder_take_fd(struct pal_builder *builder, int fd, int child_fd);

/* Closes a number in the child, after the moves and before close_others. A number that is not open is no error. */
PAL_EXPORT void pal_builder_close_fd(struct pal_builder *builder, int child_fd);

/*
 * Whether the child loses every descriptor that is not one of 0, 1, 2, a dup_fd
 * target or opened by a step (steps.h). On by default, and then it does not matter whether another
 * thread or library forgot close-on-exec. Off: close-on-exec decides (and
 * nothing is closed in pal_fork). Needs close_range(2), Linux 5.9: without it
 * spawn fails with -ENOSYS.
 */
PAL_EXPORT void pal_builder_close_others(struct pal_builder *builder, bool on);

/* The later of the two counts. The directory is entered after the change of user, so that user must be able to. */
PAL_EXPORT void pal_builder_cwd(struct pal_builder *builder, const char *path);
/* An open directory, also with O_PATH; borrowed, must be open at every spawn. The child does not get it. */
PAL_EXPORT void pal_builder_cwd_fd(struct pal_builder *builder, int fd);
PAL_EXPORT void pal_builder_rlimit(struct pal_builder *builder, int resource, rlim_t soft, rlim_t hard);

/*
 * The child is sent `signal` (0: off, the default) when this *process* ends -
 * not, as prctl(PR_SET_PDEATHSIG) by itself does, when the thread ends that
 * spawned it: each such child is cloned by a small thread of its own, which the
 * calling thread starts, so that the child inherits from that one, and which
 * lasts until the child has been waited for or its handle freed. Where a thread
 * cannot be started, spawn fails with PAL_STAGE_CLONE (-EINVAL after
 * unshare(CLONE_NEWPID), which allows no threads). A parent that died meanwhile
 * is noticed. pal_fork cannot change threads: there the signal comes when the
 * calling thread ends, unless parent_death_of_process() is on.
 * The kernel clears the setting when the child executes a set-user-ID program or one with file capabilities - and
 * any program that gains capabilities: of user 0 every one of the bounding set that
 * is not permitted before. So for a child that is user 0 with less than that say
 * no_new_privs, or take the bounding set down with the permitted one (capabilities.h); a
 * pid namespace with a reaper (namespaces.h) keeps the setting in any case.
 * It sends the signal also when this process executes another program: execve(2)
 * ends every thread but the one that calls it.
 */
PAL_EXPORT void pal_builder_parent_death(struct pal_builder *builder, int signal);

/*
 * On: with pal_fork, too, parent_death() is about the process and not about the calling
 * thread, from before the function runs. This takes two descriptors of this process, which the
 * child does not have, until the child has been waited for or its handle freed. A process that
 * was forked from this one later by others than pal_fork, and has not executed anything, has
 * copies of them unless it closes what it inherits: the signal comes when it has ended, too. The child cannot lose the
 * setting, except to a change of its user; in a pid namespace it is made just after the child
 * has begun to run. -EMFILE, -ENFILE at PAL_STAGE_PARENT_DEATH. Off, the default: fewer system
 * calls.
 */
PAL_EXPORT void pal_builder_parent_death_of_process(struct pal_builder *builder, bool on);

/*
 * vfork (the default): the child shares memory with the parent until exec and
 * the calling thread waits for that; the cost does not depend on the size of
 * the parent. Off: the memory is copied. Errors and stages are the same.
 * A child that changes its user or group (process.h) is copied in any case: the
 * kernel makes memory undumpable in which credentials change, and that would be
 * this process's, too. So is one with a user or time namespace, and one with a
 * pid namespace and an init, or something to join besides (namespaces.h).
 */
PAL_EXPORT void pal_builder_vfork(struct pal_builder *builder, bool on);

/*
 * How long pal_fork waits for the child to come to its function; PAL_DEADLINE_NONE
 * is the default. A child that does not get there - its pthread_atfork(3) handlers
 * run first, and may wait for what another thread has - is killed and reaped then:
 * -ETIMEDOUT, PAL_STAGE_CLONE. It may have entered the function in that moment. One that
 * cannot be killed or does not end becomes a detached child, see pal_child_detach.
 * The handlers in this process cannot be bounded. Not used by pal_builder_spawn.
 */
PAL_EXPORT void pal_builder_start_deadline(struct pal_builder *builder, pal_deadline deadline);

/*
 * Shared memory of the caller (MAP_SHARED, PAL_FORK_MEMORY bytes, aligned to 16) for pal_fork
 * and its child to tell each other how far they are; otherwise every pal_fork maps a page for
 * that, which is a good part of what it costs. It must be there, and be nobody else's, at
 * every pal_fork until that has returned. Not used where a pid namespace has a process 1 of
 * pal's. NULL, the default: none.
 */
#define PAL_FORK_MEMORY 256
PAL_EXPORT void pal_builder_fork_memory(struct pal_builder *builder, void *memory);

/*
 * On, and with fork_memory(): pal_fork returns as soon as there is a child, and does not wait
 * until that comes to its function, which saves a switch from process to process each way. A
 * step that fails ends the child, with pal_builder_fork_error to tell it afterwards;
 * start_deadline() is not used. Without effect with namespaces, and with a seccomp filter that
 * notifies. Off by default.
 */
PAL_EXPORT void pal_builder_fork_unwaited(struct pal_builder *builder, bool on);

/*
 * Once a child of a pal_fork that did not wait has ended, and with its fork_memory() as that
 * left it: the step that failed, as pal_fork would have told it. 0: none has; the child came
 * to its function, or was killed on the way there.
 */
PAL_EXPORT int pal_builder_fork_error(const struct pal_builder *builder, struct pal_error *error);

/*
 * Calls the profile's apply hook now; its failure is remembered like an invalid value. Several
 * profiles, and what was set before, all hold at once: see profile.h.
 */
PAL_EXPORT void pal_builder_sandbox(struct pal_builder *builder, const struct pal_profile *profile);

/*
 * Starts a child. On success *ret is a handle (child.h) and the program has
 * been executed: a child that was killed before or during exec, or that failed
 * at any step, is reaped and reported here with its stage:
 *   -EINVAL, -ENOMEM  PAL_STAGE_ARGUMENT, PAL_STAGE_MEMORY: a setter
 *   -ENOENT, -EACCES, -ENOEXEC, -E2BIG, ...  PAL_STAGE_EXEC: execve(2)
 *   -ECHILD  PAL_STAGE_DIED: killed by signal `index` before the program ran
 *            (where /proc is not mounted, one that is killed while execve runs
 *            may count as started; and wherever execve(2) itself kills it because
 *            an image that it has begun to load does not fit - RLIMIT_AS,
 *            RLIMIT_STACK - the kernel shows a program that died by a signal)
 *   -EMFILE, -ENFILE, -EAGAIN, ...  the stage whose system call said so
 * Any thread, but see above about builders. In the calling thread all signals
 * are blocked from clone(2) until the program runs, not before and after that,
 * and never with parent_death(); handlers of the parent never run in the child.
 * A stop signal that arrives for the child when its mask opens, before the program
 * runs, makes the calling thread wait for SIGCONT, as with every vfork(2).
 * A cancellation request (pthread_cancel) is not acted on in here.
 */
PAL_EXPORT int pal_builder_spawn(struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * The same for a caller who waits for the child himself, with waitpid(2) and the like: *ret is
 * its pid. There is no handle and no pidfd, so this works without a free descriptor
 * number. Without them a child that is killed before its program runs cannot be told
 * from one that is killed afterwards: that is success here, and the caller's wait sees the signal.
 * -EINVAL, PAL_STAGE_ARGUMENT, with parent_death() or PAL_STDIO_PIPE: both are the handle's.
 * A pid namespace, and id maps (namespaces.h) that are written from outside, need descriptors in
 * any case, and tell of a child killed before.
 */
PAL_EXPORT int pal_builder_spawn_pid(struct pal_builder *builder, pid_t *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * As spawn, with a function in place of a program: the child is a copy of this
 * process with only the calling thread, made by fork(2) so that malloc and
 * stdio can be used in it, and `fn`'s return is its exit status (8 bits). The
 * child leaves with _exit: no atexit handlers, no flushing. Stages as above.
 * `fn` runs once every step of the plan has succeeded. Where close_others is on, the
 * copies of other handles that it has are of descriptors that are closed: their
 * numbers will be other files', so they must not be freed or detached in `fn`. Where it is off,
 * `fn` has none of the descriptors that handles hold for themselves (private.h): pidfds, and
 * pipes that nobody has asked a handle for; copies of the handles may be freed.
 * Of the signals, those between 32 and SIGRTMIN keep their dispositions: libc uses
 * them for itself, in pthread_cancel(3) and setuid(2) with threads.
 */
PAL_EXPORT int pal_fork(struct pal_builder *builder, int (*fn)(void *arg), void *arg, struct pal_child **ret,
	struct pal_error *error) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
