# Readers at the end of a pipeline whose head reports now and then.
{
    for i in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.12
        echo "step $i"
    done
} | cat | grep -c step
