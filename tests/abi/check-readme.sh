#!/bin/sh
# Every C example of README.md compiles, without a warning, against the headers;
# every file that it shows or refers to is there, and its pictures are pictures.
set -eu
top=${srcdir:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v work="$work" '
	/^```c$/ { file = sprintf("%s/example-%d.c", work, ++count); next }
	/^```$/ { file = "" }
	file { print > file }
' "$top/README.md"
count=0
for example in "$work"/example-*.c; do
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I"$top" "$example"
	count=$((count + 1))
done
echo "$count examples compile"

# [text](path) and ![text](path), one a line; addresses on the web are none of ours
grep -o '!\{0,1\}\[[^]]*\]([^)]*)' "$top/README.md" | grep -v '([a-z]*:' >"$work/links"
files=0
pictures=0
while read -r link; do
	file=${link##*(}
	file=${file%)}
	if [ ! -e "$top/$file" ]; then
		echo "README.md refers to $file, which is not there"
		exit 1
	fi
	files=$((files + 1))
	case $link in
	!*)
		if [ "$(head -c 4 "$top/$file" | tail -c 3)" != PNG ]; then
			echo "README.md shows $file, which is not a PNG picture"
			exit 1
		fi
		pictures=$((pictures + 1))
		;;
	esac
done <"$work/links"
[ "$files" -gt 0 ] && [ "$pictures" -gt 0 ]
echo "$files files are there, $pictures of them pictures"
