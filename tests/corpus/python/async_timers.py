"""Many tasks that only wait for their timers."""
import asyncio


async def task(number):
    for _ in range(10):
        await asyncio.sleep(0.09 + number % 7 / 250)
    return number


async def main():
    print(sum(await asyncio.gather(*(task(number) for number in range(40)))))


asyncio.run(main())
