"""Inserts rows into a database with a commit after each."""
import os
import sqlite3

if os.path.exists("rows.db"):
    os.remove("rows.db")
database = sqlite3.connect("rows.db")
database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT)")
for number in range(500):
    with database:
        database.execute("INSERT INTO rows (name) VALUES (?)", (f"name {number}",))
print(database.execute("SELECT count(*) FROM rows").fetchone()[0])
database.close()
os.remove("rows.db")
