/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <mesh/invitation.h>
#include <pal/builder.h>
#include <pal/socket.h>
#include <pal/util-priv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* What a host is like from the inside. */

static int never(struct mesh_port *port, void *userdata)
{
	(void)port;
	(void)userdata;
	abort();
}

START_TEST(an_ordinary_start_goes_on_at_once)
{
	ck_assert_int_eq(mesh_process_try_run_host("x", never, NULL), 0);
	ck_assert_ptr_null(mesh_process_host_node());
	ck_assert_int_eq(mesh_process_try_run_host(NULL, never, NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_try_run_host("x", NULL, NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_try_run_host_message("x", NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(a_host_hears_and_answers)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "ears", NULL, &port);

	role_expect(port, "say hello", "hello");
	ck_assert_str_eq(mesh_process_host_name(host), "ears");
	ck_assert_int_gt(mesh_process_host_pid(host), 0);
	role_tell(port, "return 0");
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(a_descriptor_and_a_port_reach_it)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port, *ours, *theirs;
	struct mesh_process_host *host = role_launch(process, "hands", NULL, &port);
	struct mesh_message *message;
	struct pal_error error;
	char *text;
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC), fds[2];

	text = role_ask(port, fd, "read");
	ck_assert_str_ne(text, "");
	free(text);
	close(fd);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(write(fds[1], "through", 7), 7);
	close(fds[1]);
	text = role_ask(port, fds[0], "read");
	ck_assert_str_eq(text, "through");
	free(text);
	close(fds[0]);

	ck_assert_int_eq(mesh_port_pair(&ours, &theirs), 0);
	message = mesh_message_new("say back", 8);
	ck_assert_int_eq(mesh_message_put_port(message, theirs), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
	ck_assert_ok(mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, &error), &error);
	theirs = mesh_message_take_port(message, 0);
	mesh_message_free(message);
	ck_assert_int_eq(mesh_port_send(theirs, mesh_message_new("x", 1)), 0);
	ck_assert_ok(mesh_port_recv(ours, PAL_DEADLINE_MS(60000), &message, &error), &error);
	mesh_message_free(message);
	mesh_port_free(ours);
	mesh_port_free(theirs);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

/* S163 */
START_TEST(the_invitation_is_visible_nowhere)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_config *config = mesh_process_config_new("secret");
	struct mesh_process_host *host;
	char *text;

	mesh_process_config_env(config, "VISIBLE", "yes");
	host = role_launch(process, NULL, config, &port);
	text = role_ask(port, -1, "file /proc/self/environ");
	ck_assert_ptr_nonnull(strstr(text, "VISIBLE=yes\n"));
	ck_assert_ptr_null(strstr(text, MESH_PROCESS_INVITATION_VARIABLE));
	ck_assert_ptr_null(strstr(text, "CgZzZWNyZXQ")); /* how its base64 begins: the name */
	free(text);
	text = role_ask(port, -1, "run env");
	ck_assert_ptr_nonnull(strstr(text, "VISIBLE=yes\n"));
	ck_assert_ptr_null(strstr(text, MESH_PROCESS_INVITATION_VARIABLE));
	free(text);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

/* S163: run_shell leaves inheritance to close-on-exec, so this sees what is not so marked. */
START_TEST(the_link_is_not_inherited)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "link", NULL, &port);
	char *text = role_ask(port, -1, "run ls -l /proc/self/fd");

	ck_assert_ptr_nonnull(strstr(text, "/dev/null"));
	ck_assert_ptr_null(strstr(text, "socket:"));
	free(text);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(a_host_bears_its_names)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "nine", NULL, &port);
	char *text;

	role_expect(port, "file /proc/self/comm", "role-nine\n");
	text = role_ask(port, -1, "file /proc/self/cmdline");
	ck_assert_int_eq(
		strncmp(text, program_invocation_name, strlen(program_invocation_name)), 0);
	ck_assert_str_eq(text + strlen(program_invocation_name), "\nnine\n");
	free(text);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(the_status_is_what_the_function_returns)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "forty-two", NULL, &port);

	role_tell(port, "return 42");
	ck_assert_str_eq(role_end(host), "exit 42");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

/* It is not the host, which goes on with the links that both have. */
START_TEST(a_fork_of_the_host_may_return)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_port *port;

	if (BUILT_WITH_ASAN)
		support_skip("AddressSanitizer's allocator and leak checker can hang in a fork of a process with threads");
	process = role_new();
	host = role_launch(process, "forks", NULL, &port);
	role_expect(port, "fork 9", "exit 9");
	role_expect(port, "say still here", "still here");
	role_tell(port, "return 3");
	ck_assert_str_eq(role_end(host), "exit 3");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(what_was_sent_before_returning_arrives)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "last-words", NULL, &port);
	struct mesh_message *message;
	struct pal_error error;

	role_tell(port, "pour 20000");
	ck_assert_str_eq(role_end(host), "exit 0");
	for (int i = 0; i < 20000; i++) {
		ck_assert_ok(mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, &error), &error);
		mesh_message_free(message);
	}
	ck_assert_int_eq(mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, NULL), -EPIPE);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

/* ---- bad invitations, S167 ---- */

/* Starts this program with that in the variable; its stderr into `text`, and how it ended. */
static const char *start_with(const char *invitation, int link, char *text, size_t size)
{
	static char status_text[64];
	struct pal_builder *builder = pal_builder_new("/proc/self/exe");
	struct pal_child *child;
	struct pal_status status;
	struct pal_error error;
	size_t used = 0;
	ssize_t count;

	pal_builder_env(builder, MESH_PROCESS_INVITATION_VARIABLE, invitation);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	if (link >= 0)
		pal_builder_dup_fd(builder, link, MESH_PROCESS_LINK_FD);
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	while ((count = read(pal_child_stderr(child), text + used, size - 1 - used)) > 0)
		used += (size_t)count;
	text[used] = 0;
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(60000), &status, &error), &error);
	pal_child_free(child);
	return pal_status_text(&status, status_text, sizeof status_text);
}

static void expect_refusal(const char *invitation, int link, const char *reason)
{
	char text[1000];

	ck_assert_str_eq(start_with(invitation, link, text, sizeof text), "exit 125");
	ck_assert_msg(!strncmp(text, "role: cannot be a mesh host: ", 29), "%s", text);
	ck_assert_msg(strstr(text, reason), "'%s' is not in: %s", reason, text);
}

static char *good_invitation(void)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	char *text;

	memset(&invitation.local_node, 1, 16);
	memset(&invitation.local_port, 2, 16);
	memset(&invitation.remote_node, 3, 16);
	memset(&invitation.remote_port, 4, 16);
	ck_assert_int_eq(mesh_invitation_to_text(&invitation, "x", MESH_PROCESS_LINK_FD, &text), 0);
	return text;
}

START_TEST(a_text_that_is_no_invitation_is_refused)
{
	char *text = good_invitation();
	size_t size = strlen(text);

	expect_refusal("", -1, "");
	expect_refusal("~~~ not base64 ~~~", -1, "");
	expect_refusal("aGVsbG8=", -1, "");
	for (size_t cut = 1; cut < size; cut += 17) {
		text[size - cut] = 0;
		expect_refusal(text, -1, "");
	}
	free(text);
}
END_TEST

START_TEST(a_descriptor_that_is_no_link_is_refused)
{
	char *text = good_invitation();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), stream[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_STREAM, stream), 0);
	expect_refusal(text, -1, strerror(EBADF));
	expect_refusal(text, null, strerror(ENOTSOCK));
	expect_refusal(text, stream[0], strerror(EPROTOTYPE));
	close(null);
	close(stream[0]);
	close(stream[1]);
	free(text);
}
END_TEST

START_TEST(a_link_that_nobody_holds_is_refused)
{
	char *text = good_invitation();
	int link[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, link), 0);
	close(link[1]);
	expect_refusal(text, link[0], "");
	close(link[0]);
	free(text);
}
END_TEST

/* ---- first messages ---- */

/* It has joined and has all its threads by then: none of them may be there when exit(3) runs handlers. */
START_TEST(a_first_message_without_a_port_is_refused_and_ends_in_order)
{
	struct mesh_process *process = role_new();
	struct mesh_process_config *config = mesh_process_config_new("empty");
	struct mesh_process_host *host;
	struct pal_error error;
	char text[1000] = {0};
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	mesh_process_config_join_deadline(config, 60000);
	mesh_process_config_stderr(config, ends[1]);
	mesh_process_config_env(config, "ROLE_COUNTS_THREADS", "1");
	ck_assert_ok(mesh_process_launch_message(process, config, mesh_message_new("", 0), &host, &error), &error);
	mesh_process_config_free(config);
	close(ends[1]);
	ck_assert_str_eq(role_end(host), "exit 125");
	mesh_process_host_free(host);
	ck_assert_int_gt(read(ends[0], text, sizeof text - 1), 0);
	for (size_t used = strlen(text); read(ends[0], text + used, 1) > 0;)
		used++;
	close(ends[0]);
	ck_assert_msg(!strncmp(text, "role: cannot be a mesh host: ", 29), "%s", text);
	ck_assert_msg(strstr(text, "threads at exit: one\n"), "%s", text);
	role_shutdown(process);
}
END_TEST

/* ---- requests ---- */

#define BYTES(text) text, sizeof text - 1
#define CRASH "\x0a\x02\x12\x00"
#define INSPECT                                                                                    \
	"\x0e\x01\x1c\x0e\x01\x19\x0e\x01\x16\x0a\x05tasks\x18\x03\x27" \
	"\x2a\x02\x1a\x00\x32\x02\x0a\x00\x3a\x02\x0a\x00"

START_TEST(a_crash_request_aborts_it)
{
	struct role_raw raw;

	role_raw_launch(&raw);
	role_raw_request(raw.requests, BYTES(CRASH), NULL);
	ck_assert_ptr_nonnull(strstr(role_raw_end(&raw), "SIGABRT"));
}
END_TEST

/* Asks to inspect and wants the one answer there is. */
static void inspect(struct mesh_port *requests)
{
	struct mesh_port *answer, *node;
	struct mesh_message *message;
	struct pal_error error;

	ck_assert_int_eq(mesh_port_pair(&answer, &node), 0);
	role_raw_request(requests, BYTES(INSPECT), node);
	ck_assert_ok(mesh_port_recv(answer, PAL_DEADLINE_MS(60000), &message, &error), &error);
	ck_assert_uint_eq(mesh_message_size(message), 4);
	ck_assert_mem_eq(mesh_message_data(message), "\x0a\x02\x32\x00", 4);
	mesh_message_free(message);
	ck_assert_int_eq(mesh_port_recv(answer, PAL_DEADLINE_MS(60000), &message, NULL), -EPIPE);
	mesh_port_free(answer);
}

START_TEST(an_inspect_request_is_answered)
{
	struct role_raw raw;

	role_raw_launch(&raw);
	inspect(raw.requests);
	role_expect(raw.port, "say still here", "still here");
	role_tell(raw.port, "return 3");
	ck_assert_str_eq(role_raw_end(&raw), "exit 3");
}
END_TEST

START_TEST(the_end_of_the_requests_ends_it_with_zero)
{
	struct role_raw raw;

	role_raw_launch(&raw);
	mesh_port_free(PAL_TAKE_POINTER(raw.requests));
	ck_assert_str_eq(role_raw_end(&raw), "exit 0");
}
END_TEST

START_TEST(a_function_that_never_returns_is_cut_off)
{
	struct role_raw raw;

	role_raw_launch(&raw);
	role_expect(raw.port, "hang", "hanging");
	mesh_port_free(PAL_TAKE_POINTER(raw.requests));
	ck_assert_str_eq(role_raw_end(&raw), "exit 0");
}
END_TEST

START_TEST(a_request_that_is_none_ends_it_with_zero)
{
	static const struct {
		const char *data;
		size_t size;
	} requests[] = {{BYTES("")}, {BYTES("\x0a\x00")}, {BYTES("\x0a\x02\x1a\x00")},
		{BYTES("\x08\x01")}, {BYTES("\x17")}, {BYTES("\x12\x00")}, {BYTES("\xff\xff")},
		{BYTES("\x0a\x02\x0a\x00")}, {BYTES("\x0f")}};
	struct role_raw raw;

	role_raw_launch(&raw);
	role_raw_request(raw.requests, requests[_i].data, requests[_i].size, NULL);
	ck_assert_str_eq(role_raw_end(&raw), "exit 0");
}
END_TEST

START_TEST(another_sender_counts_as_much_as_the_first)
{
	struct mesh_port *ours, *theirs;
	struct role_raw raw;

	role_raw_launch(&raw);
	ck_assert_int_eq(mesh_port_pair(&ours, &theirs), 0);
	role_raw_request(raw.requests, BYTES("\x17"), theirs);
	mesh_port_free(PAL_TAKE_POINTER(raw.requests));
	/*
	 * It has seen the end of the first one when it answers this. Its status shows
	 * whether that told it to leave.
	 */
	inspect(ours);
	role_tell(raw.port, "return 3");
	ck_assert_str_eq(role_raw_end(&raw), "exit 3");
	mesh_port_free(ours);
}
END_TEST

START_TEST(the_last_sender_to_go_ends_it)
{
	struct mesh_port *ours, *theirs;
	struct role_raw raw;

	role_raw_launch(&raw);
	ck_assert_int_eq(mesh_port_pair(&ours, &theirs), 0);
	role_raw_request(raw.requests, BYTES("\x17"), theirs);
	mesh_port_free(PAL_TAKE_POINTER(raw.requests));
	role_expect(raw.port, "say here", "here");
	mesh_port_free(ours);
	ck_assert_str_eq(role_raw_end(&raw), "exit 0");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/host");
	TCase *inside = support_tcase(suite, "inside"),
	      *invitation = support_tcase(suite, "invitation");
	TCase *requests = support_tcase(suite, "requests");

	tcase_add_test(inside, a_fork_of_the_host_may_return);
	tcase_add_test(inside, an_ordinary_start_goes_on_at_once);
	tcase_add_test(inside, a_host_hears_and_answers);
	tcase_add_test(inside, a_descriptor_and_a_port_reach_it);
	tcase_add_test(inside, the_invitation_is_visible_nowhere);
	tcase_add_test(inside, the_link_is_not_inherited);
	tcase_add_test(inside, a_host_bears_its_names);
	tcase_add_test(inside, the_status_is_what_the_function_returns);
	tcase_add_test(inside, what_was_sent_before_returning_arrives);
	tcase_add_test(invitation, a_text_that_is_no_invitation_is_refused);
	tcase_add_test(invitation, a_descriptor_that_is_no_link_is_refused);
	tcase_add_test(invitation, a_link_that_nobody_holds_is_refused);
	tcase_add_test(invitation, a_first_message_without_a_port_is_refused_and_ends_in_order);
	tcase_add_test(requests, a_crash_request_aborts_it);
	tcase_add_test(requests, an_inspect_request_is_answered);
	tcase_add_test(requests, the_end_of_the_requests_ends_it_with_zero);
	tcase_add_test(requests, a_function_that_never_returns_is_cut_off);
	tcase_add_loop_test(requests, a_request_that_is_none_ends_it_with_zero, 0, 9);
	tcase_add_test(requests, another_sender_counts_as_much_as_the_first);
	tcase_add_test(requests, the_last_sender_to_go_ends_it);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
