/* SPDX-License-Identifier: MIT */

/*
 * A server that outlives what its requests do.
 *
 * pool-server SOCKET               serves until SIGTERM or SIGINT
 * pool-server --ask SOCKET <LINES  asks it
 *
 * A request is a line: a pattern, a space, a text; is the text like the pattern? The matcher has two
 * defects that a request can bring about: it crashes for "[ab x", and for "*a*a*a*a*a*a*b aaaaa..."
 * it takes longer than anybody can wait. So it runs in copies of a snapshot, which is made before there
 * are threads and connections. The threads of the server only read, call, and answer.
 */
#include <errno.h>
#include <isolate/pool.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define THREADS 8
#define AT_ONCE 4 /* of the matcher: other threads wait in the pool's queue */
#define DEADLINE_MS 2000
#define TRIES 5

static struct isolate_pool *pool;
static int listener;

/* ---- what is not to be trusted, in a copy ---- */

/* The pattern ends with a space: *, ?, and [abc], of which the end is not looked for with care. */
static bool matches(const char *pattern, const char *text)
{
	const char *end;

	switch (*pattern) {
	case '\0':
	case ' ':
		return !*text;
	case '*':
		return matches(pattern + 1, text) || (*text && matches(pattern, text + 1));
	case '?':
		return *text && matches(pattern + 1, text + 1);
	case '[':
		end = strchr(pattern, ']');
		return *text && memchr(pattern + 1, *text, (size_t)(end - pattern - 1)) &&
		       matches(end + 1, text + 1);
	default:
		return *pattern == *text && matches(pattern + 1, text + 1);
	}
}

static int answer(struct isolate_writer *out, const void *request, size_t size)
{
	const char *pattern = request, *text = strchr(pattern, ' ');
	bool is_match = text && matches(pattern, text + 1);
	const char *words = !text ? "no pattern and text" : is_match ? "matches" : "does not match";

	(void)size;
	return isolate_write(out, words, strlen(words));
}

/* ---- the pool ---- */

static int make_pool(struct pal_error *error)
{
	static const int none = -1;
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT,
		.deadline_ms = DEADLINE_MS,
		.max_result = 1000,
		.core = ISOLATE_CORE_OFF,
		.keep_fds = &none, /* no connection is to stay open in a later snapshot */
		.keep_fd_count = 0};
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT,
		.worker = &worker,
		.at_once = AT_ONCE,
		.reuse = 100};

	return isolate_pool_new(&options, &pool, error);
}

/* Several threads may have seen it: the first one makes another snapshot. */
static void refresh_after(pid_t lost)
{
	static pthread_mutex_t refreshing = PTHREAD_MUTEX_INITIALIZER;
	struct pal_error error;

	pthread_mutex_lock(&refreshing);
	if (isolate_pool_pid(pool) == lost) {
		if (isolate_pool_refresh(pool, &error) < 0)
			fprintf(stderr, "pool-server: %s\n", pal_error_text(&error));
		else
			fprintf(stderr, "pool-server: snapshot %d has ended, %d is another\n",
				(int)lost, (int)isolate_pool_pid(pool));
	}
	pthread_mutex_unlock(&refreshing);
}

/* Nothing is done twice by asking twice: so again, whatever the answer is, if it was not its own fault. */
static void call(const char *request, struct isolate_result *result)
{
	for (int tries = 1;; tries++) {
		pid_t snapshot = isolate_pool_pid(pool);

		isolate_pool_call(pool, answer, request, strlen(request) + 1, NULL, result);
		if (result->answer == ISOLATE_RETURNED || result->error.code != -EOWNERDEAD)
			return;
		refresh_after(snapshot);
		if (tries == TRIES)
			return;
		isolate_result_clear(result);
	}
}

/* ---- the server ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool stopping;
static int connections[THREADS]; /* -1: none */

/* Whether it is to be served; from then on `stop` ends it. */
static bool enter(int *place, int fd)
{
	bool served;

	pthread_mutex_lock(&lock);
	served = !stopping;
	if (served)
		*place = fd;
	pthread_mutex_unlock(&lock);
	return served;
}

static void leave(int *place)
{
	pthread_mutex_lock(&lock);
	*place = -1;
	pthread_mutex_unlock(&lock);
}

static void stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	shutdown(listener, SHUT_RDWR);
	for (int i = 0; i < THREADS; i++)
		if (connections[i] >= 0)
			shutdown(connections[i], SHUT_RD); /* what was asked is answered */
	pthread_mutex_unlock(&lock);
}

static bool reply(int fd, const struct isolate_result *result)
{
	char line[1200], why[1000];
	int size;

	if (result->answer == ISOLATE_RETURNED)
		size = snprintf(line, sizeof line, "%.*s\n", (int)result->size,
			(const char *)result->data);
	else
		size = snprintf(line, sizeof line, "error: %s\n",
			isolate_result_text(result, why, sizeof why));
	return send(fd, line, (size_t)size, MSG_NOSIGNAL) == size;
}

static void serve(FILE *connection)
{
	char request[4096];
	bool more = true;

	while (more && fgets(request, sizeof request, connection)) {
		struct isolate_result result;
		char *end = strchr(request, '\n');

		if (!end)
			return;
		*end = '\0';
		call(request, &result);
		more = reply(fileno(connection), &result);
		isolate_result_clear(&result);
	}
}

static void *run(void *place)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED) {
		FILE *connection = fd >= 0 ? fdopen(fd, "r") : NULL;

		if (connection && enter(place, fd)) {
			serve(connection);
			leave(place);
		}
		if (connection)
			fclose(connection);
		else if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static int start_threads(pthread_t *threads)
{
	for (int i = 0; i < THREADS; i++)
		connections[i] = -1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, &connections[i]) != 0)
			return i;
	return THREADS;
}

static int serve_until_told(const struct sockaddr_un *address)
{
	pthread_t threads[THREADS];
	struct pal_error error;
	sigset_t end;
	int count, signal;

	/* The snapshot first: it has no thread, no connection, and as little memory as possible. */
	if (make_pool(&error) < 0) {
		fprintf(stderr, "pool-server: %s\n", pal_error_text(&error));
		return EXIT_FAILURE;
	}
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (const struct sockaddr *)address, sizeof *address) < 0 ||
		listen(listener, SOMAXCONN) < 0) {
		perror("pool-server");
		isolate_pool_free(pool);
		return EXIT_FAILURE;
	}
	count = start_threads(threads);
	printf("ready, with %d threads, snapshot %d\n", count, (int)isolate_pool_pid(pool));
	fflush(stdout);
	if (count > 0)
		sigwait(&end, &signal);

	stop();
	while (count > 0) /* each for its call, at most until the deadline */
		pthread_join(threads[--count], NULL);
	isolate_pool_free(pool);
	close(listener);
	unlink(address->sun_path);
	return EXIT_SUCCESS;
}

/* ---- the client ---- */

static int ask(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[4096];
	FILE *connection;

	if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
		!(connection = fdopen(fd, "r")))
		return perror("pool-server"), EXIT_FAILURE;
	while (fgets(line, sizeof line, stdin)) {
		if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 ||
			!fgets(line, sizeof line, connection))
			break;
		fputs(line, stdout);
	}
	fclose(connection);
	return feof(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	bool asks = argc == 3 && strcmp(argv[1], "--ask") == 0;
	const char *path = argv[argc - 1];

	if ((argc != 2 && !asks) || path[0] == '-' || strlen(path) >= sizeof address.sun_path) {
		fputs("usage: pool-server [--ask] SOCKET\n", stderr);
		return 2;
	}
	memcpy(address.sun_path, path, strlen(path));
	return asks ? ask(&address) : serve_until_told(&address);
}
