/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* Hosts in a sandbox, S170. */

/*
 * A host in the profile for pure computation, which a thread of the sanitizer's own cannot
 * be brought under.
 */
static struct mesh_process_host *launch_caged(
	struct mesh_process *process, struct mesh_port **ret_port)
{
	struct mesh_process_config *config = mesh_process_config_new("caged");

	/* A leak check at exit traces the process, which the profile forbids. */
	mesh_process_config_env(config, "ASAN_OPTIONS", "detect_leaks=0");
	mesh_process_config_sandbox(config, pal_profile_pure_compute());
	return role_launch(process, NULL, config, ret_port);
}

#if BUILT_WITH_TSAN
#define NEEDS_OWN_THREADS_ONLY support_skip("a thread of ThreadSanitizer blocks every signal")
#else
#define NEEDS_OWN_THREADS_ONLY ((void)0)
#endif

START_TEST(a_sandboxed_host_does_its_work)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_port *port;
	char *text;
	int fd;

	NEEDS_OWN_THREADS_ONLY;
	process = role_new();
	host = launch_caged(process, &port);
	role_expect(port, "say before", "before");
	role_expect(port, "finalize", "0");
	role_expect(port, "thread", "ok");
	fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	text = role_ask(port, fd, "read");
	ck_assert_str_ne(text, "");
	free(text);
	close(fd);
	text = role_ask(port, -1, "open /etc/passwd");
	ck_assert_str_ne(text, "ok");
	free(text);
	role_tell(port, "return 4");
	ck_assert_str_eq(role_end(host), "exit 4");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(a_sandboxed_host_leaves_when_told)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_port *port;

	NEEDS_OWN_THREADS_ONLY;
	process = role_new();
	host = launch_caged(process, &port);
	role_expect(port, "finalize", "0");
	ck_assert_int_eq(mesh_process_host_leave(host), 0);
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(what_a_sandbox_forbids_is_noticed)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_message *message;
	struct mesh_port *port;

	NEEDS_OWN_THREADS_ONLY;
	process = role_new();
	host = launch_caged(process, &port);
	role_expect(port, "finalize", "0");
	role_tell(port, "socket");
	/* An error in the host or its end by SIGSYS, as the profile has it: both are seen here. */
	if (mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, NULL)) {
		ck_assert_ptr_nonnull(strstr(role_end(host), "SIGSYS"));
	} else {
		ck_assert(mesh_message_size(message) != 2 ||
			  memcmp(mesh_message_data(message), "ok", 2));
		mesh_message_free(message);
	}
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

static int refuse_to_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)builder;
	return pal_error_set(error, PAL_STAGE_PROFILE, -EPERM, "no cage today");
}

START_TEST(a_sandbox_that_does_not_apply_fails_the_launch)
{
	static const struct pal_profile profile = {
		.size = sizeof profile, .name = "never", .apply = refuse_to_apply};
	struct mesh_process_config *config = mesh_process_config_new("free");
	const char *text;

	mesh_process_config_sandbox(config, &profile);
	text = role_expect_failure_alone(config, -EPERM, MESH_PROCESS_STAGE_SPAWN);
	ck_assert_msg(strstr(text, "no cage today"), "%s", text);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/sandboxed");
	TCase *sandbox = support_tcase(suite, "sandbox");

	tcase_add_test(sandbox, a_sandboxed_host_does_its_work);
	tcase_add_test(sandbox, a_sandboxed_host_leaves_when_told);
	tcase_add_test(sandbox, what_a_sandbox_forbids_is_noticed);
	tcase_add_test(sandbox, a_sandbox_that_does_not_apply_fails_the_launch);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
