#!/bin/sh
# SPDX-License-Identifier: MIT
# The example of a server: each request has its answer, those that crash and hang as well, also when the
# snapshot is killed; and it ends in order, with a request under way.
set -eu
export LC_ALL=C
program=${top_builddir:-.}/examples/pool-server
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$scratch"' EXIT

fail()
{
	echo "FAIL: $*" >&2
	cat "$scratch/errors" >&2
	exit 1
}

mkfifo "$scratch/said"
"$program" "$scratch/socket" >"$scratch/said" 2>"$scratch/errors" &
server=$!
exec 3<"$scratch/said"
read -r line <&3 || fail "it does not start"
snapshot=${line##* }

# expect ANSWER REQUEST: the answer as an extended regular expression
expect()
{
	said=$(printf '%s\n' "$2" | "$program" --ask "$scratch/socket") || fail "no answer to '$2'"
	printf '%s\n' "$said" | grep -Eqxe "$1" || fail "'$said' and not '$1' to '$2'"
}
dies='[ab x'
hangs="*a*a*a*a*a*a*a*a*a*a*a*b $(printf '%080d' 0 | tr 0 a)"
good()
{
	expect 'matches' 'p[aeiou]?l* pools and more'
	expect 'does not match' 'p?l* pools'
	expect 'no pattern and text' 'pools'
}

good
expect 'error: the child ended in the function: .*' "$dies"
good
expect 'error: out of time after 2000 ms, killed in the function' "$hangs"
good

# As many that hang as may run at once, and one that dies: each client its own answer.
clients=
for _ in 1 2 3 4; do
	expect 'error: out of time after 2000 ms.*' "$hangs" &
	clients="$clients $!"
done
expect 'error: .*' "$dies" &
clients="$clients $!"
for client in $clients; do
	wait "$client" || fail "a client among others"
done
good

for turn in 1 2 3; do
	kill -KILL "$snapshot"
	tries=0
	until [ "$(grep -c 'is another$' "$scratch/errors")" -eq "$turn" ]; do # until that is seen
		[ $((tries += 1)) -le 100 ] || fail "not one snapshot more"
		good
	done
	good
	snapshot=$(sed -n 's/.* has ended, \([0-9]*\) is another$/\1/p' "$scratch/errors" | tail -n 1)
done

printf '%s\n' "$hangs" | "$program" --ask "$scratch/socket" >"$scratch/last" 2>/dev/null &
client=$!
kill -TERM "$server"
result=0
wait "$server" || result=$?
server=
wait "$client" || : # it came too late, or is answered
[ "$result" -eq 0 ] || fail "it ends with $result"
[ ! -e "$scratch/socket" ] || fail "its socket is still there"
result=0
"$program" --ask "$scratch/socket" </dev/null 2>/dev/null || result=$?
[ "$result" -eq 1 ] || fail "somebody still answers"
result=0
"$program" 2>"$scratch/errors" || result=$?
[ "$result" -eq 2 ] || fail "exit $result without an argument"
grep -q '^usage: pool-server ' "$scratch/errors" || fail "no word how to use it"
