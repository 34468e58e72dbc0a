#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds a project of 25 files with GNU make and with ninja, both of
# which start their commands by posix_spawn(3): without and with the preloaded
# library, which must make no difference, neither where a command fails.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
# shellcheck source=tests/spawn_preload/preload.sh
. "$top/tests/spawn_preload/preload.sh"
files=24
bad=0

# A program of $files parts that adds up their numbers. FOLDER
# shellcheck disable=SC2016 # what looks like variables is make's and ninja's
write_project() {
	mkdir -p "$1"
	cd "$1"
	{
		printf '#include <stdio.h>\n#include "parts.h"\nint main(void)\n{\n\tint sum = 0;\n'
		seq 1 $files | sed 's/.*/	sum += part_&();/'
		printf '\tprintf("%%d\\n", sum);\n\treturn 0;\n}\n'
	} >main.c
	: >parts.h
	for i in $(seq 1 $files); do
		echo "int part_$i(void);" >>parts.h
		printf '#include "parts.h"\nint part_%d(void) { return %d; }\n' "$i" "$i" >"part_$i.c"
	done
	objects="main.o $(seq 1 $files | sed 's/.*/part_&.o/' | tr '\n' ' ')"
	{
		printf 'CC = %s\nOBJECTS = %s\n' "${CC:-gcc}" "$objects"
		printf 'program: $(OBJECTS)\n\t$(CC) -o $@ $(OBJECTS)\n'
		printf '%%.o: %%.c parts.h\n\t$(CC) -c -o $@ $<\n'
		printf 'where:\n\t@cd / && pwd; echo "$$0 $(shell echo from a shell)"; /bin/echo plain\n'
		printf 'broken:\n\tfalse\n\t@echo not reached\n'
		printf 'missing:\n\tno-such-program x\n'
		printf 'killed:\n\tkill -TERM $$$$\n'
	} >Makefile
	{
		printf 'rule cc\n command = %s -c -o $out $in\nrule link\n command = %s -o $out $in\n' \
			"${CC:-gcc}" "${CC:-gcc}"
		printf 'rule false\n command = false\nrule missing\n command = no-such-program x\n'
		for object in $objects; do
			printf 'build %s: cc %s | parts.h\n' "$object" "${object%.o}.c"
		done
		printf 'build program: link %s\nbuild broken: false\nbuild missing: missing\ndefault program\n' \
			"$objects"
	} >build.ninja
	cd "$OLDPWD"
}

# Runs a command in FOLDER; its output without what differs anyway, and its exit status. FOLDER COMMAND...
log_of() {
	folder=$1
	shift
	status=0
	(cd "$folder" && "$@") </dev/null >"$folder.log" 2>&1 || status=$?
	# the order of parallel commands is chance, and so are the numbers that ninja gives them
	sed -E 's|^\[[0-9]+/[0-9]+\] ||; s|make(\[[0-9]+\])?:|make:|' "$folder.log" | LC_ALL=C sort
	echo "exit status $status"
}

# NAME COMMAND...: in a fresh project each, the same; the library must have started the commands
compare() {
	name=$1
	shift
	rm -f "$trace"
	for kind in plain preload; do
		rm -rf "${work:?}/project"
		write_project "$work/project"
		case $kind in
		plain) log_of "$work/project" "$@" >"$work/plain.log" ;;
		preload) log_of "$work/project" with_preload "$@" >"$work/preload.log" ;;
		esac
		if [ -x "$work/project/program" ]; then
			"$work/project/program" >>"$work/$kind.log"
			(cd "$work/project" && cksum ./*.o program) >>"$work/$kind.log"
		fi
	done
	count=0
	[ ! -e "$trace" ] || count=$(wc -l <"$trace")
	if ! diff -u "$work/plain.log" "$work/preload.log"; then
		echo "FAILED: $name differs"
		bad=1
	fi
	if [ "$count" -lt "$least" ]; then
		echo "FAILED: $name: only $count children were started through the library"
		bad=1
	fi
	echo "$name: the same, $count children"
}

built() {
	tail -n $((files + 3)) "$work/preload.log" | head -n 1 | grep -qx $((files * (files + 1) / 2)) || {
		echo "FAILED: the program was not built"
		bad=1
	}
}

least=$((files + 2))
compare "make -j2" make -j2
built
compare "make -j1 -k" make -k
built
least=1 # but make itself looks for a program before it starts one
compare "make: what commands see" make where
compare "make: a command fails" make broken
compare "make: a command is killed" make killed
compare "make -k: all of them" make -k broken missing killed where
least=0
compare "make: a program is missing" make missing
if command -v ninja >/dev/null; then
	least=$((files + 2))
	compare "ninja" ninja -j2
	built
	least=1 # by way of a shell
	compare "ninja: a command fails" ninja broken
	compare "ninja: a program is missing" ninja missing
else
	echo "left out: there is no ninja"
fi
exit $bad
