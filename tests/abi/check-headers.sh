#!/bin/sh
# Each public header compiles alone, without a warning, as C and as C++, with
# every compiler there is and without _GNU_SOURCE (S177).
set -eu
top=${srcdir:-.}
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
bad=0
checked=0

compile() {
	# $1 header, then the command
	header=$1
	shift
	checked=$((checked + 1))
	if ! "$@" -Wall -Wextra -Werror -pedantic -fsyntax-only -I"$top" 2>"$source/errors"; then
		echo "FAILED: $header: $*"
		cat "$source/errors"
		bad=$((bad + 1))
	fi
}

count=0
for path in "$top"/pal/*.h "$top"/pal_event/*.h "$top"/pal_profile/*.h "$top"/isolate/*.h "$top"/isolate_event/*.h "$top"/isolate_symbols/*.h "$top"/mesh/*.h "$top"/mesh_process/*.h; do
	case $path in *-priv.h) continue ;; esac
	header=${path#"$top"/}
	count=$((count + 1))
	printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$header" "$header" >"$source/a.c"
	cp "$source/a.c" "$source/a.cc"
	for cc in gcc clang; do
		command -v $cc >/dev/null || continue
		for std in c99 c11 gnu11 c2x; do
			compile "$header" $cc -std=$std "$source/a.c"
		done
	done
	for cxx in g++ clang++; do
		command -v $cxx >/dev/null || continue
		for std in c++98 c++11 c++20; do
			# nanopb's own headers need C++11.
			[ "$std" = c++98 ] && grep -q 'include <pb_' "$path" && continue
			compile "$header" $cxx -std=$std "$source/a.cc"
		done
	done
done
echo "$checked compilations of $count headers, $bad failed"
[ "$checked" -gt 0 ] && [ "$bad" -eq 0 ]
