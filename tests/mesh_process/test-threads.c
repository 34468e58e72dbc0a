/* SPDX-License-Identifier: MIT */
/* The threads that this library and the mesh start, in a program that has its own mind about signals. */
#include "role.h"

#include <pal/sandbox.h>
#include <stdlib.h>

#include "support.h"

START_TEST(no_signal_that_the_parent_blocks_comes_to_its_threads)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "child", NULL, &port);

	support_send_every_signal();
	role_expect(port, "say still here", "still here");
	role_tell(port, "return 3");
	ck_assert_str_eq(role_end(host), "exit 3");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

/* S170 has the other half: a host that is restricted, with these threads. */
START_TEST(no_signal_that_a_host_blocks_comes_to_its_threads)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "deaf", NULL, &port);

	role_expect(port, "signals", "none");
	role_expect(port, "say still here", "still here");
	ck_assert_int_eq(mesh_process_host_leave(host), 0);
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(the_parents_threads_are_restricted)
{
	const struct pal_self_restrictions restrictions = {.size = sizeof restrictions, .no_new_privs = true};
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_port *port;
	struct pal_error error = {0};

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer's thread cannot be restricted");
	process = role_new();
	host = role_launch(process, "child", NULL, &port);
	for (int i = 0; i < 20; i++)
		ck_assert_ok(pal_self_restrict(&restrictions, &error), &error);
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t1"), 4); /* mesh-io, mesh-test, pal-spawn */
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t0"), 0);
	role_expect(port, "say still here", "still here");
	role_tell(port, "return 3");
	ck_assert_str_eq(role_end(host), "exit 3");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/threads");
	TCase *threads = support_tcase(suite, "threads");

	tcase_add_test(threads, no_signal_that_the_parent_blocks_comes_to_its_threads);
	tcase_add_test(threads, no_signal_that_a_host_blocks_comes_to_its_threads);
	tcase_add_test(threads, the_parents_threads_are_restricted);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
