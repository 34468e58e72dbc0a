#!/bin/sh
# SPDX-License-Identifier: MIT
# The demonstration program on a hostile folder: every file gets the tile it
# deserves, whatever the others do to their hosts, and with hosts killed at work
# the ordinary pictures come out the same.
set -eu

build=${top_builddir:-.}
# Crashes and refused memory are to end as they do without a sanitizer.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:allocator_may_return_null=1"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail()
{
	echo "FAIL: $*" >&2
	cat "$scratch"/*.txt >&2
	exit 1
}

# expect FILE PATTERN: a whole line of the report, as an extended regular expression.
expect()
{
	grep -Eqx "$2" "$scratch/$1" || fail "$1 has no line '$2'"
}

sheet()
{
	report=$1
	shift
	"$build/examples/contact-sheet" "$@" >"$scratch/$report" 2>"$scratch/progress-$report" ||
		fail "contact-sheet $*: exit $?"
}

"$build/examples/make-hostile-pictures" "$scratch/good" 9 0
"$build/examples/make-hostile-pictures" "$scratch/hostile" 9 1

# The hosts' sandbox needs seccomp and Landlock of the kernel, and every thread
# within reach: that of ThreadSanitizer is not, and a bound on memory leaves it none.
lacking='(landlock|seccomp).*(not implemented|not supported)|blocks the signal|ThreadSanitizer: CHECK failed'
if ! "$build/examples/contact-sheet" --hosts 1 "$scratch/good" "$scratch/first.png" >"$scratch/first.txt" 2>&1 &&
	grep -Ei "$lacking" "$scratch/first.txt"; then
	exit 77
fi

# 1. Ordinary pictures: all shown; one host is enough.
sheet good.txt --hosts 1 "$scratch/good" "$scratch/good.png"
expect good.txt '9 files: 9 shown, 0 refused, 0 time-outs, 0 lost their hosts, 0 retried; 1 hosts at a time, 1 in all, 0 killed by chaos'
[ "$(head -c 4 "$scratch/good.png" | tail -c 3)" = PNG ] || fail "the sheet is not a PNG"

# 2. The same with every third host killed at its work: the same pictures to the bit.
sheet chaos.txt --hosts 3 --chaos "$scratch/good" "$scratch/chaos.png"
expect chaos.txt '9 files: 9 shown, 0 refused, 0 time-outs, 0 lost their hosts, .*, 3 killed by chaos'
grep '^tile' "$scratch/good.txt" >"$scratch/good-tiles.txt"
grep '^tile' "$scratch/chaos.txt" | diff "$scratch/good-tiles.txt" - >&2 || fail "chaos changed a tile"

# 3. A hostile folder. The ordinary pictures in it are as in the good one.
sheet hostile.txt --hosts 3 --deadline 4000 --chaos "$scratch/hostile" "$scratch/hostile.png"
while read -r line; do
	grep -Fqx "$line" "$scratch/hostile.txt" || fail "not among hostile files: $line"
done <"$scratch/good-tiles.txt"
expect hostile.txt 'tile bad-giant\.png: refused: damaged, or too large'
expect hostile.txt 'tile bad-giant\.gif: refused: damaged, or too large'
expect hostile.txt 'tile bad-text\.png: refused: not a PNG, JPEG or GIF'
expect hostile.txt 'tile bad-garbage\.jpg: refused: damaged, or too large'
expect hostile.txt 'tile bad-truncated\.png: refused: damaged, or too large'
expect hostile.txt 'tile empty\.png: refused: not a PNG, JPEG or GIF'
expect hostile.txt 'tile fifo\.png: refused: not a regular file of at most 64 MB'
expect hostile.txt 'tile folder\.png: refused: not a regular file of at most 64 MB'
expect hostile.txt 'tile link\.png: refused: Too many levels of symbolic links'
expect hostile.txt 'tile large\.jpg: refused: not a regular file of at most 64 MB'
expect hostile.txt 'tile name with \?\[31mescape\?\[0m\? and newline\.png: refused: .*'
expect hostile.txt 'tile exploit-loop\.png: time-out: no answer in 4000 ms'
expect hostile.txt 'tile exploit-abort\.png: host [0-9]+ died: SIGABRT'
expect hostile.txt 'tile exploit-lie\.png: host [0-9]+ sent a malformed answer'
# What the sandbox is there for.
for command in open socket exec; do
	expect hostile.txt "tile exploit-$command\.png: (refused: it tried to .*: (Operation not permitted|Permission denied|Function not implemented)|host [0-9]+ died: SIGSYS)"
done
! grep -q SUCCEEDED "$scratch/hostile.txt" || fail "something got out of the sandbox"

# 4. What cannot be done at all.
mkdir "$scratch/empty"
"$build/examples/contact-sheet" "$scratch/empty" "$scratch/x.png" 2>/dev/null && fail "an empty folder was accepted"
"$build/examples/contact-sheet" --hosts 0 "$scratch/good" "$scratch/x.png" 2>/dev/null && fail "--hosts 0 was accepted"
"$build/examples/contact-sheet" "$scratch/good" "$scratch/missing/x.png" >/dev/null 2>&1 && fail "an unwritable sheet was accepted"
exit 0
