# Cuts and joins strings in the shell itself.
text="the quick brown fox jumps over the lazy dog"
count=0
for ((i = 0; i < 60000; i++)); do
    words=($text)
    for word in "${words[@]}"; do
        [[ ${word^^} == *O* ]] && count=$((count + ${#word}))
    done
done
echo $count
