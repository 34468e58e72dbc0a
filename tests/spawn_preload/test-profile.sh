#!/bin/sh
# SPDX-License-Identifier: MIT
#
# PROCMESH_PROFILE: what unmodified programs start by posix_spawn(3), system(3) and popen(3) runs under
# a profile, and nothing runs where the profile is missing, wrong or impossible. As this user, and
# where that is root, as another one, too.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
# shellcheck source=tests/spawn_preload/preload.sh
. "$top/tests/spawn_preload/preload.sh"
program=$PWD/tests/spawn_preload/start
profile=$work/profile
out=$work/out
functions="posix_spawn posix_spawnp system popen"
bad=0
checks=0
as="env --" # how to become another user
chmod 755 "$work"
mkdir -m 777 "$out"
: >"$trace"
chmod 666 "$trace"

# ---- means ----

# LABEL EXPECTED ACTUAL
is() {
	checks=$((checks + 1))
	if [ "$2" != "$3" ]; then
		echo "FAILED: $who: $1: \"$3\" where \"$2\" was expected"
		bad=1
	fi
}

# Lines for the profile. TEXT
profile() {
	printf '%s\n' "$1" >"$profile"
}

# All without a profile, or with the one that is written: the outcome. HOW COMMAND [FILE]
plain() {
	$as env LD_PRELOAD="$preload" "$program" "$@" </dev/null 2>>"$work/errors"
}
start() {
	$as env LD_PRELOAD="$preload" PROCMESH_SPAWN_TRACE="$trace" PROCMESH_PROFILE="$profile" "$program" "$@" \
		</dev/null 2>>"$work/errors"
}

# The command works without the profile, and not with it. LABEL COMMAND CODE-WITH-IT
forbids() {
	for function in $functions; do
		rm -rf "${out:?}"/*
		is "$1: $function without a profile" "exit 0" "$(plain "$function" "$2")"
		rm -rf "${out:?}"/*
		is "$1: $function" "exit $3" "$(start "$function" "$2")"
		is "$1: $function: files" "" "$(ls "$out")"
	done
}

# There is no child, and the trace says why. LABEL TEXT-IN-THE-TRACE
refuses() {
	for function in $functions; do
		rm -f "$out/ran"
		: >"$trace"
		is "$1: $function" "EPERM" "$(start "$function" ": >'$out/ran'")"
		is "$1: $function: files" "" "$(ls "$out")"
		if ! grep -qF "$2" "$trace"; then
			is "$1: $function: trace" "$2" "$(cat "$trace")"
		fi
	done
}

# ---- cases ----

things_are_forbidden() {
	profile "X-LandlockRestrict=files
		X-LandlockRead=/
		X-LandlockExecute=/
		X-LandlockWrite=/dev"
	forbids "files" "echo x >'$out/file'" 2
	profile "SystemCallFilter=~mkdir:EACCES mkdirat:EACCES"
	forbids "a call" "mkdir '$out/folder' 2>/dev/null" 1
	profile "LimitNOFILE=77"
	# shellcheck disable=SC2016 # in what follows: for the shell that is started
	is "a limit" "exit 0" "$(start system 'test "$(ulimit -n) $(ulimit -Hn)" = "77 77"')"
	profile "X-Profile=build-worker $out"
	is "build-worker, inside" "exit 0" "$(start popen ": >'$out/inside'")"
	is "build-worker, outside" "exit 2" "$(start popen ": >'$work/outside'")"
	rm -f "$out/inside"
}

# Of a child that is confined, too, although it cannot apply the profile once more.
descendants_are_confined() {
	profile "SystemCallFilter=~seccomp prctl:EACCES @mount unshare
		X-LandlockRestrict=files
		X-LandlockRead=/
		X-LandlockExecute=/
		X-LandlockWrite=/dev"
	is "a grandchild" "exit 0" "$(start posix_spawn \
		"test -z \"\${PROCMESH_PROFILE+set}\" && test \"\$('$program' system 'echo x >$out/file')\" = 'exit 2'")"
	is "a grandchild: files" "" "$(ls "$out")"
	printf 'UMask=0123\n' >"$work/inner"
	profile "UMask=0321
		Environment=PROCMESH_PROFILE=$work/inner"
	is "another profile for grandchildren" "exit 0" "$(start posix_spawn \
		"test \$(umask) = 0321 && '$program' posix_spawn 'exit \$((\$(umask) == 0123))' | grep -qx 'exit 1'")"
}

# Nothing else has changed: the errors of the caller's own mistakes.
errors_stay() {
	profile "NoNewPrivileges=yes"
	is "a missing program" "ENOENT" "$(PATH=/usr/bin:/bin start missing x)"
	is "an action's file is missing" "ENOENT" "$(start input true "$work/no-such-file")"
	is "a shell" "there is one" "$(start shell -)"
	is "exit" "exit 9" "$(start popen 'exit 9')"
	is "signal" "signal 15" "$(start system 'kill -TERM $$')"
	profile "X-LandlockRestrict=files signals
		X-LandlockRead=/
		X-LandlockExecute=/
		X-LandlockWrite=/dev"
	# 1, 2, and the folder that is being read
	is "no streams, but a ruleset" "exit 0" "$(start no-streams \
		'set -- /proc/$$/fd/*; test $# = 3 && test -e /proc/$$/fd/1 && test -e /proc/$$/fd/2')"
	is "an action opens before the ruleset is enforced" "exit 0" "$(start input 'read line' "$profile")"
}

variables_are_the_profile_s() {
	profile "Environment=A=profile C=new"
	# shellcheck disable=SC2016
	is "Environment" "exit 0" "$(start without 'test "$A$C" = profilenew')"
	printf 'A=profile\nB\nC=new\n' >"$work/wanted"
	is "Environment, the others" "exit 0" "$(start without \
		"tr '\\0' '\\n' </proc/\$\$/environ | cmp - '$work/wanted'")"
	profile "UnsetEnvironment=A"
	is "UnsetEnvironment" "exit 0" "$(start without "test \"\$(tr '\\0' '\\n' </proc/\$\$/environ)\" = B")"
	# HOME is this program's, and no variable of the child
	profile "PassEnvironment=A HOME"
	is "PassEnvironment" "exit 0" "$(start without "test \"\$(tr '\\0' '\\n' </proc/\$\$/environ)\" = A=1")"
	is "PassEnvironment, inherited" "exit 0" "$(start system "test \"\$(tr '\\0' '\\n' </proc/\$\$/environ)\" = HOME=$HOME")"
	profile "WorkingDirectory=$out"
	is "WorkingDirectory" "exit 0" "$(start elsewhere "test \"\$(pwd)\" = '$out'")"
}

wrong_files_start_nothing() {
	profile "NoNewPrivileges=yes
NoSuchKey=1"
	refuses "an unknown key" "$profile:2: NoSuchKey=: unknown key"
	profile "

LimitNOFILE=many"
	refuses "a bad value" "$profile:3: LimitNOFILE=: "
	profile "[Finalize]
SystemCallFilter=~@file-system"
	refuses "a second half" "$profile: [Finalize]"
	profile "X-Profile=pure-computation"
	refuses "a second half of a ready-made profile" "$profile: [Finalize]"
	head -c 1100000 /dev/zero | tr '\0' '#' >"$profile"
	refuses "a long file" "$profile: Argument list too long"
	profile "X-LandlockRestrict=files
X-LandlockRead=$work/no-such-file"
	refuses "a path that is missing" "$work/no-such-file"
	is "a shell" "there is none" "$(start shell -)"
	rm "$profile"
	refuses "a missing file" "$profile: No such file or directory"
	mkdir "$profile"
	refuses "a folder" "$profile: Is a directory"
	rmdir "$profile"
	profile "NoNewPrivileges=yes"
	file=$profile
	for profile in "" profile; do
		refuses "the name '$profile'" "PROCMESH_PROFILE is no absolute name: \"$profile\""
	done
	profile=$file
}

# The file is read when the program is loaded: what it finds there later does not matter.
the_file_may_go() {
	profile "SystemCallFilter=~mkdir:EACCES mkdirat:EACCES"
	cp "$profile" "$out/profile"
	chmod 666 "$out/profile"
	kept=$profile
	profile=$out/profile
	is "a file that is removed" "exit 1" "$(start forget "mkdir '$out/folder' 2>/dev/null" "$out/profile")"
	is "a file that is removed: files" "" "$(ls "$out")"
	profile=$kept
}

many_at_once() {
	profile "SystemCallFilter=~mkdir:EACCES mkdirat:EACCES
		X-LandlockRestrict=files
		X-LandlockRead=/
		X-LandlockExecute=/
		X-LandlockWrite=/dev"
	is "many" "90 of 90 in threads, 30 of 30 in forks: exit 1" \
		"$(start many "mkdir '$out/folder' 2>/dev/null")"
	profile "NoSuchKey="
	is "many that are refused" "90 of 90 in threads, 30 of 30 in forks: EPERM" \
		"$(start many "mkdir '$out/folder' 2>/dev/null")"
	is "many: files" "" "$(ls "$out")"
}

# What a program does without these functions is not the library's.
own_forks_are_not_confined() {
	profile "X-LandlockRestrict=files
		X-LandlockRead=/
		X-LandlockExecute=/
		X-LandlockWrite=/dev"
	$as env LD_PRELOAD="$preload" PROCMESH_PROFILE="$profile" sh -c \
		"env printf x >'$out/file'; '$program' system 'echo x >>$out/file' >/dev/null" 2>/dev/null
	is "fork and exec, and what that starts" "x" "$(cat "$out/file")"
	rm -f "$out/file"
}

with_make_and_python() {
	profile "X-LandlockRestrict=files
		X-LandlockRead=/
		X-LandlockExecute=/
		X-LandlockWrite=/dev $out"
	printf 'all: inside outside\ninside:\n\t@echo x; :; echo x >%s/made\noutside:\n\techo x >%s/made\n' \
		"$out" "$work" >"$work/Makefile"
	$as env LD_PRELOAD="$preload" PROCMESH_PROFILE="$profile" make -k -f "$work/Makefile" \
		>"$work/make.log" 2>&1 && status=0 || status=$?
	is "make: status" 2 "$status"
	is "make: files" "$out/made" "$(ls "$out/made" "$work/made" 2>/dev/null)"
	rm -f "$out/made" "$work/made"
	command -v python3 >/dev/null || return 0
	is "python" "2 2 2 0" "$($as env LD_PRELOAD="$preload" PROCMESH_PROFILE="$profile" python3 -c '
import os, subprocess, sys
work, out = sys.argv[1:]
command = "echo x >" + work + "/made"
arguments = ["/bin/sh", "-c", command]
print(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/sh", arguments, os.environ), 0)[1]),
      subprocess.call(arguments, close_fds=False),
      os.waitstatus_to_exitcode(os.system(command)),
      os.waitstatus_to_exitcode(os.system("echo x >" + out + "/made")))' "$work" "$out" 2>>"$work/errors")"
	rm -f "$out/made"
}

# ---- with the rights of root, or in a user namespace ----

mounts_and_namespaces() {
	if ! $as unshare -rm true 2>/dev/null && ! $as unshare -m true 2>/dev/null; then
		echo "left out: $who has no namespaces here"
		return
	fi
	users=PrivateUsers=yes
	[ "$who" != root ] || users=
	profile "$users
		ReadOnlyPaths=$out"
	forbids "a read-only folder" "echo x >'$out/file'" 2
	profile "$users
		ReadOnlyPaths=/
		ReadWritePaths=$out"
	is "a root of its own" "exit 0" "$(start popen "echo x >'$out/file'")"
	is "a root of its own, outside" "exit 2" "$(start popen "echo x >'$work/file'")"
	echo line >"$out/file"
	profile "$users
		TemporaryFileSystem=$out"
	is "actions see the child's files" "ENOENT" "$(start input true "$out/file")"
	rm -f "$out/file"
	profile "$users
		PrivatePIDs=yes"
	for function in $functions; do
		is "processes of its own: $function" "exit 7" "$(start "$function" "test \$\$ -lt 10 && exit 7")"
	done
	# the first process of a pid namespace stands for it: pal_builder_pid_init
	is "processes of its own: killed" "exit 137" "$(start popen 'kill -9 $$')"
	profile "$users
		ReadOnlyPaths=$work/no-such-file"
	refuses "a place that is missing" ":2: ReadOnlyPaths=: $work/no-such-file: No such file or directory"
}

only_as_root() {
	profile "User=65534
		Group=65534"
	chmod 755 "$out"
	forbids "another user" "echo x >'$out/file'" 2
	# shellcheck disable=SC2016
	is "another user: who" "exit 0" "$(start posix_spawn 'test "$(id -u) $(id -g) $(id -G)" = "65534 65534 65534"')"
	is "actions are another user's, too" "EACCES" "$(chmod 700 "$out"; : >"$out/file"; start input true "$out/file")"
	rm -f "$out/file"
	chmod 777 "$out"
	profile "CapabilityBoundingSet="
	is "no capabilities" "exit 0" "$(start system 'grep -q "CapEff:.0000000000000000" /proc/self/status')"
}

only_as_another() {
	profile "User=0"
	refuses "a user that cannot be had" "supplementary groups: Operation not permitted"
	profile "PrivateNetwork=yes"
	refuses "a namespace that cannot be had" "namespace"
	profile "NoNewPrivileges=yes"
	chmod 000 "$profile"
	refuses "an unreadable file" "$profile: Permission denied"
	chmod 644 "$profile"
}

# ---- all of them ----

for_this_user() {
	things_are_forbidden
	descendants_are_confined
	errors_stay
	variables_are_the_profile_s
	wrong_files_start_nothing
	the_file_may_go
	many_at_once
	own_forks_are_not_confined
	with_make_and_python
	mounts_and_namespaces
}

if [ "$(id -u)" = 0 ]; then
	who=root
	for_this_user
	only_as_root
	who=another
	as="setpriv --reuid 65534 --regid 65534 --clear-groups"
	if $as test -x "$program" -a -r "$preload" 2>/dev/null; then
		for_this_user
		only_as_another
	else
		echo "left out: another user cannot read $PWD"
	fi
else
	who=another
	for_this_user
	only_as_another
fi
[ "$bad" = 0 ] || cat "$work/errors"
echo "$checks checks"
exit $bad
