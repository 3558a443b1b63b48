# A process for each file of a folder.
mkdir -p tree && cd tree || exit 1
i=0
while [ $i -lt 900 ]; do
    : > "file$i"
    i=$((i + 1))
done
find . -type f -exec test -s {} \; -print
cd .. && rm -r tree
