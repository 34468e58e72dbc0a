#!/bin/sh
# SPDX-License-Identifier: MIT
# The example of retries: each answer comes up by its cause, and what is charged is charged once,
# but by the one that does not ask.
set -eu
export LC_ALL=C
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
result=0
"${top_builddir:-.}/examples/isolate-retry" >"$scratch/said" || result=$?

fail()
{
	echo "FAIL: $*" >&2
	cat "$scratch/said" >&2
	exit 1
}

# expect SECTION LINE...: these lines, as extended regular expressions, and no others
expect()
{
	awk -v title="$1" '/^[^ ]/ { inside = $0 == title; next } inside' "$scratch/said" >"$scratch/section"
	shift
	[ "$(wc -l <"$scratch/section")" -eq $# ] || fail "not $# lines: $(cat "$scratch/section")"
	for pattern; do
		read -r line || :
		printf '%s\n' "$line" | grep -Eqxe "$pattern" || fail "'$line' and not '$pattern'"
	done <"$scratch/section"
}
again='-> again, in [0-9]+ ms'
not_again='-> not again'
returned='returned, 1000 bytes'
dies='unknown: the child ended in the function: SIGABRT'
too_long='executed, the result is lost: the result is longer than 70000 bytes'

# At least the memfd and the pidfd are wanting, one after the other.
none=$(grep -c 'not executed: .*: Too many open files$' "$scratch/said" || :)
[ "$none" -ge 2 ] || fail "descriptors were not wanting"
[ "$(grep -c 'not executed' "$scratch/said")" -eq "$none" ] || fail "something else was wanting"
sed '/not executed/,+1d' "$scratch/said" >"$scratch/rest"
mv "$scratch/rest" "$scratch/said"
expect 'A charge while no descriptor is free' "$returned" 'charged: 1'
expect 'A report, longer than expected' "$too_long" "$again" 'returned, 100000 bytes'
expect 'A charge, its receipt longer than expected' "$too_long" "$not_again" 'charged: 1'
expect 'A charge that dies before it is made' "$dies" 'the journal has it 0 times' "$again" "$returned" 'charged: 1'
expect 'A charge that dies after it was made' "$dies" 'the journal has it 1 times' "$not_again" 'charged: 1'
expect 'The same, and nobody asks the journal' "$dies" "$again" "$returned" 'charged: 2'
[ "$result" -eq 0 ] || fail "it ends with $result"
