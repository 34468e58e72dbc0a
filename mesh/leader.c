/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <mesh/control-priv.h>
#include <mesh/port.h>
#include <pal/log.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/*
 * The leader invites new nodes and introduces those that it knows to one
 * another: it makes a socket pair and orders each side to use one end.
 */

/* ---- followers ---- */

static struct mesh__guest_list *guest_list_ref(struct mesh__guest_list *list)
{
	list->refs++;
	return list;
}

static void guest_list_unref(struct mesh__guest_list *list)
{
	if (list && !--list->refs)
		free(list);
}

void mesh__leader_peer_lost(struct mesh__peer *peer)
{
	if (peer->is_guest)
		peer->guest_list->guests--;
	peer->is_guest = false;
}

void mesh__leader_peer_freed(struct mesh__peer *peer)
{
	guest_list_unref(peer->guest_list);
}

static void forget_introductions(struct mesh__follower *follower, const struct mesh_id *other)
{
	struct mesh__introduction *introduction, *next;

	HASH_ITER(hh, follower->introductions, introduction, next) {
		if (!other || mesh__id_equal(&introduction->other, other)) {
			HASH_DELETE(hh, follower->introductions, introduction);
			free(introduction);
		}
	}
}

void mesh__leader_forget(struct mesh_node *node, struct mesh__follower *follower)
{
	struct mesh__follower *other, *next;

	HASH_DELETE(hh, node->followers, follower);
	HASH_ITER(hh, node->followers, other, next)
		forget_introductions(other, &follower->node);
	forget_introductions(follower, NULL);
	guest_list_unref(follower->guest_list);
	if (follower->orders)
		mesh__port_disown(follower->orders);
	free(follower);
}

void mesh__leader_request_port_ended(struct mesh_node *node, struct mesh__follower *follower)
{
	if (follower->request_ports && --follower->request_ports)
		return;
	mesh__leader_forget(node, follower);
}

void mesh__leader_stop(struct mesh_node *node)
{
	struct mesh__follower *follower, *next;
	struct mesh__control *control;

	TAILQ_FOREACH(control, &node->controls, in_all)
		control->follower = NULL;
	HASH_ITER(hh, node->followers, follower, next)
		mesh__leader_forget(node, follower);
}

/* ---- inviting ---- */

/* What a new follower needs, made before the lock is taken: ports inside a message may be this node's own. */
struct new_follower {
	struct mesh_invitation invitation;
	struct mesh_port *requests, *orders; /* the leader's ends */
	struct mesh_message *first_message;
	struct mesh__guest_list *guest_list; /* of whom asked, borrowed; NULL: this program */
	int socket;
};

/* Consumes the user's port, also on failure. */
static int make_first_message(struct new_follower *new, struct mesh_port *user_port)
{
	struct mesh_port *request_out, *order_in;
	int result;

	result = mesh_port_pair(&request_out, &new->requests);
	if (!result) {
		result = mesh_port_pair(&new->orders, &order_in);
		if (result < 0)
			mesh_port_free(request_out);
	}
	if (result < 0) {
		mesh_port_free(user_port);
		return result;
	}
	return mesh__control_write_initial(request_out, order_in, user_port, &new->first_message);
}

static int prepare(struct mesh_node *node, struct mesh_port *user_port, struct new_follower *new)
{
	struct mesh_invitation *invitation = &new->invitation;
	int ends[2], result;

	*new = (struct new_follower){.invitation = {.remote_node = node->space.node, .fd = -1}, .socket = -1};
	result = make_first_message(new, user_port);
	if (!result)
		result = mesh__id_random(&invitation->local_node);
	if (!result)
		result = mesh__id_random(&invitation->local_port);
	if (!result)
		result = mesh__id_random(&invitation->remote_port);
	if (!result)
		result = pal_socket_pair(SOCK_SEQPACKET, ends);
	if (result < 0)
		return result;
	new->socket = ends[0];
	invitation->fd = ends[1];
	return 0;
}

static struct mesh__follower *new_follower(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__follower *follower = calloc(1, sizeof *follower);

	if (!follower)
		return NULL;
	follower->node = *id;
	HASH_ADD(hh, node->followers, node, sizeof follower->node, follower);
	if (!follower->hh.tbl) {
		free(follower);
		return NULL;
	}
	return follower;
}

static int add_follower(struct mesh_node *node, const struct mesh__peer *peer, struct new_follower *new)
{
	struct mesh__follower *follower = new_follower(node, &new->invitation.local_node);

	if (!follower)
		return -ENOMEM;
	follower->guest_list = guest_list_ref(peer->guest_list);
	follower->orders = PAL_TAKE_POINTER(new->orders);
	if (mesh__control_add(node, PAL_TAKE_POINTER(new->requests), MESH__CONTROL_REQUESTS, follower) < 0) {
		mesh__leader_forget(node, follower);
		return -ENOMEM;
	}
	return 0;
}

int mesh__leader_take_over(struct mesh_node *node, const struct mesh_id *id, struct mesh_port *requests,
	struct mesh_port *orders)
{
	struct mesh__follower *follower;
	int result = -EEXIST;

	HASH_FIND(hh, node->followers, id, sizeof *id, follower);
	if (!follower) {
		follower = new_follower(node, id);
		result = follower ? 0 : -ENOMEM;
	}
	if (result < 0) {
		mesh__port_disown(requests);
		mesh__port_disown(orders);
		return result;
	}
	follower->handed_over = true;
	follower->orders = orders;
	follower->guest_list = calloc(1, sizeof *follower->guest_list);
	if (!follower->guest_list) {
		mesh__port_disown(requests);
		mesh__leader_forget(node, follower);
		return -ENOMEM;
	}
	follower->guest_list->refs = 1;
	result = mesh__control_add(node, requests, MESH__CONTROL_REQUESTS, follower);
	if (result < 0)
		mesh__leader_forget(node, follower);
	return result;
}

/* A guest shares the list of whom asked for it; who is invited by this program begins one. */
static int give_guest_list(struct mesh__peer *peer, struct mesh__guest_list *list)
{
	peer->guest_list = list ? guest_list_ref(list) : calloc(1, sizeof *list);
	if (!peer->guest_list)
		return -ENOMEM;
	if (!list)
		peer->guest_list->refs = 1;
	peer->remote.shared = &peer->guest_list->held;
	peer->remote.shared_awaited = &peer->guest_list->awaited;
	return 0;
}

/* With the lock. */
static int admit(struct mesh_node *node, struct new_follower *new)
{
	const struct mesh_invitation *invitation = &new->invitation;
	struct mesh_port *first = NULL;
	struct mesh__peer *peer;
	int result;

	if (node->leaving)
		return -ESHUTDOWN;
	if (!node->leader) /* not any more */
		return -EOPNOTSUPP;
	peer = mesh__peer_get(node, &invitation->local_node);
	if (!peer)
		return -ENOMEM;
	result = give_guest_list(peer, new->guest_list);
	if (!result)
		result = mesh__peer_connect(node, peer, pal_take_fd(&new->socket));
	if (!result)
		result = mesh__port_new_remote(
			&node->space, &invitation->remote_port, &peer->remote, &invitation->local_port, &first);
	if (!result)
		result = mesh__port_send(first, PAL_TAKE_POINTER(new->first_message), true);
	if (!result)
		result = add_follower(node, peer, new);
	peer->is_guest = !result && new->guest_list;
	if (first)
		mesh__port_disown(first); /* closed by its only message; the machine keeps it until the answer */
	if (result < 0 && peer->connected)
		mesh__link_give_up(&peer->link);
	else if (result < 0)
		mesh__peer_lose(node, peer);
	return result;
}

int mesh__leader_invite(struct mesh_node *node, struct mesh_port *user_port, struct mesh__guest_list *guest_list,
	struct mesh_invitation *ret)
{
	struct new_follower new;
	int result;

	result = prepare(node, user_port, &new);
	new.guest_list = guest_list;
	if (!result) {
		mesh__space_lock(&node->space);
		result = admit(node, &new);
		mesh__space_unlock(&node->space);
	}
	mesh_message_free(new.first_message);
	mesh_port_free(new.requests);
	mesh_port_free(new.orders);
	pal_close(new.socket);
	if (result < 0) {
		mesh_invitation_clear(&new.invitation);
		return result;
	}
	*ret = new.invitation;
	return 0;
}

/* ---- requests ---- */

static void order(struct mesh__follower *follower, const struct mesh_id *node, int fd)
{
	struct mesh_message *message;

	if (mesh__control_write_connect_order(node, fd, &message) < 0 || mesh__port_send(follower->orders, message, false) < 0)
		pal_log(PAL_LOG_WARNING, "mesh: an order to connect two nodes was lost: out of memory");
}

bool mesh__leader_connect(struct mesh__follower *one, struct mesh__follower *other)
{
	int ends[2];

	if (pal_socket_pair(SOCK_SEQPACKET, ends) < 0)
		return false;
	order(other, &one->node, ends[0]);
	order(one, &other->node, ends[1]);
	return true;
}

/* How often a node and its guests together have been given a link to that one. */
static unsigned times_met(struct mesh_node *node, const struct mesh__guest_list *list, const struct mesh_id *wanted)
{
	struct mesh__introduction *introduction;
	struct mesh__follower *follower, *next;
	unsigned times = 0;

	HASH_ITER(hh, node->followers, follower, next) {
		if (follower->guest_list != list)
			continue;
		HASH_FIND(hh, follower->introductions, wanted, sizeof *wanted, introduction);
		times += introduction ? introduction->times : 0;
	}
	return times;
}

/*
 * Two nodes need one link, and another one if that was lost. Each costs the one that did not ask
 * a descriptor on its way, so that nobody may ask for as many as it likes; nor may it let its guests.
 */
static bool may_meet(struct mesh_node *node, struct mesh__follower *asker, const struct mesh_id *wanted)
{
	const struct mesh__guest_list *list = asker->guest_list;
	struct mesh__introduction *introduction;

	HASH_FIND(hh, asker->introductions, wanted, sizeof *wanted, introduction);
	if (list->guests && times_met(node, list, wanted) >= node->max_introductions + list->guests)
		return false;
	if (introduction)
		return introduction->times < node->max_introductions && ++introduction->times;
	introduction = malloc(sizeof *introduction);
	if (!introduction)
		return false;
	*introduction = (struct mesh__introduction){.other = *wanted, .times = 1};
	HASH_ADD(hh, asker->introductions, other, sizeof introduction->other, introduction);
	if (introduction->hh.tbl)
		return true;
	free(introduction);
	return false;
}

static void introduce(struct mesh_node *node, struct mesh__follower *asker, const struct mesh_id *wanted)
{
	struct mesh__follower *other;

	HASH_FIND(hh, node->followers, wanted, sizeof *wanted, other);
	if (!other || other == asker || !may_meet(node, asker, wanted) || !mesh__leader_connect(asker, other))
		order(asker, wanted, -1); /* there is no such node, or no way to it: what waits for it fails */
}

static bool has_asked_for(const struct mesh__follower *asker, const struct mesh__follower *other)
{
	struct mesh__introduction *introduction;

	HASH_FIND(hh, asker->introductions, &other->node, sizeof other->node, introduction);
	return introduction;
}

/*
 * To one that has asked for that node the word may be the answer, as it comes without being asked for where both have
 * asked (see take_no_link in follower.c); the second time it is not.
 */
void mesh__leader_announce_end(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__follower *gone, *other, *next;

	HASH_FIND(hh, node->followers, id, sizeof *id, gone);
	if (!gone)
		return;
	HASH_ITER(hh, node->followers, other, next) {
		bool asked = has_asked_for(other, gone) || (gone->handed_over && other->handed_over);

		if (asked)
			order(other, id, -1);
		if (asked || has_asked_for(gone, other))
			order(other, id, -1);
	}
}

/* A follower asks for an invitation: done at home, without the lock. */
static void invite_later(struct mesh_node *node, struct mesh__follower *asker, struct mesh_port *user_port,
	struct mesh_port *reply)
{
	struct mesh__invite_request *request = NULL;

	if (asker->guest_list->guests < node->max_guests)
		request = malloc(sizeof *request);
	else
		pal_log(PAL_LOG_WARNING, "mesh: a node asks for more than %u guests", node->max_guests);
	if (!request) {
		mesh__port_disown(user_port);
		mesh__port_disown(reply); /* closed without an answer, it says so */
		return;
	}
	*request = (struct mesh__invite_request){
		.user_port = user_port, .reply = reply, .guest_list = guest_list_ref(asker->guest_list)};
	request->guest_list->guests++;
	STAILQ_INSERT_TAIL(&node->invite_requests, request, next);
	mesh__poller_kick_home(&node->poller);
}

/* With the lock, which it releases for the answer. */
static void answer_invite(struct mesh_node *node, struct mesh__invite_request *request)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct mesh_message *message = NULL;
	bool admitted;
	int result;

	mesh__space_unlock(&node->space);
	result = mesh__leader_invite(node, request->user_port, request->guest_list, &invitation);
	admitted = !result;
	if (!result)
		result = mesh__control_write_invitation(&invitation, &message);
	/* Whatever waits for that node already: the guest has been made. */
	if (!result)
		result = mesh_port_send_and_free(PAL_TAKE_POINTER(request->reply), message);
	if (result < 0)
		pal_log(PAL_LOG_WARNING, "mesh: an invitation that a node asked for failed: %s", strerrordesc_np(-result));
	mesh_port_free(request->reply);
	mesh__space_lock(&node->space);
	if (!admitted)
		request->guest_list->guests--;
	guest_list_unref(request->guest_list);
	free(request);
}

void mesh__leader_answer_invites(struct mesh_node *node)
{
	struct mesh__invite_request *request;

	while ((request = STAILQ_FIRST(&node->invite_requests))) {
		STAILQ_REMOVE_HEAD(&node->invite_requests, next);
		answer_invite(node, request);
	}
}

void mesh__leader_serve(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message)
{
	struct mesh__request request;
	struct pal_error error;

	if (mesh__control_read_request(message, &request, &error) < 0) {
		mesh__port_fail(control->port, pal_error_text(&error));
	} else if (control->follower) {
		if (request.kind == MESH__REQUEST_CONNECT)
			introduce(node, control->follower, &request.node);
		else if (request.kind == MESH__REQUEST_INVITE)
			invite_later(node, control->follower, mesh_message_take_port(message, request.user),
				mesh_message_take_port(message, request.reply));
		else
			mesh__control_add(node, mesh_message_take_port(message, request.port), MESH__CONTROL_REQUESTS,
				control->follower);
	}
	mesh__event_message_free(&node->space, message);
}
