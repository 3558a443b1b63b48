"""Saves its state after every step, durably."""
import json
import os

state = {"step": 0, "seen": list(range(30))}
for step in range(250):
    state["step"] = step
    with open("state.tmp", "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace("state.tmp", "state.json")
os.remove("state.json")
print(state["step"])
