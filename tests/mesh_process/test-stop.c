/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <pal/builder.h>
#include <pal/log.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

/* How one host is ended, and all of them are. */

/* ---- one host ---- */

START_TEST(a_host_can_be_signalled_until_it_has_ended)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	ck_assert_int_eq(mesh_process_host_signal(host, 0), 0);
	ck_assert_int_eq(mesh_process_host_signal(host, SIGTERM), 0);
	ck_assert_str_eq(role_end(host), "SIGTERM");
	ck_assert_int_eq(mesh_process_host_signal(host, SIGKILL), -ESRCH);
	ck_assert_int_eq(mesh_process_host_leave(host), -ESRCH);
	ck_assert_int_eq(mesh_process_host_crash(host), -ESRCH);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(one_host_can_be_told_to_leave)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port, *other_port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct mesh_process_host *other = role_launch(process, "other", NULL, &other_port);

	ck_assert_int_eq(mesh_process_host_leave(host), 0);
	ck_assert_str_eq(role_end(host), "exit 0");
	role_expect(other_port, "say still here", "still here");
	mesh_port_free(port);
	mesh_port_free(other_port);
	mesh_process_host_free(host);
	mesh_process_host_free(other);
	role_shutdown(process);
}
END_TEST

START_TEST(one_host_can_be_made_to_crash)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	ck_assert_int_eq(mesh_process_host_crash(host), 0);
	ck_assert_ptr_nonnull(strstr(role_end(host), "SIGABRT"));
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(a_freed_handle_leaves_its_host_running)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;

	mesh_process_host_free(role_launch(process, "h", NULL, &port));
	role_expect(port, "say still here", "still here");
	mesh_port_free(port);
	role_shutdown(process);
}
END_TEST

/* ---- all of them ---- */

START_TEST(shutdown_tells_everybody_to_leave)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *hosts[3];
	struct mesh_port *ports[3];

	for (int i = 0; i < 3; i++)
		hosts[i] = role_launch(process, "h", NULL, &ports[i]);
	role_expect(ports[0], "hang", "hanging"); /* in its function; but its loop hears */
	role_shutdown(process);
	for (int i = 0; i < 3; i++) {
		ck_assert_str_eq(role_end(hosts[i]), "exit 0");
		mesh_process_host_free(hosts[i]);
		mesh_port_free(ports[i]);
	}
}
END_TEST

/* S172 */
START_TEST(a_host_that_does_not_leave_is_killed)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *stopped, *good;
	struct mesh_port *port, *good_port;

	stopped = role_launch(process, "stopped", NULL, &port);
	good = role_launch(process, "good", NULL, &good_port);
	role_expect(good_port, "say fine", "fine");
	ck_assert_int_eq(mesh_process_host_signal(stopped, SIGSTOP), 0);
	ck_assert_int_eq(mesh_process_shutdown(process, PAL_DEADLINE_MS(2000)), -ETIMEDOUT);
	ck_assert_str_eq(role_end(stopped), "SIGKILL");
	ck_assert_str_eq(role_end(good), "exit 0");
	mesh_port_free(port);
	mesh_port_free(good_port);
	mesh_process_host_free(stopped);
	mesh_process_host_free(good);
}
END_TEST

START_TEST(no_time_at_all_means_to_kill)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	mesh_process_host_signal(host, SIGSTOP);
	ck_assert_int_eq(mesh_process_shutdown(process, PAL_DEADLINE_NOW), -ETIMEDOUT);
	ck_assert_str_eq(role_end(host), "SIGKILL");
	mesh_port_free(port);
	mesh_process_host_free(host);
}
END_TEST

START_TEST(a_mesh_without_hosts_comes_and_goes)
{
	for (int i = 0; i < 20; i++)
		role_shutdown(role_new());
}
END_TEST

/* S171 */
START_TEST(hosts_die_with_their_parent)
{
	struct pal_builder *builder = pal_builder_new("/proc/self/exe");
	struct pal_child *parent;
	struct pal_status status;
	struct pal_error error;
	int pids[3], pidfds[3];
	FILE *output;

	pal_builder_arg(builder, "launch-and-wait");
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	ck_assert_ok(pal_builder_spawn(builder, &parent, &error), &error);
	pal_builder_free(builder);
	output = fdopen(pal_child_steal_stdout(parent), "r");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(fscanf(output, "%d", &pids[i]), 1);
		pidfds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
		ck_assert_int_ge(pidfds[i], 0);
	}
	fclose(output);
	ck_assert_int_eq(pal_child_signal(parent, SIGKILL), 0);
	ck_assert_ok(pal_child_wait(parent, PAL_DEADLINE_NONE, &status, &error), &error);
	pal_child_free(parent);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(
			poll(&(struct pollfd){.fd = pidfds[i], .events = POLLIN}, 1, 50000), 1);
		close(pidfds[i]);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/stop");
	TCase *stop = support_tcase(suite, "stop");

	tcase_add_test(stop, a_host_can_be_signalled_until_it_has_ended);
	tcase_add_test(stop, one_host_can_be_told_to_leave);
	tcase_add_test(stop, one_host_can_be_made_to_crash);
	tcase_add_test(stop, a_freed_handle_leaves_its_host_running);
	tcase_add_test(stop, shutdown_tells_everybody_to_leave);
	tcase_add_test(stop, a_host_that_does_not_leave_is_killed);
	tcase_add_test(stop, no_time_at_all_means_to_kill);
	tcase_add_test(stop, a_mesh_without_hosts_comes_and_goes);
	tcase_add_test(stop, hosts_die_with_their_parent);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
