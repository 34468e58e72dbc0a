#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What posix_spawn(3), system(3) and popen(3) do, case by case: by glibc alone,
# with the preloaded library, with a sandbox profile that asks for nothing, and as it
# is written down. All four are the same.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
# shellcheck source=tests/spawn_preload/preload.sh
. "$top/tests/spawn_preload/preload.sh"
cases=$PWD/tests/spawn_preload/spawn-cases
start=$PWD/tests/spawn_preload/start
module=$PWD/.libs/libtest-fork-module.so
groups="attributes signals actions descriptors program parent system popen root realtime"
bad=0
limit=$((60 * ${CK_TIMEOUT_MULTIPLIER:-1}))

# FOLDER COMMAND...: runs all groups, each with its output in FOLDER/GROUP.txt
run() {
	folder=$work/$1
	shift
	mkdir -p "$folder"
	for group in $groups; do
		mkdir "$folder/$group"
		# one file name for all: cases show what their streams are
		if ! (cd "$folder" && "$@" timeout "$limit" "$cases" "$folder/$group" "$group" </dev/null >stdout 2>&1); then
			echo "FAILED: $group: $folder: it hung or gave up"
			bad=1
		fi
		mv "$folder/stdout" "$folder/$group.txt"
	done
}

# The same lines? FOLDER FOLDER GROUP
compare() {
	if ! diff -u "$work/$1/$3.txt" "$work/$2/$3.txt"; then
		echo "FAILED: $3: $1 and $2 differ"
		bad=1
	fi
}

# Names of functions that a shared library exports. FILE PATTERN
exported() {
	nm -D --defined-only "$1" | sed -n "s/^[0-9a-f]* [TWi] \($2\)\(@.*\)\{0,1\}$/\1/p" | LC_ALL=C sort -u
}

# Nothing of the family may go past the library, and nothing else through it.
libc=$(ldd "$preload" | sed -n 's/.*=> \(.*libc\.so\.[0-9]*\) .*/\1/p')
{
	exported "$libc" 'posix_spawn[a-z0-9_]*'
	printf '%s\n' fclose pclose popen system
} | LC_ALL=C sort >"$work/wanted"
exported "$preload" '[^ ]*' >"$work/exported"
if ! diff -u "$work/wanted" "$work/exported"; then
	echo "FAILED: these are not the functions that $libc has"
	bad=1
fi

possible=
for group in $groups; do
	if "$cases" --can "$group"; then
		possible="$possible $group"
	else
		echo "left out: $group, for which this user or container lacks the rights"
	fi
done
groups=$possible
run glibc env
run preload with_preload
echo '# nothing' >"$work/nothing"
run profile with_preload PROCMESH_PROFILE="$work/nothing"
mkdir "$work/expected"
for group in $groups; do
	awk -v group="$group" '/^== / { on = $2 == group; next } on' \
		"$top/tests/spawn_preload/spawn-cases.expected" >"$work/expected/$group.txt"
	compare preload profile "$group"
	case $(getconf GNU_LIBC_VERSION) in
	"glibc 2.36")
		compare expected preload "$group"
		compare expected glibc "$group"
		;;
	*)
		compare glibc preload "$group"
		;;
	esac
	echo "$group: $(wc -l <"$work/preload/$group.txt") observations"
done

# A trace that cannot be written is nothing to the program.
mkfifo "$work/fifo"
for to in "$work/too-long" "$work/fifo"; do
	if ! (ulimit -f 0 && PROCMESH_SPAWN_TRACE=$to LD_PRELOAD=$preload timeout "$limit" \
		"$start" posix_spawn 'exit 6' | grep -qx 'exit 6'); then
		echo "FAILED: with its trace in $to"
		bad=1
	fi
done

# What glibc does not do: there the child of a fork was seen to find a lock taken.
for profile in "" "PROCMESH_PROFILE=$work/nothing"; do
	rm -rf "$work/beyond"
	mkdir "$work/beyond"
	beyond=$(env LD_PRELOAD="$preload:$module" ${profile:+"$profile"} timeout "$limit" "$cases" "$work/beyond" beyond) || true
	if [ "$beyond" != "beyond/a_fork_in_the_middle: 30 in forks, 40 in threads
beyond/a_fork_in_a_signal_handler: done
beyond/a_library_that_locks_first: all, exit 9" ]; then
		echo "FAILED: $profile: $beyond"
		bad=1
	fi
done

count=$(wc -l <"$trace")
echo "$count children were started through the library"
[ "$count" -gt 1000 ] || bad=1
exit $bad
