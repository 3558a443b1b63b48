"""A pattern that backtracks exponentially."""
import re

print(re.match(r"(a|aa)+$", "a" * 35 + "b"))
