# Copies with a block size of one byte.
dd if=/dev/zero of=/dev/null bs=1 count=2500000 2>/dev/null
