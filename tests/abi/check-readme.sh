#!/bin/sh
# Every C example of README.md compiles, without a warning, against the headers.
set -eu
top=${srcdir:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v work="$work" '
	/^```c$/ { file = sprintf("%s/example-%d.c", work, ++count); next }
	/^```$/ { file = "" }
	file { print > file }
' "$top/README.md"
count=0
for example in "$work"/example-*.c; do
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I"$top" "$example"
	count=$((count + 1))
done
echo "$count examples compile"
