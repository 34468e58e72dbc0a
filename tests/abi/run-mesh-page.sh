#!/bin/sh
# doc/mesh.md's program prints what the page shows below it.
set -eu
shown=$(sed -n '/^    cc -o shout /,/^    [^c]/s/^    \([^c].*\)$/\1/p' "${srcdir:-.}/doc/mesh.md")
[ -n "$shown" ]
result=0
output=$("${top_builddir:-.}/tests/abi/mesh-page") || result=$?
if [ "$result" -ne 0 ] || [ "$output" != "$shown" ]; then
	echo "doc/mesh.md's program says '$output' and exits with $result"
	exit 1
fi
echo "doc/mesh.md's program says what is shown"
