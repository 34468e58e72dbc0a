#!/bin/sh
# doc/isolate-pool.md's program prints what the page shows below it.
set -eu
shown=$(sed -n 's/^    "/"/p' "${srcdir:-.}/doc/isolate-pool.md")
[ "$(printf '%s\n' "$shown" | wc -l)" -eq 3 ]
result=0
output=$("${top_builddir:-.}/tests/abi/pool-page") || result=$?
if [ "$result" -ne 0 ] || [ "$output" != "$shown" ]; then
	echo "doc/isolate-pool.md's program says '$output' and exits with $result"
	exit 1
fi
echo "doc/isolate-pool.md's program says what is shown"
