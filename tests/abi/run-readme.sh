#!/bin/sh
# README.md's first example prints what its comment says.
set -eu
build=${top_builddir:-.}
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # so short a program frees nothing
if grep -q fsanitize=thread "$build/config.log"; then
	echo "SKIP run-readme: a sandbox has to reach every thread, and ThreadSanitizer's is out of reach"
	exit 77
fi
result=0
output=$("$build/tests/abi/readme" 2>&1) || result=$?
if [ "$result" -ne 0 ] || [ "$output" != 42 ]; then
	echo "README.md's first example says '$output' and exits with $result"
	exit 1
fi
echo "README.md's first example says 42"
