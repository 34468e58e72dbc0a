/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_SETTINGS_PRIV_H
#define PROCMESH_PAL_PROFILE_SETTINGS_PRIV_H

#include <pal/builder.h>
#include <pal/error.h>
#include <pal/profile.h>
#include <pal/sandbox.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

/*
 * What a profile text says, read and checked, before any of it is applied. keys*.c fill it,
 * apply-*.c give it to a builder, and to this process.
 */

/* Of anything that a text lists: what is done with them takes the square of it. */
#define PAL_PROFILE__MOST 4096
#define PAL_PROFILE__MOST_PLACES 1024

/* Owned strings, and the line that each is from. Zeroes: none. */
struct pal_profile__list {
	char **items;
	unsigned *lines;
	size_t count;
};
/* A copy of `item`. 0, -ENOMEM or -E2BIG. */
int pal_profile__list_add(struct pal_profile__list *list, const char *item, unsigned line);
void pal_profile__list_clear(struct pal_profile__list *list);

/* ---- both sections ---- */

/* One name of a SystemCallFilter= list. */
struct pal_profile__call {
	char *name; /* "read", "@network-io"; owned */
	bool deny;
	int action; /* of a denial: PAL_SECCOMP_; 0: the filter's */
};

struct pal_profile__calls {
	struct pal_profile__call *items;
	size_t count;
	bool set;
	unsigned line; /* of the last list */
	bool allow_list; /* what the first of them was; else they are the exceptions of "all" */
};

#define PAL_PROFILE__FAMILIES 64 /* AF_MAX is below */

struct pal_profile__filter {
	struct pal_profile__calls calls;
	int otherwise; /* of a denied call: PAL_SECCOMP_; 0: kill */
	unsigned otherwise_line;
	bool architectures; /* SystemCallArchitectures=: it is always the native one that is left */
	bool families_set;
	uint64_t families; /* that are allowed: 1 << AF_ */
	bool namespaces_set;
	unsigned namespaces; /* that are allowed: PAL_NS_ */
	bool no_write_execute, lock_personality, no_realtime, no_suid;
	unsigned personality_line;
	bool no_hostname, no_clock, no_modules, no_kernel_log, no_raw_io;
	bool no_port_evasion; /* Landlock restricts TCP's ports */
};

enum pal_profile__access {
	PAL_PROFILE__READ,
	PAL_PROFILE__WRITE,
	PAL_PROFILE__EXECUTE,
	PAL_PROFILE__ACCESSES
};

/* X-Landlock...: all else of a kind is denied, if it is restricted or something is in its lists. */
struct pal_profile__landlock {
	bool restrict_files, restrict_ports;
	unsigned files_line; /* of the last that is about files */
	bool best_effort;  /* what the running kernel cannot deny is left out */
	struct pal_profile__list paths[PAL_PROFILE__ACCESSES]; /* "-": may be missing */
	uint16_t *connect, *bind;
	size_t connect_count, bind_count;
	bool scope_signals, scope_sockets;
};

bool pal_profile__restricts_files(const struct pal_profile__landlock *landlock);
bool pal_profile__restricts_ports(const struct pal_profile__landlock *landlock);

/* What a process can do to itself, too: the section [Finalize]. */
struct pal_profile__stage {
	const char *name; /* of the text, for errors */
	enum pal_profile__said { PAL_PROFILE__UNSAID, PAL_PROFILE__NO, PAL_PROFILE__YES } no_new_privs;
	bool bounding_set, ambient_set;
	uint64_t bounding, ambient;
	struct pal_profile__filter filter;
	struct pal_profile__landlock landlock;
	struct pal_profile *base; /* X-Profile=, owned; NULL: none */
	unsigned base_line;
};

/* ---- [Service] only ---- */

enum pal_profile__place_kind {
	PAL_PROFILE__TMPFS, /* in this order where several are about one path */
	PAL_PROFILE__BIND,
	PAL_PROFILE__DEV,
	PAL_PROFILE__PROC,
	PAL_PROFILE__READ_WRITE,
	PAL_PROFILE__READ_ONLY,
	PAL_PROFILE__EXEC,
	PAL_PROFILE__NO_EXEC,
	PAL_PROFILE__HIDE,
	PAL_PROFILE__KINDS
};

struct pal_profile__place {
	enum pal_profile__place_kind kind;
	const char *key; /* that has said it */
	unsigned line;   /* 0: it is of a key for a whole area */
	bool in_root;    /* "+": `path` begins in RootDirectory=; else it is the host's, until all lines are read */
	char *path;      /* in the child; owned */
	char *source;    /* BIND; owned */
	bool optional;   /* skipped where it is missing */
	bool read_only;  /* BIND, TMPFS */
	bool no_exec;    /* BIND, TMPFS */
	bool devices;    /* BIND, TMPFS */
	uint64_t size;   /* TMPFS; 0: not said */
	unsigned mode;   /* TMPFS */
};

struct pal_profile__places {
	struct pal_profile__place *items;
	size_t count;
};
/* Takes what `place` owns, also on failure; a NULL path is the failed allocation of the caller. 0, -ENOMEM or -E2BIG. */
int pal_profile__place_add(struct pal_profile__places *places, struct pal_profile__place place);
void pal_profile__places_clear(struct pal_profile__places *places);

enum pal_profile__protect {
	PAL_PROFILE__PROTECT_NO,
	PAL_PROFILE__PROTECT_YES,  /* system: /usr and /boot; home: hidden */
	PAL_PROFILE__PROTECT_FULL, /* system: and /etc; home: read-only */
	PAL_PROFILE__PROTECT_STRICT /* system: all but /dev, /proc and /sys; home: empty */
};

struct pal_profile__files {
	struct pal_profile__places places;
	char *root; /* RootDirectory=; owned */
	unsigned root_line;
	enum pal_profile__protect system, home;
	bool tmp, devices, mounts, kernel_tunables, kernel_modules, kernel_logs, control_groups;
};

struct pal_profile__process {
	bool user_set, group_set, groups_set;
	unsigned user_line;
	uid_t user;
	gid_t user_group; /* of the user's entry; (gid_t)-1: it has none */
	char *user_name;  /* for its groups; NULL: a number without an entry */
	char *home;       /* of the user's entry */
	gid_t group;
	gid_t *groups;
	size_t group_count;
	bool umask_set;
	unsigned umask;
	char *cwd; /* owned */
	bool cwd_optional, cwd_home;
	unsigned cwd_line;
	struct rlimit limits[RLIM_NLIMITS];
	bool limit_set[RLIM_NLIMITS];
	bool nice_set;
	int nice;
	bool policy_set, priority_set;
	int policy, priority;
	bool reset_on_fork;
	bool cpus_set;
	cpu_set_t cpus;
	bool securebits_set;
	unsigned securebits;
	enum pal_profile__said ignore_sigpipe;
	struct pal_profile__list environment; /* "NAME=value" */
	struct pal_profile__list unset;       /* "NAME" */
	struct pal_profile__list pass;        /* "NAME" */
	bool pass_set;
	bool network, ipc, users, pids;
	bool hostname;
};

struct pal_profile__settings {
	struct pal_profile__stage stage, finalize;
	struct pal_profile__files files;
	struct pal_profile__process process;
	bool has_finalize;
	unsigned finalize_line; /* of the first key there */
};

/* Fills the error with "name:line: key=: ...", and the line as its index. Returns `code`. */
int pal_profile__refuse(struct pal_error *error, const char *name, unsigned line, const char *key,
	int code, const char *format, ...) PAL_PRINTF(6, 7);

void pal_profile__settings_clear(struct pal_profile__settings *settings);

/* ---- reading ---- */

/* The text into *settings, which are zeroes; `name` is for errors. Only [Finalize] where `inherited`. */
int pal_profile__parse_settings(struct pal_profile__settings *settings, const char *text, size_t size,
	const char *name, bool inherited, struct pal_error *error);
/* Whether the settings fit each other. Paths of the host become those below RootDirectory=. */
int pal_profile__check_settings(struct pal_profile__settings *settings, struct pal_error *error);

/* ---- applying ---- */

/* A negative errno, with `error` filled; 0. */
int pal_profile__apply_process(const struct pal_profile__settings *settings, struct pal_builder *builder,
	struct pal_error *error);
int pal_profile__apply_files(const struct pal_profile__settings *settings, struct pal_builder *builder,
	struct pal_error *error);
int pal_profile__apply_stage(const struct pal_profile__settings *settings, struct pal_builder *builder,
	struct pal_error *error);
int pal_profile__finalize_stage(const struct pal_profile__stage *stage, struct pal_error *error);

/* *ret is NULL where the stage asks for none. `name`: of the text. */
int pal_profile__make_filter(const struct pal_profile__filter *filter, struct pal_seccomp **ret,
	struct pal_error *error);
int pal_profile__make_landlock(const struct pal_profile__landlock *landlock, const char *name,
	struct pal_landlock **ret, struct pal_error *error);
/* Whether SystemCallFilter= leaves this call alone. */
bool pal_profile__allows(const struct pal_profile__filter *filter, const char *call);

#endif
