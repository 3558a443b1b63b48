# Pushes a few gigabytes through a pipe.
yes | head -c 2500000000 > /dev/null
