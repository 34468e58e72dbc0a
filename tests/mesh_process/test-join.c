/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mesh/node-priv.h>
#include <mesh_process/mesh_process-priv.h>
#include <pal/builder.h>
#include <pal/sandbox.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* Hosts that do not join, or not for long. */

static struct mesh_process_config *shell(const char *script)
{
	struct mesh_process_config *config = mesh_process_config_new("shell");

	mesh_process_config_program(config, "/bin/sh");
	mesh_process_config_arg(config, "-c");
	mesh_process_config_arg(config, script);
	return config;
}

/* S168 */
START_TEST(a_program_that_knows_no_mesh_is_told_by_its_end)
{
	ck_assert_str_eq(
		role_expect_failure_alone(shell("exit 127"), -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: exit 127");
	ck_assert_str_eq(role_expect_failure_alone(shell(":"), -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: exit 0");
	ck_assert_str_eq(
		role_expect_failure_alone(shell("kill -9 $$"), -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: SIGKILL");
}
END_TEST

/* What it leaves behind keeps the link open: neither launch nor shutdown may wait for that. */
START_TEST(a_link_that_outlives_its_host_delays_nothing)
{
	struct mesh_process_config *config = shell("sleep 1000 & echo $! >&2; exit 5");
	struct mesh_process *process = role_new();
	int fds[2];
	char pid[20];
	ssize_t size;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	mesh_process_config_stderr(config, fds[1]);
	mesh_process_config_join_deadline(config, 600000);
	ck_assert_str_eq(role_expect_failure(process, config, -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: exit 5");
	size = read(fds[0], pid, sizeof pid - 1);
	ck_assert_int_gt(size, 0);
	pid[size] = 0;
	role_shutdown(process);
	ck_assert_int_eq(kill(atoi(pid), SIGKILL), 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static struct mesh_process_config *in_role(const char *role)
{
	struct mesh_process_config *config = mesh_process_config_new("actor");

	mesh_process_config_arg(config, role);
	return config;
}

/* S165 */
START_TEST(a_host_that_never_joins_meets_the_deadline)
{
	struct mesh_process_config *config = in_role("be-silent");

	mesh_process_config_join_deadline(config, 50);
	ck_assert_str_eq(role_expect_failure_alone(config, -ETIMEDOUT, MESH_PROCESS_STAGE_JOIN),
		"host 'actor' did not join in time");
}
END_TEST

START_TEST(a_host_that_gives_up_its_link_is_not_waited_for)
{
	struct mesh_process_config *config = in_role("give-up-the-link");

	mesh_process_config_join_deadline(config, 600000);
	ck_assert_str_eq(role_expect_failure_alone(config, -ECONNRESET, MESH_PROCESS_STAGE_JOIN),
		"host 'actor' closed its link instead of joining");
}
END_TEST

START_TEST(a_host_that_talks_nonsense_is_not_waited_for)
{
	struct mesh_process_config *config = in_role("send-garbage");

	mesh_process_config_join_deadline(config, 600000);
	role_expect_failure_alone(config, -ECONNRESET, MESH_PROCESS_STAGE_JOIN);
}
END_TEST

/* A host may have come and gone before the launcher has looked. */
START_TEST(a_host_that_joins_and_ends_at_once_has_joined)
{
	struct mesh_process *process = role_new();

	for (int i = 0; i < 20; i++) {
		struct mesh_process_config *config = mesh_process_config_new("brief");
		struct mesh_process_host *host;
		struct mesh_port *ours, *theirs;
		struct mesh_message *init = mesh_message_new("\x0f", 1);
		struct pal_error error;

		/* Its orders are there before it is. */
		ck_assert_int_eq(mesh_port_pair(&ours, &theirs), 0);
		role_tell(ours, "return 9");
		ck_assert_int_eq(mesh_message_put_port(init, theirs), 0);
		ck_assert_ok(
			mesh_process_launch_message(process, config, init, &host, &error), &error);
		ck_assert_str_eq(role_end(host), "exit 9");
		mesh_process_config_free(config);
		mesh_process_host_free(host);
		mesh_port_free(ours);
	}
	role_shutdown(process);
}
END_TEST

static void *launch_a_silent_one(void *arg)
{
	struct mesh_process_config *config = in_role("be-silent");
	static struct pal_error error;
	struct mesh_process_host *host;
	struct mesh_port *port;

	mesh_process_config_join_deadline(config, 600000);
	if (mesh_process_launch(arg, config, &port, &host, &error) == 0)
		abort();
	mesh_process_config_free(config);
	return &error;
}

static unsigned launches_of(struct mesh_process *process)
{
	unsigned launches;

	mesh_process__lock(&process->monitor);
	launches = process->launches;
	mesh_process__unlock(&process->monitor);
	return launches;
}

/* The other launch is still waiting when this one is through; and shutdown ends it. */
START_TEST(launches_do_not_wait_for_one_another)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	const struct pal_error *error;
	struct mesh_port *port;
	void *result;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, launch_a_silent_one, process), 0);
	SUPPORT_LOOK_UNTIL(launches_of(process) == 1); /* or it could begin when all is freed */
	host = role_launch(process, "quick", NULL, &port);
	role_expect(port, "say fine", "fine");
	role_end_all(process, host, port);
	pthread_join(thread, &result);
	error = result;
	ck_assert_int_eq(error->code, -ESHUTDOWN);
}
END_TEST

/* ---- killed at every step, S165 ---- */

#define LAUNCHES 334 /* of each of three kinds: 1,000 */

/* In the host: it is killed instead of doing this step. A step is what lies between two system calls on a link. */
static atomic_int steps_to_live = INT_MAX;

static void step(void)
{
	if (atomic_fetch_sub(&steps_to_live, 1) <= 0)
		raise(SIGKILL);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t result;

	step();
	result = __real_sendmsg(fd, message, flags);
	step();
	return result;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t result;

	step();
	result = __real_recvmsg(fd, message, flags);
	step();
	return result;
}

static void die_after(long microseconds)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec when = {.it_value.tv_nsec = 1000 * microseconds + 1};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
		abort();
}

/* What main does before it becomes a host. */
static void prepare_to_die(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "die-at-step"))
		atomic_store(&steps_to_live, atoi(argv[2]));
	else if (argc > 2 && !strcmp(argv[1], "die-after"))
		die_after(atol(argv[2]));
}

static struct mesh_process_config *mortal(const char *how, int number)
{
	struct mesh_process_config *config = in_role(how);
	char text[20];

	snprintf(text, sizeof text, "%d", number);
	mesh_process_config_arg(config, text);
	mesh_process_config_join_deadline(config, 600000);
	return config;
}

enum fate {
	NOT_JOINED,
	DIED_LATER,
	LIVES
};

/* Launches and talks to it. Whatever happens is reported by an error, and by the right one. */
static enum fate launch_mortal(struct mesh_process *process, struct mesh_process_config *config)
{
	struct mesh_process_host *host;
	struct mesh_message *message = NULL;
	struct mesh_port *port;
	struct pal_error error;
	const char *end;
	int result = mesh_process_launch(process, config, &port, &host, &error);

	mesh_process_config_free(config);
	if (result) {
		ck_assert_int_eq(result, -ECHILD);
		ck_assert_str_eq(error.text, "host 'actor' ended before it joined: SIGKILL");
		return NOT_JOINED;
	}
	role_tell(port, "say fine");
	role_tell(port, "return 9");
	result = mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, NULL);
	end = role_end(host);
	if (result) {
		ck_assert_int_eq(result, -ECONNRESET);
		ck_assert_str_eq(end, "SIGKILL");
	} else {
		ck_assert_uint_eq(mesh_message_size(message), 4);
		ck_assert(!strcmp(end, "SIGKILL") || !strcmp(end, "exit 9"));
	}
	mesh_message_free(message);
	mesh_process_host_free(host);
	mesh_port_free(port);
	return *end == 'S' ? DIED_LATER : LIVES;
}

/* The number of steps is not known beforehand: the one that outlives them all begins a new round. */
static void die_at_each_step(struct mesh_process *process)
{
	int seen[LIVES + 1] = {0}, number = 0;

	for (int i = 0; i < LAUNCHES; i++) {
		enum fate fate = launch_mortal(process, mortal("die-at-step", number));

		seen[fate]++;
		number = fate == LIVES ? 0 : number + 1;
	}
	ck_assert_int_gt(seen[NOT_JOINED], 0);
	ck_assert_int_gt(seen[DIED_LATER], 0);
	ck_assert_int_gt(seen[LIVES], 0);
}

static void die_at_any_moment(struct mesh_process *process)
{
	srandom(165);
	for (int i = 0; i < LAUNCHES; i++)
		launch_mortal(process, mortal("die-after", (int)(random() % 5000)));
}

/* Its seccomp filter comes last before exec: what follows are the opening of the signal mask, and exec. */
static int kill_before_exec(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int result = pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, error);

	if (result < 0)
		return result;
	result = pal_seccomp_rule(filter, PAL_SECCOMP_KILL, profile->data, error);
	if (result >= 0) {
		pal_builder_no_new_privs(builder, true);
		pal_builder_seccomp(builder, filter);
	}
	pal_seccomp_free(filter);
	return result;
}

static void die_before_exec(struct mesh_process *process)
{
	static char mask[] = "rt_sigprocmask", exec[] = "execve";
	struct pal_profile profile = {
		.size = sizeof profile, .name = "deadly", .apply = kill_before_exec};

	for (int i = 0; i < LAUNCHES; i++) {
		struct mesh_process_config *config = in_role("be-silent");

		profile.data = i % 2 ? mask : exec;
		mesh_process_config_sandbox(config, &profile);
		ck_assert_str_eq(
			role_expect_failure(process, config, -ECHILD, MESH_PROCESS_STAGE_SPAWN),
			"host 'actor': killed before exec by SIGSYS: No child processes");
	}
}

static void never_join(struct mesh_process *process)
{
	for (int i = 0; i < 20; i++) {
		struct mesh_process_config *config = in_role("be-silent");

		mesh_process_config_join_deadline(config, 5);
		role_expect_failure(process, config, -ETIMEDOUT, MESH_PROCESS_STAGE_JOIN);
	}
}

/* What a node keeps of other nodes. */
struct footprint {
	size_t peers, followers, ports, moving, fds;
};

static struct footprint footprint_of(struct mesh_process *process)
{
	struct mesh_node *node = mesh_process_node(process);
	struct footprint footprint;

	mesh__space_lock(&node->space);
	footprint = (struct footprint){HASH_COUNT(node->peers), HASH_COUNT(node->followers),
		HASH_COUNT(node->space.ports), mesh__space_moving(&node->space),
		support_open_fds()};
	mesh__space_unlock(&node->space);
	return footprint;
}

static void (*const deaths[])(struct mesh_process *) = {
	die_before_exec, die_at_each_step, die_at_any_moment, never_join};

/* In bounded time, with no zombie (the fixture sees those), and the mesh is as good as new. */
START_TEST(hosts_that_die_on_their_way_leave_nothing_behind)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct footprint before, after;
	struct mesh_port *port;

	host = role_launch(process, "good", NULL, &port);
	role_expect(port, "say before", "before");
	before = footprint_of(process);
	deaths[_i](process);
	/* What came in before this answer has been served, so the ends of all links of the dead. */
	role_expect(port, "say after", "after");
	/* The last of them may be let go of in another thread still; a descriptor that stays is a time-out here. */
	SUPPORT_LOOK_UNTIL((after = footprint_of(process)).fds <= before.fds);
	ck_assert_uint_eq(after.peers, before.peers);
	ck_assert_uint_eq(after.followers, before.followers);
	ck_assert_uint_eq(after.ports, before.ports);
	ck_assert_uint_eq(after.moving, before.moving);
	ck_assert_uint_eq(after.fds, before.fds);
	role_end_all(process, host, port);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/join");
	TCase *alone = support_tcase(suite, "alone"), *deadly = support_tcase(suite, "deadly");

	tcase_add_test(alone, a_program_that_knows_no_mesh_is_told_by_its_end);
	tcase_add_test(alone, a_link_that_outlives_its_host_delays_nothing);
	tcase_add_test(alone, a_host_that_never_joins_meets_the_deadline);
	tcase_add_test(alone, a_host_that_gives_up_its_link_is_not_waited_for);
	tcase_add_test(alone, a_host_that_talks_nonsense_is_not_waited_for);
	tcase_add_test(alone, a_host_that_joins_and_ends_at_once_has_joined);
	tcase_add_test(alone, launches_do_not_wait_for_one_another);
	tcase_add_loop_test(deadly, hosts_that_die_on_their_way_leave_nothing_behind, 0,
		(int)PAL_ARRAY_LENGTH(deaths));
	return suite;
}

int main(int argc, char **argv)
{
	prepare_to_die(argc, argv);
	role_run(argc, argv);
	return support_run(make_suite());
}
