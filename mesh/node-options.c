/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* What a node's options mean: defaults, and bounds that follow from others. */

/* A part of the table, so that a peer cannot fill it alone; but no single message is too much. */
static size_t part_of_fds(unsigned part)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / part < MESH_MESSAGE_MAX_FDS)
		return MESH_MESSAGE_MAX_FDS;
	return limit.rlim_cur / part < SIZE_MAX ? (size_t)(limit.rlim_cur / part) : SIZE_MAX;
}

static void set_defaults(struct mesh_node_options *options)
{
	if (!options->max_message)
		options->max_message = MESH_DEFAULT_MAX_MESSAGE;
	if (!options->max_queued)
		options->max_queued = MESH_DEFAULT_MAX_QUEUED;
	if (!options->max_unread)
		options->max_unread = MESH_DEFAULT_MAX_UNREAD;
	if (!options->max_unread_messages)
		options->max_unread_messages = MESH_DEFAULT_MAX_UNREAD_MESSAGES;
	if (!options->max_unread_fds)
		options->max_unread_fds = part_of_fds(2);
	if (!options->max_queued_fds)
		options->max_queued_fds = part_of_fds(4);
	if (!options->max_queued_messages)
		options->max_queued_messages = MESH_DEFAULT_MAX_QUEUED_MESSAGES;
	if (!options->max_port_unread)
		options->max_port_unread = options->max_unread / 2;
	if (!options->max_port_unread_messages)
		options->max_port_unread_messages = options->max_unread_messages / 2;
	if (!options->max_port_unread_fds)
		options->max_port_unread_fds = options->max_unread_fds / 2;
	if (!options->max_guests)
		options->max_guests = MESH_DEFAULT_MAX_GUESTS;
	if (!options->max_introductions)
		options->max_introductions = MESH_DEFAULT_MAX_INTRODUCTIONS;
}

int mesh__node_read_options(const struct mesh_node_options *options, struct mesh_node_options *ret)
{
	const size_t least = offsetof(struct mesh_node_options, base);

	*ret = (struct mesh_node_options){MESH_NODE_OPTIONS_INIT};
	if (options) {
		size_t size = options->size < sizeof *ret ? options->size : sizeof *ret;

		if (options->size < least)
			return -EINVAL;
		for (size_t i = sizeof *ret; i < options->size; i++)
			if (((const char *)options)[i])
				return -E2BIG; /* asks for something that this version does not know */
		memcpy(ret, options, size);
	}
	set_defaults(ret);
	return 0;
}

static size_t sum(size_t a, size_t b)
{
	return b <= SIZE_MAX - a ? a + b : SIZE_MAX;
}

/*
 * Half of it is the program's. And what was unread on a port here goes out at once when that port moves: it was here
 * before, and must not cost the link. So ports go only as long as that leaves room for the program's messages, and a quarter of
 * all for the node.
 */
struct mesh__queue_bounds mesh__node_queue_bounds(const struct mesh_node_options *options)
{
	return (struct mesh__queue_bounds){
		.program = {.bytes = options->max_queued / 2,
			.packets = options->max_queued_messages / 2,
			.fds = options->max_queued_fds / 2},
		.backlog = {.bytes = sum(options->max_queued / 4, options->max_port_unread),
			.packets = sum(options->max_queued_messages / 4, options->max_port_unread_messages),
			.fds = sum(options->max_queued_fds / 4, options->max_port_unread_fds)},
		.all = {.bytes = sum(options->max_queued, options->max_port_unread),
			.packets = sum(options->max_queued_messages, options->max_port_unread_messages),
			.fds = sum(options->max_queued_fds, options->max_port_unread_fds)},
	};
}

unsigned mesh__node_max_batch(void)
{
	size_t most = part_of_fds(4) / MESH_MESSAGE_MAX_FDS;

	return most < MESH__BATCH_MAX ? (unsigned)most : MESH__BATCH_MAX;
}
