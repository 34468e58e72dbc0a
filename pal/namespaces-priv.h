/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_NAMESPACES_PRIV_H
#define PROCMESH_PAL_NAMESPACES_PRIV_H

#include <pal/error.h>
#include <pal/namespaces.h>
#include <stdbool.h>
#include <stddef.h>

struct pal_builder;

#define PAL__NS_KINDS 8

struct pal__id_map {
	char *text; /* lines as /proc/PID/uid_map takes them; NULL: the effective id to itself */
	unsigned lines;
	unsigned inside, outside, count; /* of the first line */
};

/* What a builder has been told. */
struct pal__namespaces {
	unsigned flags; /* PAL_NS_ */
	struct pal__id_map uids, gids;
	enum pal__setgroups {
		PAL__SETGROUPS_UNSAID,
		PAL__SETGROUPS_ALLOWED,
		PAL__SETGROUPS_DENIED
	} setgroups;
	struct pal__join {
		unsigned which;
		int fd;
	} joins[PAL__NS_KINDS]; /* one per kind */
	size_t join_count;
	bool init;
	char *hostname; /* NULL: none */
	bool loopback;
	bool forbid_user;
};

/* Whether this thread has it, and in effect. */
bool pal__has_capability(unsigned number);

enum {
	PAL__SOCKET_PARENT,
	PAL__SOCKET_CHILD
};

/* Room for a line of two ids and a count. */
#define PAL__ID_LINE_SIZE 40

/*
 * What the child is to do about it, with what depends on this process at the
 * moment. No memory of its own.
 */
struct pal__ns_plan {
	bool used;
	bool user;       /* a new user namespace */
	int born;        /* CLONE_NEW flags of those that clone(2) puts the child into */
	int unshared;    /* of the others, without the user namespace */
	const struct pal__join *joins;
	size_t join_count;
	bool user_joined;
	bool user_joined_last;
	bool pid_joined;
	bool helper; /* only a process outside may write the maps: namespaces-child.c */
	bool mapper; /* and the child is born in there: mapper-priv.h, in place of the helper */
	bool deny_setgroups;
	struct pal__map_plan {
		const char *text; /* NULL: `own` */
		char own[PAL__ID_LINE_SIZE];
		size_t size;
		unsigned first; /* to become, because the map does not have the own id; -1: it has */
	} uids, gids;
	bool drop_groups; /* with `first` */
	/* In a user namespace, the number of the user that all three ids are; -1: not known, or none. */
	unsigned same_uid;

	/*
	 * A pid namespace is for children of the process that asked for it. A child that was
	 * not born in it makes another child of this process, which goes on, and leaves.
	 */
	bool divides;
	int sockets[2]; /* for the new one's pidfd */
	bool init;
	int (*fork_call)(void); /* how the init makes the program's process; NULL: by system call */

	const char *hostname;
	size_t hostname_length;
	bool loopback;
	bool forbid_user;
};

void pal__namespaces_clear(struct pal__namespaces *namespaces);
/* Whether the requests fit each other and the joins' descriptors are what they shall be. */
int pal__namespaces_check(const struct pal_builder *builder, struct pal_error *error);
/* `program`: for a spawn, not for a fork. `sockets` are -1 where nothing divides. */
void pal__ns_plan_make(struct pal__ns_plan *plan, const struct pal_builder *builder, bool program,
	const int sockets[2]);
bool pal__namespaces_divide(const struct pal_builder *builder, bool program);
/* Whether this process has no pid in the child's. */
bool pal__namespaces_hide_parent(const struct pal_builder *builder);
/* Whether a pid namespace has a reaper. */
bool pal__namespaces_init(const struct pal_builder *builder, bool program);
/* Whether a child that executes a program may share our memory in spite of them. */
bool pal__namespaces_share_memory(const struct pal_builder *builder);

#endif
