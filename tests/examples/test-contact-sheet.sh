#!/bin/sh
# SPDX-License-Identifier: MIT
# The demonstration program on a hostile folder: every file gets the tile it
# deserves, whatever the others do to their hosts, and with hosts killed at work
# the ordinary pictures come out the same.
set -eu

build=${top_builddir:-.}
# Crashes and refused memory are to end as they do without a sanitizer; with one, only it can bound memory.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:allocator_may_return_null=1:max_allocation_size_mb=1024"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rm -f /tmp/procmesh-was-here

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

# sheet NAME ARGUMENT...: makes NAME.png of the folder NAME, and NAME.txt, and NAME-tiles.txt
# with what is said of each file, a checksum of how it looks and the colour in its centre.
sheet()
{
	name=$1
	folder=$2
	shift 2
	"$build/examples/contact-sheet" "$@" "$scratch/$folder" "$scratch/$name.png" \
		>"$scratch/$name.txt" 2>"$scratch/$name-progress.txt" || fail "contact-sheet $*: exit $?"
	! grep -q 'not every host' "$scratch/$name-progress.txt" || fail "contact-sheet $*: hosts had to be killed at the end"
	grep '^tile' "$scratch/$name.txt" >"$scratch/$name-lines.txt"
	"$build/tests/examples/sheet-tiles" "$scratch/$name.png" "$(wc -l <"$scratch/$name-lines.txt")" \
		>"$scratch/$name-sums.txt" || fail "the sheet $name.png is not whole"
	paste -d ' ' "$scratch/$name-lines.txt" "$scratch/$name-sums.txt" >"$scratch/$name-tiles.txt"
}

"$build/examples/make-hostile-pictures" "$scratch/good" 9 0
"$build/examples/make-hostile-pictures" "$scratch/hostile" 9 1

# The hosts' sandbox needs seccomp and Landlock of the kernel, and every thread
# within reach: that of ThreadSanitizer is not.
lacking='(landlock|seccomp).*(not implemented|not supported)|blocks the signal|ThreadSanitizer: CHECK failed'
"$build/examples/make-hostile-pictures" "$scratch/one" 1 0
"$build/examples/contact-sheet" --hosts 1 "$scratch/one" "$scratch/first.png" >"$scratch/first.txt" 2>&1 || :
if grep -Ei "$lacking" "$scratch/first.txt"; then
	exit 77
fi

# 1. Ordinary pictures: all shown, and none looks like another; one host is enough.
sheet good good --hosts 1
expect good.txt '9 of 9 files shown; 1 hosts, 0 killed by chaos'
[ "$(sort -u "$scratch/good-sums.txt" | wc -l)" -eq 9 ] || fail "tiles of different pictures look the same"

# 2. The same with hosts killed at random at their work: the same pictures to the bit. (Chance
# may spare all nine, or do the same twice: so until it has done different things.)
turns=0
until [ "$turns" -eq 40 ] || { [ "$turns" -gt 2 ] && [ "$(sort -u "$scratch/chaos-1.txt" | wc -l)" -gt 1 ]; }; do
	turns=$((turns + 1))
	sheet chaos good --hosts 3 --chaos
	expect chaos.txt '9 of 9 files shown; [0-9]+ hosts, [0-9]+ killed by chaos'
	diff "$scratch/good-tiles.txt" "$scratch/chaos-tiles.txt" >&2 || fail "chaos changed a tile"
	tail -n 1 "$scratch/chaos.txt" >>"$scratch/chaos-1.txt"
done
grep -Eq ', [1-9][0-9]* killed by chaos' "$scratch/chaos-1.txt" || fail "chaos kills nothing"
[ "$(sort -u "$scratch/chaos-1.txt" | wc -l)" -gt 1 ] || fail "chaos does the same each time"

# 3. A hostile folder. The ordinary pictures in it are as in the good one.
sheet hostile hostile --hosts 3
while read -r line; do
	grep -Fqx "$line" "$scratch/hostile-tiles.txt" || fail "not among hostile files: $line"
done <"$scratch/good-tiles.txt"
expect hostile.txt 'tile bad-giant\.png: refused: 100000 x 100000 pixels'
expect hostile.txt 'tile bad-giant\.gif: refused: damaged, or too large'
expect hostile.txt 'tile bad-text\.png: refused: not a PNG, JPEG or GIF'
expect hostile.txt 'tile bad-garbage\.jpg: refused: damaged, or too large'
expect hostile.txt 'tile bad-first-chunk\.png: refused: damaged, or too large'
for extension in png jpg gif; do
	expect hostile.txt "tile bad-truncated\\.$extension: refused: damaged, or too large"
done
! grep -E '^tile bad-' "$scratch/hostile.txt" | grep -v ': refused: ' >&2 || fail "a bad file got a tile like a good one"
expect hostile.txt 'tile altered\.gif: 900 x 360'
expect hostile-tiles.txt 'tile bomb\.png: 6000 x 6000 [0-9a-f]{8} 5a1414'
expect hostile.txt 'tile empty\.png: refused: not a PNG, JPEG or GIF'
expect hostile.txt 'tile fifo\.png: refused: no readable file'
expect hostile.txt 'tile folder\.png: refused: no readable file'
expect hostile.txt 'tile link\.png: refused: no readable file'
expect hostile.txt 'tile large\.jpg: refused: not a PNG, JPEG or GIF'
expect hostile.txt 'tile name with \?\[31mescape\?\[0m\? and newline\.png: refused: .*'
# Hosts that end, or do not: the file had a second host too, unless it kept the first one busy.
expect hostile.txt 'tile exploit-loop\.png: time-out: no answer in 10 s'
expect hostile.txt 'tile exploit-abort\.png: host [0-9]+ died: SIGABRT'
expect hostile.txt 'tile exploit-segv\.png: host [0-9]+ died: SIGSEGV'
expect hostile.txt 'tile exploit-exit\.png: host [0-9]+ died: exit 0'
# Hosts that talk nonsense, in one protocol after the other.
expect hostile.txt 'tile exploit-lie\.png: host [0-9]+ cut off: wrong answer'
expect hostile.txt 'tile exploit-flood\.png: host [0-9]+ cut off: broke the protocol'
expect hostile.txt 'tile exploit-garbage\.png: host [0-9]+ cut off: broke the protocol'
# What the sandbox is there for.
for command in open create socket exec fork signal trace; do
	expect hostile.txt "tile exploit-$command\.png: (refused: tried to [a-z ]+: (Operation not permitted|Permission denied|Function not implemented)|host [0-9]+ died: SIGSYS)"
done
expect hostile.txt 'tile exploit-memory\.png: refused: tried to take 1\.5 GiB: Cannot allocate memory'
! grep -q SUCCEEDED "$scratch/hostile.txt" || fail "something got out of the sandbox"
[ ! -e /tmp/procmesh-was-here ] || fail "something got out of the sandbox and lies in /tmp"

# 4. Hosts that cannot be launched, for want of descriptors: each picture says so.
limit=8
until (
	# shellcheck disable=SC3045 # every sh of Debian has it
	ulimit -n "$limit"
	"$build/examples/contact-sheet" --hosts 1 "$scratch/good" "$scratch/none.png" >"$scratch/none.txt" 2>/dev/null
) && grep -q 'no host' "$scratch/none.txt"; do
	limit=$((limit + 1))
	[ "$limit" -lt 40 ] || fail "with few descriptors: no sheet without hosts"
done
[ "$(grep -c '^tile .*: no host: .*: Too many open files$' "$scratch/none.txt")" -eq 9 ] ||
	fail "with $limit descriptors: not all 9 tiles say that there is no host"
[ -s "$scratch/none.png" ] || fail "no sheet without hosts"

# 5. What cannot be done at all, and why.
# refuse STATUS MESSAGE ARGUMENT...
refuse()
{
	status=$1
	message=$2
	shift 2
	result=0
	"$build/examples/contact-sheet" "$@" >"$scratch/refused.txt" 2>&1 || result=$?
	[ "$result" -eq "$status" ] || fail "$* ends with $result and not $status"
	expect refused.txt "$message"
}
usage='usage: contact-sheet .*'
mkdir "$scratch/empty"
refuse 1 '.*/empty: 0 files in it, and not 1 to 2000' "$scratch/empty" "$scratch/x.png"
refuse 1 '.*/missing: No such file or directory' "$scratch/missing" "$scratch/x.png"
refuse 1 '.*/first.png: Not a directory' "$scratch/first.png" "$scratch/x.png"
refuse 2 "$usage" --hosts 0 "$scratch/good" "$scratch/x.png"
refuse 2 "$usage" --hosts 3x "$scratch/good" "$scratch/x.png"
refuse 2 "$usage" --unknown "$scratch/good" "$scratch/x.png"
refuse 2 "$usage" "$scratch/good"
refuse 0 "$usage" --help
[ ! -e "$scratch/x.png" ] || fail "a sheet of nothing"

# 6. A sheet that cannot be written: known before the work begins where it can be,
# a failure in any case, and an older sheet of that name is as it was.
refuse 1 'contact-sheet: the folder of .*/missing/x\.png: No such file or directory' "$scratch/good" "$scratch/missing/x.png"
refuse 2 '.*/x\.tiff: the sheet is a PNG, and its name ends so' "$scratch/good" "$scratch/x.tiff"
mkdir "$scratch/folder.png"
refuse 1 'contact-sheet: .*/folder\.png: Is a directory' "$scratch/good" "$scratch/folder.png"
echo old >"$scratch/old.png"
(
	trap '' XFSZ # EFBIG then, as a full disk would say ENOSPC
	ulimit -f 180 # blocks of 512: more than an answer, less than the sheet
	refuse 1 'contact-sheet: .*/old\.png: File too large' "$scratch/good" "$scratch/old.png"
)
[ "$(cat "$scratch/old.png")" = old ] || fail "an older sheet was spoilt"
result=0
"$build/examples/contact-sheet" "$scratch/good" "$scratch/x.png" >/dev/full 2>"$scratch/refused.txt" || result=$?
[ "$result" -eq 1 ] || fail "a report that could not be written ends with $result"
expect refused.txt 'contact-sheet: standard output: No space left on device'
[ -z "$(find "$scratch" -name '*.png.[0-9]*')" ] || fail "parts of sheets are left"
exit 0
