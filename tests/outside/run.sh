#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds and runs one program per installed library as a user would: with
# nothing but the flags that pkg-config gives for that library.
# Usage: run.sh PREFIX     PREFIX: where `make install` went
set -eu
prefix=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lib=$(dirname "$(find "$prefix" -name libprocmesh-pal.pc)")
export PKG_CONFIG_PATH="$lib"
LD_LIBRARY_PATH=$(dirname "$lib")
export LD_LIBRARY_PATH

symbols=
if [ -e "$lib/libprocmesh-isolate-symbols.pc" ]; then # left out without libdw
	symbols=isolate-symbols
fi
for name in pal pal-event profile isolate isolate-event $symbols mesh process; do
	flags=$(pkg-config --cflags --libs "libprocmesh-$name")
	if [ "$(pkg-config --cflags --libs "procmesh-$name")" != "$flags" ]; then
		echo "FAILED: procmesh-$name is another name for it"
		exit 1
	fi
	for compiler in ${CC:-gcc} ${CXX:-}; do
		strict=
		[ "$compiler" != "${CXX:-}" ] || strict="-std=c++17 -pedantic"
		# shellcheck disable=SC2086 # lists of flags
		$compiler $strict -Wall -Wextra -Werror -o "$work/use-$name" "$here/use-$name.c" $flags
		"$work/use-$name"
		echo "ok: $name: $compiler $strict $flags"
	done
done

# README.md's first example by the command that stands below it.
awk '/^```c$/ { shown = 1; next } /^```$/ && shown { exit } shown' "$here/../../README.md" >"$work/example.c"
cd "$work"
eval "$(sed -n 's/^    \(cc -o example .*\)$/\1/p' "$here/../../README.md")" | grep -x 42
cd "$OLDPWD"
echo "ok: README.md's first example"

# doc/isolate-pool.md's program, the same way.
awk '/^```c$/ { shown = 1; next } /^```$/ && shown { exit } shown' "$here/../../doc/isolate-pool.md" >"$work/words.c"
cd "$work"
eval "$(sed -n 's/^    \(cc -o words .*\)$/\1/p' "$here/../../doc/isolate-pool.md")" | grep -x '"one two three": 3 words'
cd "$OLDPWD"
echo "ok: doc/isolate-pool.md's program"

# doc/mesh.md's, of two processes.
awk '/^```c$/ { shown = 1; next } /^```$/ && shown { exit } shown' "$here/../../doc/mesh.md" >"$work/shout.c"
cd "$work"
eval "$(sed -n 's/^    \(cc -o shout .*\)$/\1/p' "$here/../../doc/mesh.md")" | grep -x HELLO
cd "$OLDPWD"
echo "ok: doc/mesh.md's program"

# The module for unmodified programs finds pal by itself.
unset LD_LIBRARY_PATH
printf 'all:\n\t@echo "ok: preloaded into make"; :\n' |
	LD_PRELOAD=$(dirname "$lib")/procmesh/libprocmesh-spawn-preload.so PROCMESH_SPAWN_TRACE=$work/trace make -f -
grep ' posix_spawn ' "$work/trace"
echo 'NoSuchKey=1' >"$work/profile"
if printf 'all:\n\t@echo "started without its sandbox"; :\n' |
	LD_PRELOAD=$(dirname "$lib")/procmesh/libprocmesh-spawn-preload.so PROCMESH_SPAWN_TRACE=$work/trace \
		PROCMESH_PROFILE=$work/profile make -f - 2>/dev/null; then
	exit 1
fi
grep "$work/profile:1: " "$work/trace"
