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
	*-load | *-pool-callers | *-pool-reuse | *-warm | *-warm-faults)
		echo "its many calls would take more than five minutes" ;;
	*-crash | *-crash-[!r]*)
		echo "it raises the signals itself: with other addresses, codes, registers and no core" ;;
	*-private) echo "each process has descriptors of valgrind's, which would be counted" ;;
	*) return 1 ;;
	esac
}

# Crashes that are meant are invalid accesses.
crashes() {
	[[ $1 == *-symbols || $1 == *-crash-report || $1 == *-pool-plans ]]
}

# Without VEX's chasing: it joins a call to the function that it calls, and knows only the place of
# the call when that crashes.
under_valgrind() {
	local program=$1 log=$work/${1##*/} bad='definitely lost|indirectly lost|uninitialised|Mismatched' status
	crashes "$program" || bad="$bad|Invalid "
	mkdir "$log"
	env LD_PRELOAD="$work/pidfd.so" valgrind --quiet --vex-guest-chase=no --child-silent-after-fork=no \
		--error-exitcode=99 --run-libc-freeres=no --run-cxx-freeres=no `# they flush stdio` \
		--leak-check=full --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect \
		--suppressions="$here/valgrind.supp" --log-file="$log/%p" "./$program" >"$log.out" 2>&1
	status=$?
	if [ $status -ne 0 ] || grep -lE "$bad" -r "$log" >"$log.bad"; then
		[ ! -s "$log.bad" ] || xargs cat <"$log.bad" >>"$log.out"
		echo "$program FAILED under valgrind: $status" >>"$log.out"
		: >"$log.failed"
	fi
	cat "$log.out"
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
export here work
export -f crashes under_valgrind
# shellcheck disable=SC2016 # the inner shell expands it
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' bash -c 'under_valgrind "$1"' _ '{}'
failed=$(find "$work" -name '*.failed' | wc -l)
echo "$(($# - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
