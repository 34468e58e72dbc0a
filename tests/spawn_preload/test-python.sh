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

# NAME COMMAND...: both at once, for they mostly sleep
compare() {
	name=$1
	least=$2
	shift 2
	rm -f "$trace"
	mkdir -p "$work/plain" "$work/preload"
	(cd "$work/plain" && "$@") </dev/null >"$work/plain.log" 2>&1 &
	(cd "$work/preload" && with_preload "$@") </dev/null >"$work/preload.log" 2>&1 || true
	wait
	for kind in plain preload; do
		# "test_x (test.file.Class.test_x) ... ok", or what it is instead of ok; some print between
		grep -oE '^test_[A-Za-z0-9_]* \([^)]*\)( \.\.\. .*)?$|^(ok|FAIL|ERROR|skipped .*)$' \
			"$work/$kind.log" >"$work/$kind.outcomes" || true
		grep -E '^(Ran [0-9]+ tests|OK|FAILED \()' "$work/$kind.log" | sed 's/ in .*//' \
			>>"$work/$kind.outcomes"
	done
	if ! diff -u "$work/plain.outcomes" "$work/preload.outcomes"; then
		echo "FAILED: $name differs"
		tail -n 50 "$work/preload.log"
		bad=1
	fi
	count=0
	[ ! -e "$trace" ] || count=$(wc -l <"$trace")
	if [ "$count" -lt "$least" ] || ! grep -q '^Ran [1-9]' "$work/preload.outcomes"; then
		echo "FAILED: $name: $count children were started through the library"
		bad=1
	fi
	echo "$name: $(tail -n 2 "$work/preload.outcomes" | paste -sd ' '), the same without;" \
		"$count children through the library"
}

compare "test_posix" 30 "$python" -m test -v test_posix -m '*PosixSpawn*' -m '*spawn*'
compare "test_subprocess" 3 "$python" -m test -v test_subprocess
compare "test_subprocess by posix_spawn" 200 \
	"$python" "$top/tests/spawn_preload/subprocess-by-posix-spawn.py" -v test_subprocess
exit $bad
