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

# A function that crashes reports it from a signal handler: async-signal-safe calls, the
# unwinder, and what sanitizers tell. (isolate__is_guard tells where the frames of the function end.)
crash_objects=
for part in crash crash-sanitizer crash-unwind; do
	crash_objects="$crash_objects isolate/.libs/libisolate_core_la-$part-child.o"
done
crash_allowed="$allowed
isolate__crash_.*
isolate__is_guard
_Unwind_(Backtrace|GetIP|GetRegionStart|Resume)
__gcc_personality_v0
get(pid|tid)
mprotect
pause
pthread_sigmask
sig(action|altstack|(add|empty|fill)set)
sysconf"

bad=0

# Fails for a symbol that is on no line of ALLOWED. Usage: check ALLOWED OBJECT...
check() {
	only=$1
	shift
	for object; do
		if [ ! -e "$object" ]; then
			echo "FAILED: $object is missing: was it renamed?"
			exit 1
		fi
		undefined=$(nm -u "$object" | awk '{ print $2 }')
		if [ -z "$undefined" ]; then
			echo "FAILED: $object refers to nothing: nm shows nothing of it?"
			bad=1
		fi
		found=$(echo "$undefined" | grep -vxE "$(echo "$only" | paste -sd '|')" || true)
		if [ -n "$found" ]; then
			# shellcheck disable=SC2086 # on one line
			echo "FAILED: $object refers to:" $found
			bad=1
		fi
		echo "$object: $(echo "$undefined" | wc -l) undefined symbols"
	done
}

# shellcheck disable=SC2086 # lists of files
check "$allowed" $objects
# shellcheck disable=SC2086
check "$crash_allowed" $crash_objects
for object in $objects; do
	case $(nm -u "$object") in
	*syscall*) ;;
	*)
		echo "FAILED: $object makes no system call: nm shows nothing of it?"
		bad=1
		;;
	esac
done
exit $bad
