/* SPDX-License-Identifier: MIT */

/* In place of libFuzzer: gives the target every file of its corpus, or the files that are named. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

/* The input stands on the heap without a byte to spare, so that sanitizers see a read behind it. */
static int replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat status;
	uint8_t *data;

	if (!file || fstat(fileno(file), &status) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	data = malloc(status.st_size ? (size_t)status.st_size : 1);
	must(data && fread(data, 1, (size_t)status.st_size, file) == (size_t)status.st_size);
	fclose(file);
	LLVMFuzzerTestOneInput(data, (size_t)status.st_size);
	free(data);
	return 0;
}

static int replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (!folder) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while ((entry = readdir(folder))) {
		char file[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
		if (replay_file(file) < 0)
			break;
		count++;
	}
	closedir(folder);
	return entry ? -1 : count;
}

int main(int argc, char **argv)
{
	int count;

	for (int i = 1; i < argc; i++)
		if (replay_file(argv[i]) < 0)
			return EXIT_FAILURE;
	if (argc > 1)
		return EXIT_SUCCESS;
	count = replay_folder(FUZZ_CORPUS_OF FUZZ_NAME);
	printf("%d inputs of %s\n", count, FUZZ_CORPUS_OF FUZZ_NAME);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
