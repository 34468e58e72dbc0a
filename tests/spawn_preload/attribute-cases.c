/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- the object ---- */

static void say_all(const char *label, const posix_spawnattr_t *attributes)
{
	sigset_t set;
	short flags;
	pid_t group;
	int policy;
	struct sched_param param;
	int sums[2] = {0, 0};

	posix_spawnattr_getflags(attributes, &flags);
	posix_spawnattr_getpgroup(attributes, &group);
	posix_spawnattr_getschedpolicy(attributes, &policy);
	posix_spawnattr_getschedparam(attributes, &param);
	posix_spawnattr_getsigdefault(attributes, &set);
	for (int i = 1; i <= 64; i++)
		sums[0] += sigismember(&set, i) == 1 ? i : 0;
	posix_spawnattr_getsigmask(attributes, &set);
	for (int i = 1; i <= 64; i++)
		sums[1] += sigismember(&set, i) == 1 ? i : 0;
	say("%s: flags %x group %d policy %d priority %d default %d mask %d", label, (unsigned)flags,
		group, policy, param.sched_priority, sums[0], sums[1]);
}

static void begins_with_nothing(void)
{
	posix_spawnattr_t attributes;

	memset(&attributes, 0x5a, sizeof attributes);
	say("init %s", name_of(posix_spawnattr_init(&attributes)));
	say_all("new", &attributes);
	say("destroy %s", name_of(posix_spawnattr_destroy(&attributes)));
	memset(&attributes, 0, sizeof attributes);
	say_all("zeros", &attributes);
	say("setflags of zeros %s", name_of(posix_spawnattr_setflags(&attributes, 2)));
	say_all("zeros", &attributes);
	say("destroy of zeros %s", name_of(posix_spawnattr_destroy(&attributes)));
	say_all("destroyed", &attributes);
}

static void flags(void)
{
	static const int values[] = {0, 0xff, 0x7f, 0x1ff, -1, SHRT_MIN, 0x81, 0x181, 0xc0};
	posix_spawnattr_t attributes;
	short got;

	posix_spawnattr_init(&attributes);
	for (int bit = 0; bit < 16; bit++) {
		int r = posix_spawnattr_setflags(&attributes, (short)(1 << bit));

		posix_spawnattr_getflags(&attributes, &got);
		say("bit %d: %s, then %x", bit, name_of(r), (unsigned)got);
	}
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		int r = posix_spawnattr_setflags(&attributes, (short)values[i]);

		posix_spawnattr_getflags(&attributes, &got);
		say("%x: %s, then %x", (unsigned)values[i], name_of(r), (unsigned)got);
	}
	errno = E2BIG;
	posix_spawnattr_setflags(&attributes, -1);
	say("errno stays %s", name_of(errno));
}

static void policies(void)
{
	static const int values[] = {-1, 0, 1, 2, 3, 4, 5, 6, 7, SCHED_RESET_ON_FORK,
		SCHED_RESET_ON_FORK | 1, INT_MAX, INT_MIN};
	posix_spawnattr_t attributes;
	int got;

	posix_spawnattr_init(&attributes);
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		int r = posix_spawnattr_setschedpolicy(&attributes, values[i]);

		posix_spawnattr_getschedpolicy(&attributes, &got);
		say("%d: %s, then %d", values[i], name_of(r), got);
	}
}

static void numbers_are_kept(void)
{
	static const int values[] = {-1, 0, 1, 99, 100, INT_MAX, INT_MIN};
	posix_spawnattr_t attributes;
	sigset_t set;

	posix_spawnattr_init(&attributes);
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct sched_param param = {.sched_priority = values[i]};

		say("%d: %s %s", values[i], name_of(posix_spawnattr_setpgroup(&attributes, values[i])),
			name_of(posix_spawnattr_setschedparam(&attributes, &param)));
		say_all("kept", &attributes);
	}
	sigfillset(&set);
	say("sets: %s %s", name_of(posix_spawnattr_setsigdefault(&attributes, &set)),
		name_of(posix_spawnattr_setsigmask(&attributes, &set)));
	say_all("full", &attributes);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	posix_spawnattr_setsigdefault(&attributes, &set);
	sigaddset(&set, SIGHUP);
	posix_spawnattr_setsigmask(&attributes, &set);
	say_all("two", &attributes);
}

/* ---- what they do ---- */

static void show_with(const char *label, short attribute_flags, pid_t group, int policy, int priority,
	const char *items)
{
	posix_spawnattr_t attributes;

	posix_spawnattr_init(&attributes);
	must(posix_spawnattr_setflags(&attributes, attribute_flags) == 0);
	posix_spawnattr_setpgroup(&attributes, group);
	posix_spawnattr_setschedpolicy(&attributes, policy);
	posix_spawnattr_setschedparam(&attributes, &(struct sched_param){.sched_priority = priority});
	show(label, items, NULL, &attributes);
	posix_spawnattr_destroy(&attributes);
}

static void no_flag_no_effect(void)
{
	show("no attributes", "fds,mask,ignored,session,scheduler,cwd,umask", NULL, NULL);
	show_with("unused values", 0, -5, 2, 99, "fds,mask,ignored,session,scheduler,cwd,umask");
	show_with("USEVFORK", POSIX_SPAWN_USEVFORK, 0, 0, 0, "session,scheduler");
	show_with("RESETIDS", POSIX_SPAWN_RESETIDS, 0, 0, 0, "session,scheduler");
}

static void groups_and_sessions(void)
{
	show_with("own group", POSIX_SPAWN_SETPGROUP, 0, 0, 0, "session");
	show_with("group of the parent", POSIX_SPAWN_SETPGROUP, getpgrp(), 0, 0, "session");
	show_with("no such group", POSIX_SPAWN_SETPGROUP, INT_MAX, 0, 0, "session");
	show_with("group -1", POSIX_SPAWN_SETPGROUP, -1, 0, 0, "session");
	show_with("group -2", POSIX_SPAWN_SETPGROUP, -2, 0, 0, "session");
	show_with("group of init", POSIX_SPAWN_SETPGROUP, 1, 0, 0, "session");
	show_with("session", POSIX_SPAWN_SETSID, 7, 0, 0, "session");
	show_with("session and own group", POSIX_SPAWN_SETSID | POSIX_SPAWN_SETPGROUP, 0, 0, 0, "session");
	show_with("session and group of the parent", POSIX_SPAWN_SETSID | POSIX_SPAWN_SETPGROUP,
		getpgrp(), 0, 0, "session");
	show_with("session and vfork", POSIX_SPAWN_SETSID | POSIX_SPAWN_USEVFORK, 0, 0, 0, "session");
}

static void another_child_s_group(void)
{
	posix_spawnattr_t attributes;
	char *const argv[] = {(char *)"sleep", (char *)"1000", NULL};
	pid_t leader;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	must(posix_spawn(&leader, "/bin/sleep", NULL, &attributes, argv, environ) == 0);
	say("the leader leads: %d", getpgid(leader) == leader);
	show_with("joined", POSIX_SPAWN_SETPGROUP, leader, 0, 0, "session");
	kill(-leader, SIGKILL);
	say("leader: %s", ending_of(leader));
	show_with("gone", POSIX_SPAWN_SETPGROUP, leader, 0, 0, "session");
}

static void scheduler(void)
{
	show_with("param 0", POSIX_SPAWN_SETSCHEDPARAM, 0, 0, 0, "scheduler");
	show_with("param 1", POSIX_SPAWN_SETSCHEDPARAM, 0, 0, 1, "scheduler");
	show_with("param -1", POSIX_SPAWN_SETSCHEDPARAM, 0, 0, -1, "scheduler");
	show_with("param 0, other policy unused", POSIX_SPAWN_SETSCHEDPARAM, 0, SCHED_RR, 0, "scheduler");
	show_with("other 0", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_OTHER, 0, "scheduler");
	show_with("other 1", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_OTHER, 1, "scheduler");
	show_with("fifo 0", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_FIFO, 0, "scheduler");
	show_with("rr 100", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_RR, 100, "scheduler");
	show_with("both", POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_SETSCHEDPARAM, 0, SCHED_OTHER, 0, "scheduler");
}

static void batch_stays_batch(void)
{
	must(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}) == 0);
	show_with("nothing", 0, 0, 0, 0, "scheduler");
	show_with("param", POSIX_SPAWN_SETSCHEDPARAM, 0, 0, 0, "scheduler");
	show_with("policy", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_OTHER, 0, "scheduler");
}

/* POSIX_SPAWN_SETSCHEDULER takes what the struct holds, also what its setter refuses. */
static void policies_without_the_setter(void)
{
	posix_spawnattr_t attributes;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSCHEDULER);
	attributes.__policy = SCHED_BATCH;
	show("batch", "scheduler", NULL, &attributes);
	attributes.__policy = SCHED_IDLE;
	show("idle", "scheduler", NULL, &attributes);
	attributes.__policy = 77;
	show("77", "scheduler", NULL, &attributes);
}

const struct spawn_case attribute_cases[] = {{"begins_with_nothing", begins_with_nothing},
	{"flags", flags}, {"policies", policies}, {"numbers_are_kept", numbers_are_kept},
	{"no_flag_no_effect", no_flag_no_effect}, {"groups_and_sessions", groups_and_sessions},
	{"another_child_s_group", another_child_s_group}, {"scheduler", scheduler},
	{"batch_stays_batch", batch_stays_batch},
	{"policies_without_the_setter", policies_without_the_setter}, {NULL, NULL}};

static void realtime(void)
{
	show_with("fifo 1", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_FIFO, 1, "scheduler");
	show_with("rr 99", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_RR, 99, "scheduler");
	show_with("both, rr 2", POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_SETSCHEDPARAM, 0, SCHED_RR, 2, "scheduler");
	must(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 3}) == 0);
	show_with("inherited", 0, 0, 0, 0, "scheduler");
	show_with("param 5 of fifo", POSIX_SPAWN_SETSCHEDPARAM, 0, SCHED_RR, 5, "scheduler");
	show_with("param 0 of fifo", POSIX_SPAWN_SETSCHEDPARAM, 0, 0, 0, "scheduler");
	show_with("back to other", POSIX_SPAWN_SETSCHEDULER, 0, SCHED_OTHER, 0, "scheduler");
}

const struct spawn_case realtime_cases[] = {{"realtime", realtime}, {NULL, NULL}};
