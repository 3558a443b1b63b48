"""An asynchronous service that takes 60 ms for an answer; it prints its port."""
import asyncio


async def answer(reader, writer):
    while await reader.readline():
        await asyncio.sleep(0.06)
        writer.write(b"answer\n")
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
