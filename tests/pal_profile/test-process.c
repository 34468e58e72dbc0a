/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* Each key about the process has its effect in the child; without it the child is otherwise. */

/* ---- limits ---- */

static const struct limit {
	const char *text;
	int resource;
	rlim_t soft, hard;
} limits[] = {
	{"LimitCPU=90", RLIMIT_CPU, 90, 90},
	{"LimitCPU=1min 1ms:2h", RLIMIT_CPU, 61, 7200},
	{"LimitFSIZE=1M", RLIMIT_FSIZE, 1 << 20, 1 << 20},
	{"LimitDATA=4G", RLIMIT_DATA, (rlim_t)4 << 30, (rlim_t)4 << 30},
	{"LimitSTACK=8M:16M", RLIMIT_STACK, 8 << 20, 16 << 20},
	{"LimitCORE=0", RLIMIT_CORE, 0, 0},
	{"LimitRSS=1T", RLIMIT_RSS, (rlim_t)1 << 40, (rlim_t)1 << 40},
	{"LimitNOFILE=100:200", RLIMIT_NOFILE, 100, 200},
	{"LimitAS=16G", RLIMIT_AS, (rlim_t)16 << 30, (rlim_t)16 << 30},
	{"LimitNPROC=4000:5000", RLIMIT_NPROC, 4000, 5000},
	{"LimitMEMLOCK=64K", RLIMIT_MEMLOCK, 64 << 10, 64 << 10},
	{"LimitLOCKS=7:infinity", RLIMIT_LOCKS, 7, RLIM_INFINITY},
	{"LimitSIGPENDING=11", RLIMIT_SIGPENDING, 11, 11},
	{"LimitMSGQUEUE=4096", RLIMIT_MSGQUEUE, 4096, 4096},
	{"LimitNICE=0", RLIMIT_NICE, 0, 0},
	{"LimitRTPRIO=0", RLIMIT_RTPRIO, 0, 0},
	{"LimitRTTIME=250ms:300000", RLIMIT_RTTIME, 250000, 300000},
};

static int has_limit(void *arg)
{
	const struct limit *expected = arg;
	struct rlimit now;

	need(getrlimit((__rlimit_resource_t)expected->resource, &now) == 0);
	return now.rlim_cur == expected->soft && now.rlim_max == expected->hard ? 0 : 1;
}

START_TEST(every_limit_can_be_set)
{
	struct limit limit = limits[_i];

	if ((BUILT_WITH_ASAN || BUILT_WITH_TSAN) && (limit.resource == RLIMIT_AS || limit.resource == RLIMIT_DATA))
		support_skip("sanitizers have terabytes of address space");
	become(USER_ROOT);
	if (limit.soft || limit.resource == RLIMIT_CORE) /* 0 is what the other two are anyway */
		ck_assert_int_eq(under("", has_limit, &limit), 1);
	ck_assert_int_eq(under(limit.text, has_limit, &limit), 0);
}
END_TEST

/* On the builder: to raise it may need a privilege that root does not have here. */
static rlim_t nice_limit(const char *text)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	pal_builder_sandbox(builder, profile);
	pal_builder_get_rlimit(builder, RLIMIT_NICE, &limit);
	ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
	pal_builder_free(builder);
	pal_profile_free(profile);
	return limit.rlim_cur;
}

START_TEST(a_nice_limit_is_a_nice_value_or_a_limit)
{
	ck_assert_uint_eq(nice_limit("LimitNICE=-5"), 25);
	ck_assert_uint_eq(nice_limit("LimitNICE=25"), 25);
	ck_assert_uint_eq(nice_limit("LimitNICE=+5"), 15);
	ck_assert_uint_eq(nice_limit("LimitNICE=+5\nLimitNICE=\n"), RLIM_INFINITY);
}
END_TEST

/* ---- user ---- */

static int is_nobody(void *unused)
{
	gid_t groups[8];
	uid_t uid, euid, suid;
	gid_t gid, egid, sgid;
	int count = getgroups(8, groups);

	(void)unused;
	need(getresuid(&uid, &euid, &suid) == 0 && getresgid(&gid, &egid, &sgid) == 0);
	if (uid != NOBODY || euid != NOBODY || suid != NOBODY)
		return 1;
	if (gid != NOBODY || egid != NOBODY || sgid != NOBODY)
		return 2;
	return count == 1 && groups[0] == NOBODY ? 0 : 3;
}

static int has_groups(void *arg)
{
	const gid_t *expected = arg;
	gid_t groups[8];
	int count = getgroups(8, groups);

	need(getgid() == expected[0]);
	need(count == (int)expected[1]);
	for (int i = 0; i < count; i++)
		if (groups[i] != expected[2 + i])
			return 1;
	return 0;
}

START_TEST(user_and_groups_are_those_of_the_database_and_of_the_text) /* S72 */
{
	become(USER_ROOT);
	ck_assert_int_eq(under("", is_nobody, NULL), 1);
	ck_assert_int_eq(under("User=nobody", is_nobody, NULL), 0);
	ck_assert_int_eq(under("User=65534", is_nobody, NULL), 0);
	ck_assert_int_eq(under("User=nobody\nGroup=4\nSupplementaryGroups=20 24\n", has_groups,
				 (gid_t[]){4, 3, 4, 20, 24}),
		0);
	ck_assert_int_eq(under("User=123456\nGroup=4\n", has_groups, (gid_t[]){4, 0}), 0);
	ck_assert_int_eq(under("SupplementaryGroups=20\nSupplementaryGroups=24\n", has_groups,
				 (gid_t[]){0, 2, 20, 24}),
		0);
}
END_TEST

START_TEST(another_user_than_one_may_become_fails_the_spawn) /* S73 */
{
	become(USER_NOBODY);
	ck_assert_str_eq(
		pal_stage_name(stage_refused("User=root")), pal_stage_name(PAL_STAGE_GROUPS));
}
END_TEST

/* ---- mask, folder, signals ---- */

static int has_umask(void *mask)
{
	return umask(0) == *(mode_t *)mask ? 0 : 1;
}

static int is_in(void *folder)
{
	char now[256];

	need(getcwd(now, sizeof now));
	return strcmp(now, folder) ? 1 : 0;
}

static int ignores_sigpipe(void *unused)
{
	struct sigaction action;

	(void)unused;
	need(sigaction(SIGPIPE, NULL, &action) == 0);
	return action.sa_handler == SIG_IGN ? 0 : 1;
}

START_TEST(mask_folder_and_signal_are_set)
{
	mode_t mask = 027;

	become(_i);
	ck_assert_int_eq(chdir("/usr"), 0);
	ck_assert_int_eq(under("", has_umask, &mask), 1);
	ck_assert_int_eq(under("UMask=0027", has_umask, &mask), 0);
	ck_assert_int_eq(under("", is_in, "/usr"), 0);
	ck_assert_int_eq(under("WorkingDirectory=/usr/lib", is_in, "/usr/lib"), 0);
	ck_assert_int_eq(under("WorkingDirectory=-/no/such", is_in, "/"), 0);
	ck_assert_int_eq(stage_refused("WorkingDirectory=/no/such"), PAL_STAGE_PROFILE);
	ck_assert_int_eq(under("", ignores_sigpipe, NULL), 1);
	ck_assert_int_eq(under("IgnoreSIGPIPE=yes", ignores_sigpipe, NULL), 0);
	ck_assert_int_eq(under("IgnoreSIGPIPE=no", ignores_sigpipe, NULL), 1);
}
END_TEST

START_TEST(home_is_that_of_the_user)
{
	become(USER_ROOT);
	ck_assert_int_eq(under("WorkingDirectory=~\nUser=root\n", is_in, "/root"), 0);
}
END_TEST

/* ---- scheduling ---- */

static int has_policy(void *arg)
{
	const int *expected = arg;
	struct sched_param param;

	need(sched_getparam(0, &param) == 0);
	if (sched_getscheduler(0) != expected[0])
		return 1;
	if (param.sched_priority != expected[1])
		return 2;
	errno = 0;
	return getpriority(PRIO_PROCESS, 0) == expected[2] ? 0 : 3;
}

static int has_one_cpu(void *cpu)
{
	cpu_set_t now;

	need(sched_getaffinity(0, sizeof now, &now) == 0);
	return CPU_COUNT(&now) == 1 && CPU_ISSET(*(unsigned *)cpu, &now) ? 0 : 1;
}

START_TEST(scheduling_is_set)
{
	static const struct {
		const char *text;
		int expected[3];
	} cases[] = {
		{"Nice=7", {SCHED_OTHER, 0, 7}},
		{"Nice=-3", {SCHED_OTHER, 0, -3}},
		{"CPUSchedulingPolicy=batch", {SCHED_BATCH, 0, 0}},
		{"CPUSchedulingPolicy=idle\nNice=2", {SCHED_IDLE, 0, 2}},
		{"CPUSchedulingPolicy=fifo", {SCHED_FIFO, 1, 0}},
		{"CPUSchedulingPolicy=rr\nCPUSchedulingPriority=9", {SCHED_RR, 9, 0}},
		{"CPUSchedulingResetOnFork=yes", {SCHED_OTHER | SCHED_RESET_ON_FORK, 0, 0}},
	};

	become(USER_ROOT);
	ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 0), 0); /* whatever the caller's is */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(cases); i++) {
		ck_assert_int_ne(under("", has_policy, cases[i].expected), 0);
		ck_assert_msg(under(cases[i].text, has_policy, cases[i].expected) == 0, "%s",
			cases[i].text);
	}
}
END_TEST

START_TEST(one_cpu_is_enough)
{
	char text[64];
	cpu_set_t now;
	unsigned cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof now, &now), 0);
	if (CPU_COUNT(&now) < 2)
		support_skip("there is one CPU only");
	while (!CPU_ISSET(cpu, &now))
		cpu++;
	snprintf(text, sizeof text, "CPUAffinity=9,10\nCPUAffinity=\nCPUAffinity=%u-%u", cpu, cpu);
	become(_i);
	ck_assert_int_eq(under("", has_one_cpu, &cpu), 1);
	ck_assert_int_eq(under(text, has_one_cpu, &cpu), 0);
}
END_TEST

/* ---- privileges ---- */

static int has_no_new_privs(void *unused)
{
	(void)unused;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

START_TEST(no_new_privs_is_set_where_it_is_said_or_needed)
{
	become(_i);
	ck_assert_int_eq(under("", has_no_new_privs, NULL), 1);
	ck_assert_int_eq(under("NoNewPrivileges=yes", has_no_new_privs, NULL), 0);
	ck_assert_int_eq(under("NoNewPrivileges=no", has_no_new_privs, NULL), 1);
	ck_assert_int_eq(under("RestrictRealtime=yes", has_no_new_privs, NULL), 0);
	if (_i == USER_NOBODY)
		ck_assert_int_eq(stage_refused("NoNewPrivileges=no\nRestrictRealtime=yes"),
			PAL_STAGE_SECCOMP);
	else
		ck_assert_int_eq(
			under("NoNewPrivileges=no\nRestrictRealtime=yes", has_no_new_privs, NULL),
			1);
}
END_TEST

static int has_sets(void *arg)
{
	const unsigned long long *expected = arg;
	static const char *const names[] = {"CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"};

	for (int i = 0; i < 5; i++)
		if (status_number(names[i]) != expected[i])
			return 1 + i;
	return 0;
}

#define BIT(number) (1ull << (number))

START_TEST(capabilities_are_merged_as_systemd_does)
{
	const unsigned long long kill = BIT(CAP_KILL), chown = BIT(CAP_CHOWN);
	const unsigned long long all = status_number("CapBnd");

	become(USER_ROOT);
	if (status_number("CapPrm") != all)
		support_skip("root without its capabilities");
	ck_assert_int_eq(under("CapabilityBoundingSet=", has_sets, (unsigned long long[5]){0}), 0);
	ck_assert_int_eq(
		under("CapabilityBoundingSet=CAP_KILL\nCapabilityBoundingSet=CAP_CHOWN", has_sets,
			(unsigned long long[]){kill | chown, kill | chown, kill | chown, 0, 0}),
		0);
	ck_assert_int_eq(under("CapabilityBoundingSet=CAP_KILL CAP_CHOWN\n"
			       "CapabilityBoundingSet=~CAP_CHOWN CAP_SYS_ADMIN",
				 has_sets, (unsigned long long[]){kill, kill, kill, 0, 0}),
		0);
	ck_assert_int_eq(under("CapabilityBoundingSet=CAP_KILL\nCapabilityBoundingSet=\n"
			       "CapabilityBoundingSet=CAP_CHOWN",
				 has_sets, (unsigned long long[]){chown, chown, chown, 0, 0}),
		0);
	ck_assert_int_eq(
		under("CapabilityBoundingSet=~CAP_KILL", has_sets,
			(unsigned long long[]){all & ~kill, all & ~kill, all & ~kill, 0, 0}),
		0);
	ck_assert_int_eq(under("CapabilityBoundingSet=CAP_KILL\nCapabilityBoundingSet=~", has_sets,
				 (unsigned long long[]){all, all, all, 0, 0}),
		0);
}
END_TEST

START_TEST(ambient_capabilities_reach_another_user)
{
	const unsigned long long bind = BIT(CAP_NET_BIND_SERVICE);
	const unsigned long long all = status_number("CapBnd");

	become(USER_ROOT);
	ck_assert_int_eq(
		under("User=nobody", has_sets, (unsigned long long[]){all, 0, 0, 0, 0}), 0);
	ck_assert_int_eq(under("User=nobody\nAmbientCapabilities=CAP_NET_BIND_SERVICE", has_sets,
				 (unsigned long long[]){all, bind, bind, bind, bind}),
		0);
	ck_assert_int_eq(under("User=nobody\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
			       "AmbientCapabilities=CAP_NET_BIND_SERVICE",
				 has_sets, (unsigned long long[]){bind, bind, bind, bind, bind}),
		0);
}
END_TEST

/* As a builder of its own, with a setter for `uid` at last, if it is not -1. */
static int under_two(const char *first, const char *second, uid_t uid, const void *sets)
{
	struct pal_profile *a = profile_of(first), *b = profile_of(second);
	struct pal_builder *builder = pal_builder_new(NULL);
	int result;

	pal_builder_sandbox(builder, a);
	pal_builder_sandbox(builder, b);
	if (uid != (uid_t)-1)
		pal_builder_uid(builder, uid);
	result = outcome(builder, has_sets, (void *)sets);
	pal_builder_free(builder);
	pal_profile_free(a);
	pal_profile_free(b);
	return result;
}

START_TEST(a_user_who_is_said_later_has_nothing_of_root_s)
{
	static const char *const bounding = "CapabilityBoundingSet=CAP_KILL CAP_CHOWN\n";
	const unsigned long long kill = BIT(CAP_KILL), both = kill | BIT(CAP_CHOWN);
	const unsigned long long none[] = {both, 0, 0, 0, 0}, root[] = {both, both, both, 0, 0};
	const unsigned long long ambient[] = {both, kill, kill, kill, kill};
	char text[128];

	become(USER_ROOT);
	snprintf(text, sizeof text, "%sAmbientCapabilities=CAP_KILL", bounding);
	ck_assert_int_eq(under_two(bounding, "User=nobody", -1, none), 0);
	ck_assert_int_eq(under_two("User=nobody", bounding, -1, none), 0);
	ck_assert_int_eq(under_two(bounding, "Nice=1", NOBODY, none), 0);
	ck_assert_int_eq(under_two(bounding, bounding, NOBODY, none), 0);
	ck_assert_int_eq(under_two(bounding, "User=nobody", 0, root), 0);
	ck_assert_int_eq(under_two("User=nobody", bounding, 0, root), 0);
	ck_assert_int_eq(under_two(text, "User=nobody", -1, ambient), 0);
	ck_assert_int_eq(under_two(text, bounding, NOBODY, none), 0);
}
END_TEST

static int has_securebits(void *bits)
{
	return prctl(PR_GET_SECUREBITS) == *(int *)bits ? 0 : 1;
}

START_TEST(secure_bits_are_or_ed)
{
	int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;

	become(USER_ROOT);
	ck_assert_int_eq(under("", has_securebits, &bits), 1);
	ck_assert_int_eq(
		under("SecureBits=noroot\nSecureBits=noroot-locked", has_securebits, &bits), 0);
	bits = SECBIT_KEEP_CAPS | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_SETUID_FIXUP |
	       SECBIT_NO_SETUID_FIXUP_LOCKED;
	ck_assert_int_eq(under("SecureBits=keep-caps keep-caps-locked no-setuid-fixup\n"
			       "SecureBits=no-setuid-fixup-locked",
				 has_securebits, &bits),
		0);
	bits = 0;
	ck_assert_int_eq(under("SecureBits=noroot\nSecureBits=", has_securebits, &bits), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/process");
	TCase *limit = support_tcase(suite, "limits");
	TCase *user = support_tcase(suite, "user");
	TCase *rest = support_tcase(suite, "rest");
	TCase *privileges = support_tcase(suite, "privileges");

	tcase_add_loop_test(limit, every_limit_can_be_set, 0, (int)PAL_ARRAY_LENGTH(limits));
	tcase_add_test(limit, a_nice_limit_is_a_nice_value_or_a_limit);
	tcase_add_test(user, user_and_groups_are_those_of_the_database_and_of_the_text);
	tcase_add_test(user, another_user_than_one_may_become_fails_the_spawn);
	tcase_add_test(user, home_is_that_of_the_user);
	tcase_add_loop_test(rest, mask_folder_and_signal_are_set, 0, USERS);
	tcase_add_test(rest, scheduling_is_set);
	tcase_add_loop_test(rest, one_cpu_is_enough, 0, USERS);
	tcase_add_loop_test(privileges, no_new_privs_is_set_where_it_is_said_or_needed, 0, USERS);
	tcase_add_test(privileges, capabilities_are_merged_as_systemd_does);
	tcase_add_test(privileges, ambient_capabilities_reach_another_user);
	tcase_add_test(privileges, a_user_who_is_said_later_has_nothing_of_root_s);
	tcase_add_test(privileges, secure_bits_are_or_ed);
	return suite;
}
SUPPORT_MAIN(make_suite)
