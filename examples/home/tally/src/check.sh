#!/bin/sh
# Counts a small folder and compares with what must come out.
set -e
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
printf 'one two\nthree\n' >"$dir/a.txt"
printf 'four\n' >"$dir/b.txt"
printf 'int main;\n' >"$dir/c.c"
mkdir "$dir/empty"
expected='     1      1      2     10  .c
     2      3      4     19  .txt
     3      4      6     29  total'
actual=$(./tally "$dir" | tail -n +2)
if [ "$actual" != "$expected" ]; then
    printf 'expected:\n%s\nfound:\n%s\n' "$expected" "$actual" >&2
    exit 1
fi
if ./tally "$dir/nothing" >/dev/null 2>&1; then
    echo "a missing folder must be an error" >&2
    exit 1
fi
