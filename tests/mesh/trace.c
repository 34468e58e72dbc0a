/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reading ---- */

static bool is_packet(const char *line)
{
	return strlen(line) > 8 && !strncmp(line, "  ", 2) && isupper(line[2]) &&
	       !strncmp(line + 3, " -> ", 4);
}

static bool is_state(const char *line)
{
	return !strncmp(line, "     ", 5) && isupper(line[5]) && !strncmp(line + 6, ": P-", 4);
}

static void find_section(FILE *file, const char *section)
{
	char head[16], *line = NULL;
	size_t room = 0;

	snprintf(head, sizeof head, "== (%s)", section);
	while (getline(&line, &room, file) >= 0) {
		if (!strncmp(line, head, strlen(head))) {
			free(line);
			return;
		}
	}
	ck_abort_msg("no section (%s)", section);
}

/* ---- names ---- */

static const char *known_as(const struct trace_names *names, const char *raw)
{
	for (size_t i = 0; i < names->count; i++) {
		if (!strcmp(names->list[i].raw, raw))
			return names->list[i].known_as;
	}
	return raw;
}

static void add_name(struct trace_names *names, const char *raw, const char *before, const char *of,
        const char *after)
{
	struct trace_name *name = &names->list[names->count];

	if (known_as(names, raw) != raw || !strcmp(raw, "0"))
		return;
	ck_assert_uint_lt(names->count++, 64);
	snprintf(name->raw, sizeof name->raw, "%s", raw);
	snprintf(name->known_as, sizeof name->known_as, "%s%.30s%s", before, of, after);
}

/* An id that nobody gave a name: x7 in the file, 32 hex digits in the net. */
static bool is_unnamed(const char *raw)
{
	return (raw[0] == 'x' && isdigit(raw[1])) || strlen(raw) == 32;
}

/* Learns from a record that its id is the new place of an old port, and whose peer an unnamed peer is. */
static void learn(struct trace_names *names, const char *line)
{
	char id[40], old[40], peer[40], old_name[40];

	while ((line = strstr(line, "RES id="))) {
		ck_assert_int_eq(
		        sscanf(line, "RES id=%39s next_local=%*s old=%*c.%39s peer=%*c.%39s", id,
		                old, peer),
		        3);
		snprintf(old_name, sizeof old_name, "%s", known_as(names, old));
		add_name(names, id, "", old_name, "'");
		if (is_unnamed(peer))
			add_name(names, peer, "peer of ", old_name, "");
		line++;
	}
}

/* Copies a line with every name of a port replaced by how it is known. */
static void rename_all(const struct trace_names *names, const char *line, char *out, size_t size)
{
	static const char *const marks[] = {"->port ", "id=", "old=", "peer=", "new=", "P-"};
	size_t used = 0;

	while (*line && used + 80 < size) {
		const char *mark = NULL;
		char raw[40];
		size_t length;

		for (size_t i = 0; i < 6 && !mark; i++) {
			if (!strncmp(line, marks[i], strlen(marks[i])))
				mark = marks[i];
		}
		if (!mark) {
			out[used++] = *line++;
			continue;
		}
		length = strlen(mark);
		if (isupper(line[length]) && line[length + 1] == '.')
			length += 2;
		memcpy(out + used, line, length);
		used += length;
		line += length;
		length = strcspn(line, " ,)}\n");
		ck_assert_uint_lt(length, sizeof raw);
		snprintf(raw, sizeof raw, "%.*s", (int)length, line);
		used += (size_t)sprintf(out + used, "%s", known_as(names, raw));
		line += length;
	}
	out[used] = 0;
}

/* A moving port's new place has a name only once somebody has heard of it. */
static void cut_target(char *line)
{
	char *target = strstr(line, ", target: "), *end = target ? strstr(target, " }") : NULL;

	if (end)
		memmove(target, end, strlen(end) + 1);
}

/* ---- opening ---- */

void trace_open(struct trace *trace, struct memory_net *net, const char *section, unsigned *seed)
{
	FILE *file = fopen(TRACES_FILE, "re");
	char *line = NULL;
	size_t room = 0;

	ck_assert_ptr_nonnull(file);
	*trace = (struct trace){.net = net, .seed = seed};
	find_section(file, section);
	while (getline(&line, &room, file) >= 0 && strncmp(line, "== (", 4) != 0) {
		line[strcspn(line, "\n")] = 0;
		trace->lines = reallocarray(trace->lines, trace->count + 1, sizeof *trace->lines);
		trace->lines[trace->count++] = strdup(line);
	}
	free(line);
	fclose(file);
}

void trace_close(struct trace *trace)
{
	while (trace->count)
		free(trace->lines[--trace->count]);
	free(trace->lines);
	ck_assert_uint_eq(trace->extra_count, 0);
	while (trace->except_count)
		free(trace->except[--trace->except_count]);
}

void trace_alias(struct trace *trace, const char *raw, const char *name)
{
	add_name(&trace->file, raw, "", name, "");
}

void trace_except(struct trace *trace, const char *part)
{
	ck_assert_uint_lt(trace->except_count, 8);
	trace->except[trace->except_count++] = strdup(part);
}

void trace_extra(struct trace *trace, const char *line)
{
	ck_assert_uint_lt(trace->extra_count, 8);
	trace->extra[trace->extra_count++] = strdup(line);
}

/* ---- packets ---- */

static bool is_expected(const struct trace *trace, const char *line)
{
	for (size_t i = 0; i < trace->except_count; i++) {
		if (strstr(line, trace->except[i]))
			return false;
	}
	return true;
}

static void our_line(struct trace *trace, const char *line, char *out, size_t size)
{
	learn(&trace->ours, line);
	rename_all(&trace->ours, line, out, size);
}

/* The packet that the line of the file describes. */
static struct memory_packet *find_packet(struct trace *trace, const char *want)
{
	struct memory_packet *packet;
	char line[2000];

	TAILQ_FOREACH(packet, &trace->net->packets, next)
		learn(&trace->ours, packet->line);
	TAILQ_FOREACH(packet, &trace->net->packets, next) {
		our_line(trace, packet->line, line, sizeof line);
		if (!strcmp(line, want))
			return packet;
	}
	TAILQ_FOREACH(packet, &trace->net->packets, next) {
		our_line(trace, packet->line, line, sizeof line);
		fprintf(stderr, "there is     %s\n", line);
	}
	ck_abort_msg("not sent: %s", want);
}

static void play_line(struct trace *trace, const char *line)
{
	char want[2000];

	learn(&trace->file, line);
	if (!is_expected(trace, line))
		return;
	rename_all(&trace->file, line + 2, want, sizeof want);
	memory_deliver(trace->net, find_packet(trace, want));
}

void trace_step(struct trace *trace, size_t count)
{
	while (count) {
		ck_assert_uint_lt(trace->at, trace->count);
		if (is_packet(trace->lines[trace->at])) {
			play_line(trace, trace->lines[trace->at]);
			count--;
		}
		trace->at++;
	}
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void compare_sorted(char **ours, size_t our_count, char **theirs, size_t their_count)
{
	qsort(ours, our_count, sizeof *ours, compare_lines);
	qsort(theirs, their_count, sizeof *theirs, compare_lines);
	for (size_t i = 0; i < our_count || i < their_count; i++) {
		if (i < our_count && i < their_count && !strcmp(ours[i], theirs[i]))
			continue;
		for (size_t k = 0; k < our_count; k++)
			fprintf(stderr, "ours  %s\n", ours[k]);
		for (size_t k = 0; k < their_count; k++)
			fprintf(stderr, "file  %s\n", theirs[k]);
		ck_abort_msg("differs from the file");
	}
	for (size_t i = 0; i < our_count; i++) {
		free(ours[i]);
		free(theirs[i]);
	}
}

static char *renamed(const struct trace_names *names, const char *line)
{
	char out[2000];

	rename_all(names, line, out, sizeof out);
	cut_target(out);
	return strdup(out);
}

static bool at_label(const struct trace *trace, const char *label)
{
	const char *line = trace->lines[trace->at];

	return !strncmp(line, "  -- ", 5) && !strncmp(line + 5, label, strlen(label));
}

/* ---- states ---- */

static void print_ref(FILE *out, struct memory_net *net, const struct mesh__ref *ref)
{
	char buffer[40];

	if (ref->kind == MESH__REF_LOCAL)
		fprintf(out, "LocalPort(P-%s)", memory_name_of(net, &ref->port->id, buffer));
	else
		fprintf(out, "RemotePort(N-%c, P-%s)", ref->remote->id.bytes[0],
		        memory_name_of(net, &ref->id, buffer));
}

static char *describe_port(struct memory_node *node, const struct mesh_port *port)
{
	static const char *const states[] = {"Peered(", "Sending { peer: ", "Proxying { peer: "};
	char *text, buffer[40];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "     %c: P-%s %s", node->name, memory_name_of(node->net, &port->id, buffer),
	        states[port->state]);
	print_ref(out, node->net, &port->peer);
	fprintf(out, "%s next_local=%llu next_peer=%llu heap=%zu local_closed=%s",
	        port->state == MESH__PEERED ? ")" : " }", (unsigned long long)port->next_local_seq,
	        (unsigned long long)port->next_peer_seq, port->far->pending_count,
	        port->local_closed ? "true" : "false");
	fclose(out);
	return text;
}

static size_t our_states(struct trace *trace, char **list)
{
	size_t count = 0;

	for (size_t i = 0; i < trace->net->node_count; i++) {
		struct memory_node *node = &trace->net->nodes[i];
		struct mesh__port_far *far, *next;

		if (node->dead)
			continue;
		HASH_ITER(hh, node->space.ports, far, next) {
			char *text = describe_port(node, far->port);

			if (is_expected(trace, text))
				list[count++] = renamed(&trace->ours, text);
			free(text);
		}
	}
	return count;
}

static void compare_states(struct trace *trace)
{
	char *ours[64], *theirs[64];
	size_t our_count, their_count = 0;
	struct memory_packet *packet;

	TAILQ_FOREACH(packet, &trace->net->packets, next)
		learn(&trace->ours, packet->line);
	for (trace->at++; trace->at < trace->count && is_state(trace->lines[trace->at]);
	        trace->at++) {
		if (is_expected(trace, trace->lines[trace->at]))
			theirs[their_count++] = renamed(&trace->file, trace->lines[trace->at]);
	}
	our_count = our_states(trace, ours);
	compare_sorted(ours, our_count, theirs, their_count);
}

/* ---- stops ---- */

void trace_until(struct trace *trace, const char *label)
{
	for (; !at_label(trace, label); trace->at++) {
		ck_assert_msg(trace->at + 1 < trace->count, "no label %s", label);
		if (is_packet(trace->lines[trace->at]))
			play_line(trace, trace->lines[trace->at]);
	}
	while (trace->extra_count) {
		memory_deliver(trace->net, find_packet(trace, trace->extra[--trace->extra_count]));
		free(trace->extra[trace->extra_count]);
	}
	compare_states(trace);
}

static void settle_in_any_order(struct trace *trace, const char *label)
{
	char *ours[64], *theirs[64];
	size_t our_count = 0, their_count = 0, from = trace->net->log_count;

	memory_run(trace->net, trace->seed);
	for (size_t i = from; i < trace->net->log_count; i++)
		learn(&trace->ours, trace->net->log[i]);
	for (size_t i = from; i < trace->net->log_count; i++)
		ours[our_count++] = renamed(&trace->ours, trace->net->log[i]);
	for (; !at_label(trace, label); trace->at++) {
		const char *line = trace->lines[trace->at];

		ck_assert_msg(trace->at + 1 < trace->count, "no label %s", label);
		if (!is_packet(line))
			continue;
		learn(&trace->file, line);
		if (is_expected(trace, line))
			theirs[their_count++] = renamed(&trace->file, line + 2);
	}
	while (trace->extra_count)
		theirs[their_count++] = trace->extra[--trace->extra_count];
	compare_sorted(ours, our_count, theirs, their_count);
	compare_states(trace);
}

void trace_settle(struct trace *trace, const char *label)
{
	if (trace->seed) {
		settle_in_any_order(trace, label);
		return;
	}
	trace_until(trace, label);
	ck_assert_uint_eq(trace->net->packet_count, 0);
}
