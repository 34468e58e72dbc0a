#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The two programs that are meant for other implementations keep to the contract among themselves.
set -eu
dir=${top_builddir:-.}/tests/mesh_process
exec "$dir/echo-lead" "$dir/echo-host"
