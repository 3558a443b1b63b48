# Steps that each wait for something for a fixed time.
for step in 1 2 3 4 5; do
    sleep 0.25
done
echo done
