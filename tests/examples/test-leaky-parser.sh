#!/bin/sh
# SPDX-License-Identifier: MIT
# A leaky parser over documents, in the process itself and isolated: the same counts, and memory
# that grows in the one and not in the other; and hostile files, which only the one
# survives.
set -eu
export LC_ALL=C
# Its leaks are its purpose, and it is to crash as it does without a sanitizer.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0:handle_segv=0"
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}handle_segv=0"
here=$(cd "${srcdir:-.}" && pwd)
program=$(cd "${top_builddir:-.}" && pwd)/examples/leaky-parser
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

fail()
{
	echo "FAIL: $*" >&2
	for table in *.tsv; do
		printf '%s:\n' "$table"
		tail -n 20 "$table"
	done >&2
	exit 1
}

# expect TABLE NAME OUTCOME [COUNTS]: what every line about a file says, as extended regular expressions
expect()
{
	awk -F '\t' -v name="$2" '$9 == name { print $3 ": " $4, $5, $6, $7, $8 }' "$1" >lines
	[ -s lines ] || fail "$1 says nothing of $2"
	! grep -Evx "($3): ${4:-0 0 0 0 0}" lines >&2 || fail "$1, $2: and not $3: ${4:-0 0 0 0 0}"
}

# growth TABLE FROM: how many KiB more there are at the end than after the file in this line
growth()
{
	awk -F '\t' -v from="$2" '$1 == from { first = $2 } { last = $2 } END { print last - first }' "$1"
}

# 1. A small corpus, 5 times: 40 documents of 20 to 800 paragraphs.
mkdir corpus
for i in $(seq 40); do
	awk -v paragraphs="$((20 * i))" 'BEGIN {
		print "<book xml:id=\"b\">"
		for (i = 0; i < paragraphs; i++)
			printf "<para n=\"%d\">two words <link href=\"#b\">more</link></para>\n", i
		print "</book>"
	}' >"corpus/$i.xml"
done
for _ in 1 2 3 4 5; do
	seq -f 'corpus/%g.xml' 40
done >names
"$program" --in-process <names >in-process.tsv || fail "in process: exit $?"
"$program" --isolated --deadline 60000 <names >isolated.tsv || fail "isolated: exit $?"
[ "$(wc -l <in-process.tsv)" -eq 201 ] || fail "not a line for each file"
cut -f 1,3- in-process.tsv >counts
cut -f 1,3- isolated.tsv | diff counts - >&2 || fail "isolation changes the counts"
expect isolated.tsv corpus/1.xml ok '41 41 20 101 3'
expect isolated.tsv corpus/40.xml ok '1601 1601 800 4001 3'
leaked=$(growth in-process.tsv 40)
flat=$(growth isolated.tsv 40)
echo "160 documents: $leaked KiB more in process, $flat KiB more isolated"
[ "$leaked" -ge 4096 ] || fail "the parser does not leak"
# AddressSanitizer keeps what is freed for a while: not quite nothing, there.
[ $((16 * flat)) -le "$leaked" ] || fail "memory grows although the parser is isolated"

# 2. Files that end, or keep busy, who reads them; ordinary ones before and after.
mkdir hostile
"$here/examples/make-hostile-xml" hostile
printf '%s\n' corpus/1.xml hostile/deep.xml hostile/wrong.xml hostile/empty.xml hostile/missing.xml corpus/2.xml >names
"$program" --isolated --deadline 60000 <names >survived.tsv || fail "hostile files, isolated: exit $?"
expect survived.tsv corpus/1.xml ok '41 41 20 101 3'
expect survived.tsv hostile/deep.xml 'the child ended in the function: SIGSEGV'
expect survived.tsv hostile/wrong.xml 'not XML'
expect survived.tsv hostile/empty.xml 'not XML'
expect survived.tsv hostile/missing.xml 'not XML'
expect survived.tsv corpus/2.xml ok '81 81 40 201 3'
result=0
(
	# shellcheck disable=SC3045 # every sh of Debian has it
	ulimit -c 0
	exec "$program" --in-process <names >died.tsv 2>/dev/null
) || result=$?
[ "$result" -eq 139 ] || fail "a deep file, in process, ends with $result and not by SIGSEGV"
[ "$(wc -l <died.tsv)" -eq 2 ] || fail "the process does not die of the second file"

printf '%s\n' hostile/endless.xml hostile/waiting.xml >names
"$program" --isolated --deadline 500 <names >late.tsv || fail "endless files, isolated: exit $?"
expect late.tsv hostile/endless.xml 'out of time after 500 ms, killed in the function'
expect late.tsv hostile/waiting.xml 'out of time after 500 ms, killed in the function'

real=$program
[ ! -f "${program%/*}/.libs/leaky-parser" ] || real=${program%/*}/.libs/leaky-parser
if grep -Eqa '__(a|t)san_init' "$real"; then
	echo "skipped: a bound of the memory: sanitizers need more than that for themselves"
else
	printf '%s\n' hostile/memory.xml corpus/1.xml >names
	"$program" --isolated --deadline 60000 --memory 256 <names >bounded.tsv || fail "with little memory: exit $?"
	expect bounded.tsv hostile/memory.xml 'out of memory|not XML|the child ended in the function: .*'
	expect bounded.tsv corpus/1.xml ok '41 41 20 101 3'
fi

# 3. What is not understood.
for arguments in '' '--isolated --in-process x' '--isolated --deadline 0' '--isolated --deadline 1x' \
	'--isolated --memory -1' '--isolated --unknown' '--isolated name'; do
	result=0
	# shellcheck disable=SC2086 # a list of arguments
	"$program" $arguments </dev/null >said 2>&1 || result=$?
	[ "$result" -eq 2 ] || fail "leaky-parser $arguments: exit $result"
	grep -q '^usage: leaky-parser ' said || fail "leaky-parser $arguments: no word how to use it"
done
echo corpus/1.xml >names
result=0
"$program" --in-process <names >/dev/full 2>/dev/null || result=$?
[ "$result" -eq 1 ] || fail "a table that cannot be written ends with $result"
