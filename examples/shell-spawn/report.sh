#!/bin/sh
# Usage: report.sh FILE
# Sums up a log of lines "path,bytes,status" by the file's name, with several processes for every line.
total=0
lines=0
while read -r line; do
    path=$(echo "$line" | cut -d, -f1)
    bytes=$(echo "$line" | cut -d, -f2)
    status=$(echo "$line" | cut -d, -f3)
    name=$(basename "$path")
    folder=$(dirname "$path")
    lines=$(expr $lines + 1)
    total=$(expr $total + $bytes)
    echo "$name in $folder: $status"
done < "$1"
echo "$lines lines, $total bytes"
