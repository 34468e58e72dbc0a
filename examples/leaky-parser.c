/* SPDX-License-Identifier: MIT */

/*
 * leaky-parser --in-process|--isolated [--deadline MS] [--memory MIB] <NAMES >TABLE
 *
 * Counts what is in XML files, by a function as reviews find it every day: it forgets
 * three of the results that libxml2 hands out, recurses as deep as the file wishes, and trusts
 * it to end. In this process each file leaves something behind, and the first hostile one is the
 * last. With --isolated the very same function is called in a forked copy: what it leaks,
 * that it crashes or does not end is the copy's affair.
 *
 * NAMES has the name of a file in each line. TABLE gets a line for each, with the memory that
 * this process has by then; leaky-parser-plot draws it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <isolate/isolate.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the function that is not to be trusted: nothing here knows of isolate ---- */

struct summary {
	uint64_t elements, attributes, links, words, depth;
};

static uint64_t count_words(const xmlChar *text)
{
	uint64_t words = 0;

	for (size_t i = 0; text && text[i]; i++)
		words += text[i] > ' ' && text[i + 1] <= ' ';
	return words;
}

static void look_at(const xmlNode *node, uint64_t depth, struct summary *summary)
{
	for (; node; node = node->next) {
		if (node->type != XML_ELEMENT_NODE)
			continue;
		summary->elements++;
		if (depth > summary->depth)
			summary->depth = depth;
		for (const xmlAttr *attr = node->properties; attr; attr = attr->next) {
			summary->attributes++;
			/* Leaks: the value is a copy. */
			summary->words +=
				count_words(xmlNodeListGetString(node->doc, attr->children, 1));
		}
		look_at(node->children, depth + 1, summary); /* a deep file: the end of the stack */
	}
}

enum outcome {
	DONE,
	NOT_XML,
	NO_MEMORY
};

static int summarize(const char *path, struct summary *summary)
{
	/* Some user has met the parser's bounds: none, then. */
	int options = XML_PARSE_HUGE | XML_PARSE_NOENT | XML_PARSE_NONET | XML_PARSE_NOERROR |
		      XML_PARSE_NOWARNING;
	xmlDoc *document = xmlReadFile(path, NULL, options);
	xmlXPathContext *context;
	xmlXPathObject *links;
	xmlChar *text;

	if (!document)
		return NOT_XML;
	look_at(xmlDocGetRootElement(document), 1, summary);
	text = xmlNodeGetContent((xmlNode *)document); /* leaks: a copy, too */
	if (!text)
		return NO_MEMORY; /* leaks the document */
	summary->words += count_words(text);

	context = xmlXPathNewContext(document);
	links = xmlXPathEvalExpression(BAD_CAST "//@href | //@url | //@linkend", context);
	if (!links)
		return NO_MEMORY; /* leaks the document and the context */
	summary->links = links->nodesetval ? (uint64_t)links->nodesetval->nodeNr : 0;
	xmlXPathFreeContext(context); /* leaks `links`, which does not belong to it */
	xmlFreeDoc(document);
	return DONE;
}

/* ---- one file, in this process or in a copy of it ---- */

static int in_a_copy(struct isolate_writer *out, void *path)
{
	struct summary summary = {0};
	int value = summarize(path, &summary);

	isolate_write_value(out, &summary); /* should that fail, isolate_call tells */
	return value;
}

/* What `summarize` returns, or -1 and why. */
static int summarize_isolated(char *path, const struct isolate_options *options,
	struct summary *summary, struct pal_error *error)
{
	struct isolate_result result;
	int value = -1;

	if (isolate_call(in_a_copy, path, options, &result) != ISOLATE_RETURNED)
		*error = result.error;
	else if (isolate_result_value(&result, summary) == 0 && result.value >= DONE &&
		 result.value <= NO_MEMORY)
		value = result.value;
	else /* what it says is not to be trusted either */
		pal_error_set(error, ISOLATE_STAGE_RESULT, -EBADMSG, "%zu bytes, value %d",
			result.size, result.value);
	isolate_result_clear(&result);
	return value;
}

/* ---- the table ---- */

static long resident_kib(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!statm)
		return -1;
	if (fscanf(statm, "%*s %ld", &pages) != 1)
		pages = 0;
	fclose(statm);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* `options` are NULL where nothing is to be isolated. */
static void print_line(unsigned number, char *path, const struct isolate_options *options)
{
	static const char *const outcomes[] = {"ok", "not XML", "out of memory"};
	struct pal_error error;
	struct summary s = {0};
	int value = options ? summarize_isolated(path, options, &s, &error) : summarize(path, &s);

	if (value != DONE)
		s = (struct summary){0}; /* what was counted until then says nothing */
	printf("%u\t%ld\t%s", number, resident_kib(),
		value < 0 ? pal_error_text(&error) : outcomes[value]);
	printf("\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n",
		s.elements, s.attributes, s.links, s.words, s.depth, path);
}

static int print_table(const struct isolate_options *options)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	unsigned number = 0;

	setlinebuf(stdout); /* should a file be the last, the lines before it are there */
	puts("number\trss_kib\toutcome\telements\tattributes\tlinks\twords\tdepth\tfile");
	while ((length = getline(&line, &room, stdin)) > 0) {
		if (line[length - 1] == '\n')
			line[length - 1] = 0;
		print_line(++number, line, options);
	}
	free(line);
	return ferror(stdin) || fflush(stdout) != 0 || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the command line ---- */

/* 0: not a number, or not within 1 and `highest`. */
static uint64_t read_number(const char *text, uint64_t highest)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	return errno || *end || *text == '-' || number > highest ? 0 : number;
}

static int usage(void)
{
	fputs("usage: leaky-parser --in-process|--isolated [--deadline MS] [--memory MIB] <NAMES >TABLE\n",
		stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"in-process", no_argument, NULL, 'p'},
		{"isolated", no_argument, NULL, 'i'},
		{"deadline", required_argument, NULL, 'd'},
		{"memory", required_argument, NULL, 'm'},
		{0},
	};
	struct isolate_rlimit memory = {.resource = RLIMIT_AS};
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT,
		.deadline_ms = 2000,
		.max_result = sizeof(struct summary),
		.rlimits = &memory,
		/* libxml2 has a lot to say of memory that it does not get. */
		.std_err = PAL_STDIO_NULL,
		.core = ISOLATE_CORE_OFF,
	};
	uint64_t mode = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		uint64_t number = optarg ? read_number(optarg, INT32_MAX) : (uint64_t)option;

		if (number == 0 || option == '?')
			return usage();
		if (option == 'd') {
			options.deadline_ms = (int64_t)number;
		} else if (option == 'm') {
			memory.limit.rlim_cur = memory.limit.rlim_max = number << 20;
			options.rlimit_count = 1;
		} else {
			mode = number;
		}
	}
	if (!mode || optind < argc)
		return usage();
	xmlInitParser(); /* else each copy would do that anew */
	return print_table(mode == 'i' ? &options : NULL);
}
