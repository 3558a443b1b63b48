# A background job outlives the shell that started it; its output is awaited.
sh -c 'awk "BEGIN { for (i = 0; i < 22000000; i++) s = (s * 31 + i) % 1000003; print s }" &' | cat
