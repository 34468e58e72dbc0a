#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Python's own tests of os.posix_spawn and of subprocess, without and with the
# preloaded library: each test has the same outcome. Takes a minute, so .ci/run
# does it, not make check.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
# shellcheck source=tests/spawn_preload/preload.sh
. "$top/tests/spawn_preload/preload.sh"
python=/usr/bin/python3 # Debian's: other builds rarely have the tests
if ! "$python" -c 'import test.test_posix, test.test_subprocess' 2>/dev/null; then
	echo "SKIP test-python: $python has no tests (libpython3.11-testsuite)"
	exit 77
fi
bad=0

# KIND COMMAND...: in a folder of its own; $work/KIND.outcome says which tests have not passed
run() {
	kind=$1
	shift
	rm -rf "${work:?}/$kind"
	mkdir "$work/$kind"
	(cd "$work/$kind" && "$@") </dev/null >"$work/$kind.log" 2>&1 || true
	grep -E '^((FAIL|ERROR): |Ran [0-9]+ tests|OK|FAILED \()' "$work/$kind.log" |
		sed 's/^\(Ran .*\) in .*/\1/' | LC_ALL=C sort >"$work/$kind.outcome"
}

# NAME LEAST COMMAND...
compare() {
	name=$1
	least=$2
	shift 2
	rm -f "$trace"
	run plain "$@" & # at once: they mostly sleep
	run preload with_preload "$@"
	wait
	if ! cmp -s "$work/plain.outcome" "$work/preload.outcome"; then
		echo "$name differs: once more, one after the other, in case it was too slow for its own limits"
		run plain "$@"
		run preload with_preload "$@"
	fi
	if ! diff -u "$work/plain.outcome" "$work/preload.outcome"; then
		echo "FAILED: $name differs"
		tail -n 50 "$work/preload.log"
		bad=1
	fi
	count=0
	[ ! -e "$trace" ] || count=$(wc -l <"$trace")
	if [ "$count" -lt "$least" ] || ! grep -q '^Ran [1-9]' "$work/preload.outcome"; then
		echo "FAILED: $name: $count children were started through the library"
		bad=1
	fi
	echo "$name: $(grep -E '^(Ran|OK|FAILED)' "$work/preload.outcome" | paste -sd ' ')," \
		"the same without; $count children through the library"
}

compare "test_posix" 30 "$python" -m test -v test_posix -m '*PosixSpawn*' -m '*spawn*'
compare "test_subprocess" 3 "$python" -m test -v test_subprocess
compare "test_subprocess by posix_spawn" 200 \
	"$python" "$top/tests/spawn_preload/subprocess-by-posix-spawn.py" -v test_subprocess
exit $bad
