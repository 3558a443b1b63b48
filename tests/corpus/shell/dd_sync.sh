# Writes blocks that are each on the disk before the next.
dd if=/dev/zero of=blocks.bin bs=8k count=3000 oflag=dsync 2>/dev/null
rm blocks.bin
echo done
