# Arithmetic and associative arrays in awk.
awk 'BEGIN { for (i = 0; i < 9000000; i++) { s = (s * 31 + i) % 1000003; seen[s % 1000]++ } print s, length(seen) }'
