# SPDX-License-Identifier: MIT
#
# For the tests of the preloaded library, which run in the build directory:
# sets $preload, or says why there is none and ends the test.
# shellcheck shell=sh
preload=$PWD/.libs/libprocmesh-spawn-preload.so
if grep -q '^SANITIZE_CFLAGS = *[^ ]' Makefile; then
	echo "SKIP ${0##*/}: built with a sanitizer, whose runtime has to come before any preloaded library"
	exit 77
fi
if [ ! -e "$preload" ]; then
	echo "FAILED: $preload is missing"
	exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trace=$work/trace

# Runs a command with the library; $trace gets a line for every child.
with_preload() {
	env LD_PRELOAD="$preload" PROCMESH_SPAWN_TRACE="$trace" "$@"
}
