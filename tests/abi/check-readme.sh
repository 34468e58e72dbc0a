#!/bin/sh
# Every C example of README.md and of doc/ compiles, without a warning, against the headers;
# every file that they show or refer to is there, with the heading that is meant, and their pictures
# are pictures.
set -eu
top=${srcdir:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# headings FILE: what addresses inside of it can be, as they are made of headings
headings() {
	awk '/^```/ { code = !code } /^#+ / && !code' "$1" | tr '[:upper:]' '[:lower:]' |
		sed 's/^#* //; s/[^a-z0-9 _-]//g; s/ /-/g'
}

# check PAGE: a path from the top
check() {
	page=$1
	rm -f "$work"/example-*.c
	awk -v work="$work" '
		/^```c$/ { file = sprintf("%s/example-%02d.c", work, ++count); next }
		/^```$/ { file = "" }
		file { print > file }
	' "$top/$page"
	count=0
	for example in "$work"/example-*.c; do
		[ -e "$example" ] || break
		${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I"$top" "$example" || {
			echo "$page: example $((count + 1)) does not compile"
			exit 1
		}
		count=$((count + 1))
	done

	# [text](path) and ![text](path), one a line; addresses on the web are none of ours
	grep -o '!\{0,1\}\[[^]]*\]([^)]*)' "$top/$page" | grep -v '([a-z]*:' >"$work/links" || :
	files=0
	pictures=0
	while read -r link; do
		target=${link##*(}
		target=${target%)}
		file=${target%%#*}
		path=$top/$(dirname "$page")/$file
		[ -n "$file" ] || path=$top/$page
		if [ ! -e "$path" ]; then
			echo "$page refers to $file, which is not there"
			exit 1
		fi
		case $target in
		*'#'*)
			if ! headings "$path" | grep -qx -- "${target#*#}"; then
				echo "$page refers to $target: there is no such heading"
				exit 1
			fi
			;;
		esac
		files=$((files + 1))
		case $link in
		!*)
			if [ "$(head -c 4 "$path" | tail -c 3)" != PNG ]; then
				echo "$page shows $file, which is not a PNG picture"
				exit 1
			fi
			pictures=$((pictures + 1))
			;;
		esac
	done <"$work/links"
	echo "$page: $count examples compile, $files references are good, $pictures of them pictures"
}

check README.md
[ "$count" -gt 0 ] && [ "$files" -gt 0 ] && [ "$pictures" -gt 0 ]
for page in "$top"/doc/*.md; do
	check "doc/${page##*/}"
done
