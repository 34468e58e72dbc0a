#!/bin/sh
# build-aux/test-totals, which says whether a change is good, against logs that are known.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

log() { # NAME RESULT, the log on stdin
	mkdir -p "$work/tests"
	cat >"$work/$1.log"
	echo ":test-result: $2" >"$work/$1.trs"
}

expect() { # STATUS LAST-LINE [strict]
	status=0
	"$top/build-aux/test-totals" "$work" "${3-}" >"$work/out" || status=$?
	last=$(tail -n 1 "$work/out")
	if [ "$last" != "$2" ] || [ "$status" -ne "$1" ]; then
		echo "FAILED: wanted '$2' and $1, got '$last' and $status"
		bad=1
	fi
}

expect 1 '0 passed, 1 failed' # no test has run

printf 'Running suite(s): a\n100%%: Checks: 12, Failures: 0, Errors: 0\nPASS test-a (exit status: 0)\n' |
	log tests/test-a PASS
echo 'a script' | log tests/script.sh PASS
expect 0 '13 passed, 0 failed'

printf 'SKIP old: no kernel\n100%%: Checks: 3, Failures: 0, Errors: 0\n' | log test-b PASS
expect 0 '15 passed, 0 failed'
expect 1 '15 passed, 1 failed' strict
printf 'SKIP script: no gcc\nSKIP skipping.sh (exit status: 77)\n' | log skipping.sh SKIP
expect 1 '15 passed, 2 failed' strict
rm "$work"/test-b.* "$work"/skipping.sh.*

printf '50%%: Checks: 8, Failures: 3, Errors: 1\nx.c:1:F:case:test:0: 1 != 2\n' | log test-c FAIL
expect 1 '17 passed, 4 failed'
grep -q 'x.c:1:F:case:test:0: 1 != 2' "$work/out" || { echo "FAILED: does not say what failed"; bad=1; }
rm "$work"/test-c.*

# good results, but the program failed at its end (a sanitizer, a crash), or before it had any
printf '100%%: Checks: 8, Failures: 0, Errors: 0\nERROR: LeakSanitizer\n' | log test-d FAIL
expect 1 '20 passed, 1 failed'
printf 'Segmentation fault\n' | log test-d ERROR
expect 1 '13 passed, 1 failed'

[ $bad -eq 0 ] && echo "the totals are right"
exit $bad
