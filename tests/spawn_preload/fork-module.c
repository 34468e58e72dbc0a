/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>

/*
 * A library whose handlers of fork(2) were registered before those of the preloaded one: it is
 * preloaded behind it, and so initialised before it. It protects its state by a lock, and opens its log
 * anew in a child, as libraries do.
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;

void module_lock(void);
void module_unlock(void);

void module_lock(void)
{
	pthread_mutex_lock(&lock);
}

void module_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	module_unlock();
	fclose(log_file);
	log_file = fopen("/dev/null", "a");
}

__attribute__((constructor)) static void start(void)
{
	log_file = fopen("/dev/null", "a");
	pthread_atfork(module_lock, module_unlock, in_child);
}
