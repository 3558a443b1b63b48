#!/bin/sh
# Three lines, by hand.
set -eu
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
printf '/a/b.log,10,200\n/a/c.log,5,404\n/d.log,1,500\n' > "$folder/in.csv"
sh report.sh "$folder/in.csv" > "$folder/out"
printf 'b.log in /a: 200\nc.log in /a: 404\nd.log in /: 500\n3 lines, 16 bytes\n' > "$folder/expected"
cmp "$folder/out" "$folder/expected"
echo "1 passed"
