/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <pal/builder.h>
#include <pal/log.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/* How hosts end, and who hears of it. */

struct news {
	sem_t posted;
	int calls;
	char text[64];
	pthread_t thread;
};

static void note(struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	struct news *news = userdata;

	(void)host;
	news->calls++;
	news->thread = pthread_self();
	pal_status_text(status, news->text, sizeof news->text);
	sem_post(&news->posted);
}

static void await_news(struct news *news)
{
	while (sem_wait(&news->posted) < 0)
		ck_assert_int_eq(errno, EINTR);
}

/* ---- the exit as an event and as a value ---- */

START_TEST(the_end_is_an_event_and_a_value)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct pal_status status;
	struct news news = {0};

	sem_init(&news.posted, 0, 0);
	ck_assert_int_eq(mesh_process_host_status(host, &status), -EAGAIN);
	ck_assert_int_eq(mesh_process_host_wait(host, PAL_DEADLINE_MS(1), &status), -ETIMEDOUT);
	ck_assert_int_eq(mesh_process_host_on_exit(host, note, &news), 0);
	role_tell(port, "return 3");
	await_news(&news);
	ck_assert_str_eq(news.text, "exit 3");
	ck_assert(!pthread_equal(news.thread, pthread_self()));
	ck_assert_int_eq(mesh_process_host_status(host, &status), 0);
	ck_assert_int_eq(status.code, 3);
	ck_assert_str_eq(role_end(host), "exit 3");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	ck_assert_int_eq(news.calls, 1);
	sem_destroy(&news.posted);
}
END_TEST

START_TEST(an_end_that_is_past_is_told_at_once)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct news news = {0};

	sem_init(&news.posted, 0, 0);
	role_tell(port, "raise 9");
	ck_assert_str_eq(role_end(host), "SIGKILL");
	ck_assert_int_eq(mesh_process_host_on_exit(host, note, &news), 0);
	ck_assert_int_eq(news.calls, 1);
	ck_assert(pthread_equal(news.thread, pthread_self()));
	ck_assert_str_eq(news.text, "SIGKILL");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	sem_destroy(&news.posted);
}
END_TEST

START_TEST(an_event_that_was_removed_does_not_come)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct news news = {0};

	mesh_process_host_on_exit(host, note, &news);
	mesh_process_host_on_exit(host, NULL, NULL);
	role_tell(port, "return 0");
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	ck_assert_int_eq(news.calls, 0);
}
END_TEST

static void free_it(struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	(void)status;
	mesh_process_host_free(host);
	sem_post(userdata);
}

START_TEST(a_host_may_be_freed_in_its_own_event)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct mesh_port *port;
	sem_t freed;

	sem_init(&freed, 0, 0);
	host = role_launch(process, "later", NULL, &port);
	mesh_process_host_on_exit(host, free_it, &freed);
	role_tell(port, "return 0");
	sem_wait(&freed);
	mesh_port_free(port);

	host = role_launch(process, "at-once", NULL, &port);
	role_tell(port, "return 0");
	role_end(host);
	mesh_process_host_on_exit(host, free_it, &freed);
	ck_assert_int_eq(sem_trywait(&freed), 0);
	mesh_port_free(port);
	role_shutdown(process);
	sem_destroy(&freed);
}
END_TEST

struct restart {
	struct mesh_process *process;
	struct mesh_process_host *second;
	struct mesh_port *port;
	sem_t done;
};

static void launch_again(
	struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	struct restart *restart = userdata;

	(void)status;
	restart->second =
		role_launch(restart->process, mesh_process_host_name(host), NULL, &restart->port);
	sem_post(&restart->done);
}

START_TEST(a_host_may_be_launched_again_in_its_event)
{
	struct restart restart = {.process = role_new()};
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(restart.process, "phoenix", NULL, &port);

	sem_init(&restart.done, 0, 0);
	mesh_process_host_on_exit(host, launch_again, &restart);
	role_tell(port, "raise 15");
	sem_wait(&restart.done);
	role_expect(restart.port, "file /proc/self/comm", "role-phoenix\n");
	mesh_port_free(port);
	mesh_port_free(restart.port);
	mesh_process_host_free(host);
	mesh_process_host_free(restart.second);
	role_shutdown(restart.process);
	sem_destroy(&restart.done);
}
END_TEST

static void shut_down(
	struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	(void)host;
	(void)status;
	ck_assert_int_eq(mesh_process_shutdown(userdata, PAL_DEADLINE_NONE), -EDEADLK);
}

START_TEST(shutdown_in_an_event_is_refused)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	mesh_process_host_on_exit(host, shut_down, process);
	role_tell(port, "return 0");
	role_end(host);
	mesh_port_free(port);
	mesh_process_host_free(host); /* waits for the event */
	role_shutdown(process);
}
END_TEST

/* What a callback in the node's own thread was told. */
struct inside {
	struct mesh_process *process;
	int launch, launch_message, shutdown;
	sem_t done;
};

static void manage(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct inside *inside = userdata;
	struct mesh_process_config *config = mesh_process_config_new("child");
	struct mesh_process_host *host;
	struct mesh_port *host_port;

	(void)port;
	mesh_message_free(message);
	if (!status) {
		inside->launch = mesh_process_launch(inside->process, config, &host_port, &host, NULL);
		inside->launch_message = mesh_process_launch_message(
			inside->process, config, mesh_message_new(NULL, 0), &host, NULL);
		inside->shutdown = mesh_process_shutdown(inside->process, PAL_DEADLINE_NOW);
		sem_post(&inside->done);
	}
	mesh_process_config_free(config);
}

/* They would wait for what only this thread can read. */
START_TEST(launch_and_shutdown_in_a_callback_of_the_node_are_refused)
{
	struct inside inside = {.process = role_new()};
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(inside.process, "h", NULL, &port);

	sem_init(&inside.done, 0, 0);
	ck_assert_int_eq(mesh_port_set_callback(port, NULL, manage, &inside), 0);
	role_tell(port, "say now");
	while (sem_wait(&inside.done))
		;
	ck_assert_int_eq(mesh_port_set_callback(port, NULL, NULL, NULL), 0);
	ck_assert_int_eq(inside.launch, -EDEADLK);
	ck_assert_int_eq(inside.launch_message, -EDEADLK);
	ck_assert_int_eq(inside.shutdown, -EDEADLK);
	role_expect(port, "say still there", "still there");
	role_tell(port, "return 0");
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(inside.process);
	sem_destroy(&inside.done);
}
END_TEST

START_TEST(a_port_says_how_its_host_ended)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct mesh_message *message;

	role_tell(port, "raise 9");
	ck_assert_int_eq(mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, NULL), -ECONNRESET);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

static char log_text[1000];

static void keep_log(enum pal_log_level level, const char *text, void *userdata)
{
	(void)userdata;
	if (strncmp(text, "host ", 5))
		return; /* the mesh below has its say too */
	snprintf(log_text + strlen(log_text), sizeof log_text - strlen(log_text), "%d %s\n",
		(int)level, text);
}

START_TEST(ends_are_logged)
{
	struct mesh_process *process;
	struct mesh_process_host *good, *bad;
	struct mesh_port *port;
	char expected[200];

	pal_log_set(keep_log, NULL);
	process = role_new();
	good = role_launch(process, "good", NULL, &port);
	role_tell(port, "return 0");
	role_end(good);
	mesh_port_free(port);
	bad = role_launch(process, "bad", NULL, &port);
	role_tell(port, "return 1");
	role_end(bad);
	mesh_port_free(port);
	snprintf(expected, sizeof expected,
		"%d host 'good' (pid %d) ended: exit 0\n%d host 'bad' (pid %d) ended: exit 1\n",
		PAL_LOG_INFO, (int)mesh_process_host_pid(good), PAL_LOG_ERROR,
		(int)mesh_process_host_pid(bad));
	mesh_process_host_free(good);
	mesh_process_host_free(bad);
	role_shutdown(process);
	pal_log_set(NULL, NULL);
	ck_assert_str_eq(log_text, expected);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/group");
	TCase *ends = support_tcase(suite, "ends");

	tcase_add_test(ends, the_end_is_an_event_and_a_value);
	tcase_add_test(ends, an_end_that_is_past_is_told_at_once);
	tcase_add_test(ends, an_event_that_was_removed_does_not_come);
	tcase_add_test(ends, a_host_may_be_freed_in_its_own_event);
	tcase_add_test(ends, a_host_may_be_launched_again_in_its_event);
	tcase_add_test(ends, shutdown_in_an_event_is_refused);
	tcase_add_test(ends, launch_and_shutdown_in_a_callback_of_the_node_are_refused);
	tcase_add_test(ends, a_port_says_how_its_host_ended);
	tcase_add_test(ends, ends_are_logged);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
