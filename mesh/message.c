/* SPDX-License-Identifier: MIT */
#include <mesh/message.h>

#include <mesh/message-priv.h>
