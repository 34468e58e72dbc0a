/* SPDX-License-Identifier: MIT */
#include "vector-rows.h"

#include <mesh/wire.pb.h>
#include <pal/util-priv.h>
#include <tests/mesh/vectors.pb.h>

/* clang-format off */
#define UUID(first) {{first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7, \
	first + 8, first + 9, first + 10, first + 11, first + 12, first + 13, first + 14, first + 15}}
#define ID(first) {UUID(first)}
#define ADDRESSES {ID(0x10), ID(0x30)}, {ID(0x50), ID(0x70)}

#define NODE_10 "{1 {1 i1=10 } }"
#define ADDRESS(node, port) "{1 {1 i1=" node " } } {2 {1 i1=" port " } }"
#define INVITATION_ADDRESS "{1 " ADDRESS("10", "30") " } {2 " ADDRESS("50", "70") " }"

#define ROW(name, envelope, type, fields, ...) \
	{name, fields, &type##_msg, &(const type){__VA_ARGS__}, sizeof(type), envelope}

const struct vector_row vector_rows[] = {
	/* addressing */
	ROW("NodeId", 0, mesh_wire_NodeId, "{1 i1=10 }", UUID(0x10)),
	ROW("Address", 0, mesh_wire_Address, ADDRESS("10", "30"), ID(0x10), ID(0x30)),
	ROW("InvitationAddress", 0, mesh_wire_InvitationAddress, INVITATION_ADDRESS, ADDRESSES),
	ROW("mesh_remote::Invitation", 0, mesh_wire_Invitation, "{1 " INVITATION_ADDRESS " } f2",
		.address = {ADDRESSES}, .fd = {1}),
	ROW("EnvInvitation", 0, mesh_wire_EnvironmentInvitation, "b1=host1 {2 " INVITATION_ADDRESS " } s3=3",
		.has_node_name = true, .node_name = {5, "host1"}, .address = {ADDRESSES},
		.has_socket_fd = true, .socket_fd = 3),

	/* leader */
	ROW("oneshot(InitialMessage)", 0, mesh_wire_InitialEnvelope, "{1 p1 p2 p3 }",
		.value = {.requests = {1}, .orders = {2}, .user = {3}}),
	ROW("chan(LeaderRequest::Connect)", 0, mesh_wire_LeaderRequestEnvelope, "{1 {1 " NODE_10 " } }",
		.which_payload = 1, .value = {.which_request = 1, .connect = {ID(0x10)}}),
	ROW("chan(LeaderRequest::Invite)", 0, mesh_wire_LeaderRequestEnvelope, "{1 {2 p1 p2 } }",
		.which_payload = 1, .value = {.which_request = 2, .invite = {.user = {1}, .reply = {2}}}),
	ROW("chan(FollowerRequest::Connect Some)", 0, mesh_wire_FollowerRequestEnvelope, "{1 {1 " NODE_10 " f2 } }",
		.which_payload = 1, .value = {.which_request = 1, .connect = {ID(0x10), true, {1}}}),
	ROW("chan(FollowerRequest::Connect None)", 0, mesh_wire_FollowerRequestEnvelope, "{1 {1 " NODE_10 " } }",
		.which_payload = 1, .value = {.which_request = 1, .connect = {ID(0x10)}}),
	ROW("chan(Invitation)", 0, mesh_wire_InvitationEnvelope, "{1 {1 " INVITATION_ADDRESS " } f2 }",
		.which_payload = 1, .value = {.address = {ADDRESSES}, .fd = {1}}),
	ROW("chan(Followers[2])", 1, vectors_Followers,
		"{1 {1 " NODE_10 " p2 p3 } {1 {1 {1 i1=20 } } p2 p3 } }", 2,
		{{true, ID(0x10), true, {1}, true, {2}}, {true, ID(0x20), true, {3}, true, {4}}}),
	ROW("chan(Followers[0])", 1, vectors_Followers, "{1 }", 0),
	ROW("LeadershipOffer", 0, vectors_LeadershipOffer, "p1", true, {1}),
	ROW("chan(LeadershipOffer)", 1, vectors_LeadershipOffer, "{1 p1 }", true, {1}),
	ROW("chan((NodeId,Sender<Followers>))", 1, vectors_NewLeader, "{1 " NODE_10 " p2 }", true, ID(0x10), true, {1}),

	/* host */
	ROW("oneshot(HostInit<u32>=7)", 1, vectors_HostInit, "{1 p1 v2=7 }", true, {1}, 7),
	ROW("oneshot(HostInit<u32>=0)", 1, vectors_HostInit, "{1 p1 }", true, {1}, 0),
	ROW("oneshot(HostInit<()>)", 1, vectors_HostInit, "{1 p1 }", true, {1}),
	ROW("oneshot(HostInit<Receiver<String>>)", 1, vectors_HostInitPort, "{1 p1 p2 }", true, {1}, true, {2}),
	ROW("chan(HostRequest::Crash)", 1, vectors_HostRequest, "{1 {2 } }",
		.which_request = vectors_HostRequest_crash_tag),
	ROW("chan(HostRequest::Inspect)", 1, vectors_HostRequest,
		"{1 {1 {1 b1=tasks v3=3 p4 {5 {3 } } {6 {1 } } {7 {1 } } } } }",
		.which_request = vectors_HostRequest_inspect_tag,
		.inspect = {true, {.path = "tasks", .depth = 3, .has_node = true, .node = {1},
			.has_sensitivity = true, .sensitivity = {.which_level = vectors_Sensitivity_sensitive_tag},
			.has_parent_sensitivity = true,
			.parent_sensitivity = {.which_level = vectors_Sensitivity_safe_tag},
			.has_number_format = true,
			.number_format = {.which_format = vectors_NumberFormat_decimal_tag}}}),
	ROW("oneshot(InternalNode::Ignored)", 1, vectors_InternalNode, "{1 {6 } }",
		.which_node = vectors_InternalNode_ignored_tag),
	ROW("oneshot(InternalNode::Dir([]))", 1, vectors_InternalNode, "{1 {5 } }",
		.which_node = vectors_InternalNode_dir_tag),
	ROW("oneshot(InternalNode::Failed(Update))", 1, vectors_InternalNode, "{1 {2 {1 {2 b1=no } } } }",
		.which_node = vectors_InternalNode_failed_tag,
		.failed = {true, {.which_error = vectors_InternalError_update_tag, .update = {"no"}}}),

	/* channel payload scalars */
	ROW("chan(u32 5)", 0, vectors_NumberChannel, "v1=5", .which_payload = 1, .value = 5),
	ROW("chan(u32 0)", 0, vectors_NumberChannel, "v1=0", .which_payload = 1, .value = 0),
	ROW("chan(i32 -1)", 0, vectors_SignedChannel, "s1=-1", .which_payload = 1, .value = -1),
	ROW("chan(())", 1, vectors_Unit, "{1 }", 0),
	ROW("chan(String empty)", 0, vectors_StringChannel, "b1=", .which_payload = 1, .value = ""),
	ROW("chan(Vec<u8> [1,2])", 0, vectors_BytesChannel, "x1=0102", .which_payload = 1, .value = {2, {1, 2}}),
	ROW("chan(Vec<u32> [1,2])", 1, vectors_Numbers, "{1 x1=0102 }", 2, {1, 2}),
	ROW("chan(Vec<u32> [])", 1, vectors_Numbers, "{1 }", 0),
	ROW("chan(Vec<String> [a,'' ])", 1, vectors_Strings, "{1 b1=a b1= }", 2, {"a", ""}),
	ROW("chan(Option<u32> None)", 1, vectors_OptionalNumber, "{1 }", false),
	ROW("chan(Option<u32> Some 0)", 1, vectors_OptionalNumber, "{1 v1=0 }", true, 0),
	ROW("chan(Option<Option<u32>> Some(None))", 1, vectors_OptionalOptional, "{1 {1 } }", true),
	ROW("chan((u32,String))", 1, vectors_Pair, "{1 v1=1 b2=x }", 1, "x"),
	ROW("chan([u8;4])", 0, vectors_BytesChannel, "x1=01020304", .which_payload = 1, .value = {4, {1, 2, 3, 4}}),
	ROW("chan([u32;2])", 0, vectors_Numbers, "x1=0102", 2, {1, 2}),
	ROW("chan(Result Ok 0)", 1, vectors_NumberResult, "{1 v1=0 }", .which_result = vectors_NumberResult_ok_tag),
	ROW("chan(Result Err 1)", 1, vectors_NumberResult, "{1 v2=1 }",
		.which_result = vectors_NumberResult_error_tag, .error = 1),
	ROW("chan(fd)", 0, vectors_ResourceChannel, "f1", .which_payload = 1, .value = {1}),
	ROW("chan(Vec<fd>x2)", 1, vectors_Resources, "{1 f1 f1 }", 2, {{1}, {2}}),
	ROW("chan(Option<fd>)", 1, vectors_OptionalResource, "{1 f1 }", true, {1}),
	ROW("ChannelPayload::Port", 0, vectors_ResourceChannel, "p2", .which_payload = 2, .port = {1}),
	ROW("chan(Sender)", 0, vectors_ResourceChannel, "p1", .which_payload = 1, .value = {1}),
	ROW("oneshot(u32 0)", 0, vectors_Number, "", 0),
	ROW("oneshot(())", 0, vectors_Unit, "", 0),
	ROW("oneshot(u32 5)", 0, vectors_Number, "v1=5", 5),
	ROW("oneshot(Vec<String>[])", 0, vectors_Strings, "", 0),
	ROW("struct", 0, vectors_Struct, "v2=0 x3=01ac02 x4=09 b6= b6=q v7=1 s8=-2", .has_b = true,
		.c_count = 2, .c = {1, 300}, .d = {1, {9}}, .f_count = 2, .f = {"", "q"}, .g = true, .h = -2),
	ROW("chan(ReadPipe)", 1, vectors_ReadPipe, "{1 p1 v2=65536 v3=64 }", true, {1}, 65536, 64),
	ROW("chan(WritePipe)", 1, vectors_OptionalResource, "{1 p1 }", true, {1}),

	/* inspect value */
	ROW("oneshot(Node2::Value unsigned 5)", 1, vectors_InternalNode, "{1 {4 {1 {1 {2 v1=5 } } v2=1 } } }",
		.which_node = vectors_InternalNode_value_tag,
		.value = {true, {true, {.which_kind = vectors_Kind_number_tag, .number = {5}}, 1}}),
	ROW("oneshot(Node2::Dir[entry])", 1, vectors_InternalNode,
		"{1 {5 {1 b1=a {2 {4 {1 {1 {6 b1=s } } } } } {3 {1 } } } } }",
		.which_node = vectors_InternalNode_dir_tag,
		.dir = {1, {{.name = "a", .has_node = true,
			.node = {.which_node = vectors_LeafNode_value_tag,
				.value = {true, {true, {.which_kind = vectors_Kind_text_tag, .text = {"s"}}}}},
			.has_sensitivity = true, .sensitivity = {.which_level = vectors_Sensitivity_safe_tag}}}}),

	/* rpc */
	ROW("chan(Rpc<u32,u32>(9))", 1, vectors_Call, "{1 v1=9 p2 }", 9, true, {1}),
	ROW("chan(Rpc<(),u32>)", 1, vectors_Call, "{1 p2 }", 0, true, {1}),
	ROW("oneshot(RemoteResult Ok 4)", 1, vectors_RemoteResult, "{1 v1=4 }",
		.which_result = vectors_RemoteResult_ok_tag, .ok = 4),
	ROW("oneshot(RemoteResult Err)", 1, vectors_RemoteResult, "{1 {2 {1 b1=bad } } }",
		.which_result = vectors_RemoteResult_error_tag, .error = {true, {"bad"}}),

	/* cell, cancel, duration */
	ROW("chan(Cell<u32>=5)", 1, vectors_Cell, "{1 {1 v2=5 p3 } }", true, {5, true, {1}}),
	ROW("chan(CancelContext new)", 1, vectors_CancelContext, "{1 {1 {1 } } }", true,
		{.which_state = vectors_CancelState_not_cancelled_tag}),
	ROW("chan(CancelContext 1 port)", 1, vectors_CancelContext, "{1 {1 {1 p1 } } }", true,
		{.which_state = vectors_CancelState_not_cancelled_tag, .not_cancelled = {1, {{1}}}}),
	ROW("chan(CancelContext deadline 1 port)", 1, vectors_CancelContext, "{1 {1 {1 p1 } } {2 v1=5 v2=6 } }", true,
		{.which_state = vectors_CancelState_not_cancelled_tag, .not_cancelled = {1, {{1}}}}, true, {5, 6}),
	ROW("chan(Duration 1.5s)", 1, vectors_Duration, "{1 v1=1 v2=500000000 }", 1, 500000000),
};
/* clang-format on */

const size_t vector_row_count = PAL_ARRAY_LENGTH(vector_rows);
