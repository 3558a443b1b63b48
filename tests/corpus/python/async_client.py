"""Starts the service beside this file and asks it over twelve connections at once."""
import asyncio
import pathlib
import subprocess
import sys

service = subprocess.Popen(
    [sys.executable, str(pathlib.Path(__file__).with_name("async_service.py"))], stdout=subprocess.PIPE, text=True
)


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = 0
    for _ in range(18):
        writer.write(b"question\n")
        answers += await reader.readline() == b"answer\n"
    writer.close()
    return answers


async def main(port):
    print(sum(await asyncio.gather(*(ask(port) for _ in range(12)))))


try:
    asyncio.run(main(int(service.stdout.readline())))
finally:
    service.kill()
    service.wait()
