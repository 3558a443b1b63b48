# Three independent computing jobs, started one after the other.
for seed in 1 2 3; do
    python3 -c "
total = $seed
for number in range(4500000):
    total = (total * 31 + number) % 1000003
print(total)"
done
