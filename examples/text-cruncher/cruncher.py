"""A report over a corpus of log lines: usage: cruncher.py [LINES]"""

import re
import sys


def corpus(count):
    """Log lines, the same for every run."""
    state = 12345
    for number in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        user = "user%d" % (state // 3 % 1200)
        path = "/%s/%d" % (("home", "cart", "item", "search")[state // 7 % 4], state // 11 % 50)
        yield "%06d %s GET %s %d" % (number, user, path, state // 13 % 900)


def distinct_users(lines):
    """Users in order of their first visit."""
    seen = []
    for line in lines:
        user = line.split(" ")[1]
        if user not in seen:
            seen.append(user)
    return seen


def schedule(lines, workers):
    """Hands requests out in turn; answers with the load of each worker."""
    queue = []
    for line in lines:
        cost = int(line.rsplit(" ", 1)[1])
        queue.append(cost)
        queue.append(cost // 2)
    loads = [0] * workers
    turn = 0
    while queue:
        cost = queue.pop(0)
        loads[turn % workers] += cost
        turn += 1
    return loads


def sections(lines):
    """Requests per section of the site."""
    counts = {}
    for name in ("home", "cart", "item", "search"):
        pattern = re.compile(r" GET /(home|cart|item|search)/")
        for line in lines[:200]:
            match = pattern.search(line)
            if match and match.group(1) == name:
                counts[name] = counts.get(name, 0) + 1
    return counts


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    lines = list(corpus(count))
    users = distinct_users(lines)
    print("users:", len(users), "first:", users[0], "last:", users[-1])
    print("loads:", schedule(lines, 4))
    for name, hits in sorted(sections(lines).items()):
        print("section %s: %d" % (name, hits))


if __name__ == "__main__":
    main()
