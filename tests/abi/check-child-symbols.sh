#!/bin/sh
# What runs between clone and exec may only make system calls: it shares its
# memory with a parent that has other threads. So the objects of that code may
# refer to nothing but what is listed here.
set -eu
objects=
for part in spawn signals process ids steps capabilities sandbox namespaces mapper init root root-dev root-mount root-path; do
	objects="$objects pal/.libs/libpal_core_la-$part-child.o"
done

# syscall(2) and errno; the pair's own functions; what compilers put in: the
# copying and comparing of structs, position-independent code, stack protection, and the
# checks of sanitizers and coverage, which neither allocate nor lock while all
# is well.
allowed='syscall
__errno_location
pal__sandbox_(enter|enter_unfiltered|filter)
pal__capabilities_(drop|hold|set)
pal__child_[a-z_]*
mem(cpy|set|move|cmp)
bcmp
_GLOBAL_OFFSET_TABLE_
__stack_chk_(fail|guard)
__(asan|ubsan|tsan|sanitizer|gcov|llvm)_.*
_*gcov_.*
__sanitizer_cov_.*'

bad=0
for object in $objects; do
	if [ ! -e "$object" ]; then
		echo "FAILED: $object is missing: was it renamed?"
		exit 1
	fi
	undefined=$(nm -u "$object" | awk '{ print $2 }')
	case $undefined in
	*syscall*) ;;
	*)
		echo "FAILED: $object makes no system call: nm shows nothing of it?"
		bad=1
		;;
	esac
	found=$(echo "$undefined" | grep -vxE "$(echo "$allowed" | paste -sd '|')" || true)
	if [ -n "$found" ]; then
		# shellcheck disable=SC2086 # on one line
		echo "FAILED: $object refers to:" $found
		bad=1
	fi
	echo "$object: $(echo "$undefined" | wc -l) undefined symbols"
done
exit $bad
