/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <mesh/mesh.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

#define PATIENCE PAL_DEADLINE_MS(30000)

/* A moment that is another one every time: the stimulus of these tests, not their synchronisation. */
static void random_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = random() % 1500000}, NULL);
}

static void send_text(struct mesh_port *port, const char *text)
{
	ck_assert_int_eq(mesh_port_send(port, mesh_message_new(text, strlen(text))), 0);
}

/* What comes on a port before it ends, as one string; sets how it ended. */
static void read_to_end(struct mesh_port *port, char *text, size_t size, int *how)
{
	struct mesh_message *message;
	size_t used = 0;

	while ((*how = mesh_port_recv(port, PATIENCE, &message, NULL)) == 0) {
		ck_assert_uint_lt(used + mesh_message_size(message), size);
		memcpy(text + used, mesh_message_data(message), mesh_message_size(message));
		used += mesh_message_size(message);
		mesh_message_free(message);
	}
	text[used] = 0;
}

/* The port that went to a host and back; NULL when the host has died with it. */
static struct mesh_port *wait_for_return(struct mesh_port *host_port)
{
	struct mesh_message *message;
	struct mesh_port *back = NULL;
	int result = mesh_port_recv(host_port, PATIENCE, &message, NULL);

	ck_assert_msg(result == 0 || result == -ECONNRESET, "%d", result);
	if (!result) {
		back = mesh_message_take_port(message, 0);
		mesh_message_free(message);
	}
	return back;
}

/* Sends `p` to the host and back while q writes into it; kills the host at some moment. */
static void one_round(struct mesh_process *process, struct mesh_port *survivor)
{
	struct mesh_port *host_port, *p, *q;
	struct mesh_process_host *host = role_launch(process, "victim", NULL, &host_port);
	struct mesh_message *message = mesh_message_new("say back", 8);
	char text[16];
	int how;

	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	send_text(q, "1");
	ck_assert_int_eq(mesh_message_put_port(message, p), 0);
	ck_assert_int_eq(mesh_port_send(host_port, message), 0);
	send_text(q, "2");
	random_moment();
	ck_assert_int_eq(mesh_process_host_signal(host, SIGKILL), 0);
	send_text(q, "3");
	p = wait_for_return(host_port);
	if (p) {
		/* It is back: then it works, or both ends say that it does not; nothing comes twice or out of order. */
		send_text(p, "x");
		mesh_port_free(q);
		read_to_end(p, text, sizeof text, &how);
		ck_assert_msg(!strncmp(text, "123", strlen(text)), "%s came", text);
		if (how == -EPIPE)
			ck_assert_str_eq(text, "123");
		mesh_port_free(p);
	} else {
		read_to_end(q, text, sizeof text, &how);
		ck_assert_int_eq(how, -ECONNRESET);
		mesh_port_free(q);
	}
	role_expect(survivor, "say still here", "still here");
	ck_assert_str_eq(role_end(host), "SIGKILL");
	mesh_process_host_free(host);
	mesh_port_free(host_port);
}

START_TEST(a_host_killed_while_a_port_is_on_its_way_hangs_nobody) /* S145 */
{
	struct mesh_process *process = role_new();
	struct mesh_port *survivor;
	struct mesh_process_host *other = role_launch(process, "survivor", NULL, &survivor);

	srandom(145);
	for (int round = 0; round < 60; round++)
		one_round(process, survivor);
	mesh_port_free(survivor);
	mesh_process_host_free(other);
	role_shutdown(process);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/kill");
	TCase *kill_case = support_tcase(suite, "kill");

	tcase_add_test(kill_case, a_host_killed_while_a_port_is_on_its_way_hangs_nobody);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
