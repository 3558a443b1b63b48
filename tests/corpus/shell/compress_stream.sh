# A stream of data through a compressor.
seq 1 4500000 | gzip -6 | wc -c
