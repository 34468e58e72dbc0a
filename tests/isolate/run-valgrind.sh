#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The test programs of isolate under valgrind, with every child that they fork: no
# invalid access, nothing uninitialised, and no leak in any process (S127).
# Where valgrind itself is in the way of a test, the test says so.
# Usage: run-valgrind.sh [PROGRAM...]    in a build's folder; without: all of isolate
# The last line is 'N passed, N failed'.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker"; rm -rf "$work"' EXIT

# Prints why a program is not run.
why_not() {
	case $1 in
	*-load) echo "its many calls would take hours" ;;
	*-each-call | *-held) echo "calls that it makes on its own account would be struck" ;;
	*-faults) echo "it meets the wrapped calls, and what it allocates by them, itself" ;;
	*-options | *-descriptors) echo "it refuses limits, or keeps them for itself" ;;
	*-crash-report) return 1 ;;
	*-crash | *-crash-*) echo "it raises the signals itself: with other addresses, codes, registers and frames" ;;
	*-pool | *-pool-*) echo "its processes wait for each other's turn for minutes" ;;
	*-warm | *-warm-*) echo "leases, and what the kernel says of pages, are not what they are without it" ;;
	*-run-end) echo "ends come late there" ;;
	*-event) echo "its streams take minutes" ;;
	*-siege) echo "it stands between the programs and the signals that stop and continue them" ;;
	*) return 1 ;;
	esac
}

# Crashes that are meant are invalid accesses; and without this option VEX joins a call to the
# function that it calls, and knows only the place of the call when that crashes.
crashes() {
	[[ $1 == *-symbols || $1 == *-crash-report ]]
}

if [ $# -eq 0 ]; then
	for program in test-isolate-*; do
		if [[ ! -x $program || -d $program || $program == *.* ]]; then
			continue
		elif why=$(why_not "$program"); then
			echo "skipped: $program under valgrind: $why"
		else
			set -- "$@" "$program"
		fi
	done
fi
make -s "$@" || exit 1

# Valgrind 3.19 has no pidfd_open: a process outside makes it.
"${CC:-cc}" -O1 -shared -fPIC -o "$work/pidfd.so" "$here/valgrind-pidfd.c" -ldl || exit 1
export PROCMESH_PIDFD_BROKER=procmesh-valgrind-$$
mkfifo "$work/ready"
python3 "$here/pidfd-broker.py" "$PROCMESH_PIDFD_BROKER" >"$work/ready" &
broker=$!
read -r _ <"$work/ready"

export PROCMESH_UNDER_VALGRIND=1 CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-10}
passed=0
failed=0
for program; do
	log=$work/${program##*/}
	mkdir "$log"
	options=()
	bad='definitely lost|indirectly lost|Invalid |uninitialised|Mismatched'
	if crashes "$program"; then
		options=(--vex-guest-chase=no)
		bad=${bad/Invalid |/}
	fi
	env LD_PRELOAD="$work/pidfd.so" valgrind --quiet "${options[@]}" --child-silent-after-fork=no --error-exitcode=99 \
		--run-libc-freeres=no --run-cxx-freeres=no `# they flush stdio` \
		--leak-check=full --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect \
		--suppressions="$here/valgrind.supp" --log-file="$log/%p" "./$program" >"$log.out" 2>&1
	status=$?
	cat "$log.out"
	: >"$work/bad"
	if [ $status -eq 0 ] && ! grep -lE "$bad" -r "$log" >"$work/bad"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		[ ! -s "$work/bad" ] || xargs cat <"$work/bad"
		echo "$program FAILED under valgrind: $status"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
