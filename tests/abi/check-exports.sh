#!/bin/sh
# What an installed library exports is what its public headers declare, no more
# and no less; each has a SONAME and no text relocations (S178).
set -eu
top=${srcdir:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

fail() {
	echo "FAILED: $*"
	bad=1
}

if ! command -v gcc >/dev/null; then
	echo "SKIP check-exports: no gcc, which lists what a header declares (-aux-info)"
	exit 77
fi

# Functions with external linkage that the headers of a folder declare.
declared() {
	: >"$work/all.c"
	for header in "$top/$1"/*.h; do
		case $header in *-priv.h) continue ;; esac
		echo "#include <$1/${header##*/}>" >>"$work/all.c"
	done
	gcc -I"$top" -fsyntax-only -aux-info "$work/aux" "$work/all.c"
	sed -n "s|^/\* $top/$1/[a-z_-]*\.h:[^*]*\*/ extern [^(]*[ *]\([a-z_][a-z0-9_]*\) (.*|\1|p" "$work/aux" | sort -u
}

exported() {
	nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u
}

# FOLDER NAME PREFIX [OBJECT]...: the objects are exported data, which -aux-info does not list.
check() {
	folder=$1
	name=$2
	prefix=$3
	shift 3
	library=.libs/libprocmesh-$name.so
	{
		declared "$folder"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} | sort -u >"$work/declared"
	exported "$library" >"$work/exported"
	[ -s "$work/declared" ] || fail "$folder: no declarations found"
	comm -23 "$work/declared" "$work/exported" | sed "s|^|$folder: declared, not exported: |" >"$work/differences"
	comm -13 "$work/declared" "$work/exported" | sed "s|^|$folder: exported, not declared: |" >>"$work/differences"
	[ ! -s "$work/differences" ] || fail "$(cat "$work/differences")"
	if grep -vE "^$prefix"'_[a-zA-Z]' "$work/exported"; then
		fail "$library: these names lack the prefix ${prefix}_"
	fi
	readelf -d "$library" >"$work/dynamic"
	grep -q "SONAME.*\[libprocmesh-$name\.so\.[0-9]*\]" "$work/dynamic" || fail "$library has no SONAME"
	if grep -q TEXTREL "$work/dynamic"; then
		fail "$library has text relocations"
	fi
	echo "$library: $(wc -l <"$work/exported") symbols"
}

check pal pal pal
check pal_event pal-event pal_child_event
check pal_profile profile pal_profile
check isolate isolate isolate
check isolate_event isolate-event isolate_event
# left out without libdw
[ ! -e .libs/libprocmesh-isolate-symbols.so ] || check isolate_symbols isolate-symbols isolate_symbols
check mesh mesh mesh mesh_Resource_msg # of mesh/resource.proto
check mesh_process process mesh_process

# A program that only starts processes loads no event loop, and none but those with profiles as text a reader of those.
for library in pal isolate; do
	if readelf -d ".libs/libprocmesh-$library.so" | grep -E 'NEEDED.*lib(event|inih|dw)'; then
		fail "libprocmesh-$library needs too much"
	fi
done
exit $bad
