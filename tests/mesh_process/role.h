/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_PROCESS_ROLE_H
#define PROCMESH_TESTS_MESH_PROCESS_ROLE_H

/*
 * Every test program here is also the host that it launches: main begins with
 * role_run, which returns in the test itself and nowhere else.
 */

#include <mesh_process/mesh_process.h>

/* What an argument of that name makes of the program: see roles[] in role-host.c. */
void role_run(int argc, char **argv);

/* A mesh, and its end at which nothing may have had to be killed. */
struct mesh_process *role_new(void);
void role_shutdown(struct mesh_process *process);

/*
 * Launches a host that does as it is told. `config` may be NULL: one named `name`; else it
 * is freed.
 */
struct mesh_process_host *role_launch(struct mesh_process *process, const char *name,
	struct mesh_process_config *config,
	struct mesh_port **ret_port);

/* Launches, expects it to fail with this, and returns the text of the error. Frees the config. */
const char *role_expect_failure(
	struct mesh_process *process, struct mesh_process_config *config, int code, int stage);
/* The same in a mesh of its own. */
const char *role_expect_failure_alone(struct mesh_process_config *config, int code, int stage);

/*
 * Tells it what to do and returns its answer, to be freed. `fd` goes along if not -1.
 *
 *   say TEXT        TEXT, and every resource that came along
 *   read            what is in the descriptor that came along
 *   file PATH       what is in the file, with \n for \0
 *   fds             what is open: "0:/dev/null 1:..."
 *   run COMMAND     the output of a shell that runs it
 *   finalize        "0", or why the profile did not finalize
 *   signals         "none": no signal ended it, of all that it sends itself while its main thread blocks them
 *   open PATH, socket, thread    "ok" or the errno's name
 *   fork N          how a fork of the host ended that returned N from the host function
 *   return N        no answer: the host function returns N
 *   pour N          N answers of 1000 bytes, and the function returns 0
 *   raise N         no answer
 *   fork            the pid of a fork, which holds all that the host holds until it is killed
 *   last N          N answers, which are the numbers from 0 (int), and SIGKILL
 *   hang            "hanging", and then nothing ever again
 */
char *role_ask(struct mesh_port *port, int fd, const char *format, ...) PAL_PRINTF(3, 4);
/* The same without waiting for an answer. */
void role_tell(struct mesh_port *port, const char *format, ...) PAL_PRINTF(2, 3);
/* Asks and compares. */
void role_expect(struct mesh_port *port, const char *command, const char *answer);

/* Waits for its end: the text of pal_status_text. */
const char *role_end(struct mesh_process_host *host);

/*
 * A host whose leader is the test: launched by hand, so that the request port is
 * in the test's hands.
 */
struct role_raw {
	struct mesh_node *node;
	struct mesh_port *port, *requests;
	struct pal_child *child;
};
void role_raw_launch(struct role_raw *raw);
/* Sends bytes as a request, with a port if not NULL. */
void role_raw_request(struct mesh_port *requests, const void *data, size_t size,
	struct mesh_port *port);
/* How it ended; frees everything. */
const char *role_raw_end(struct role_raw *raw);

#endif
