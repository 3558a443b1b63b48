# Two jobs side by side; one is finished soon.
job() {
    python3 -c "
total = 0
for number in range($1):
    total = (total * 31 + number) % 1000003
print(total)"
}
job 1500000 &
job 13000000 &
wait
