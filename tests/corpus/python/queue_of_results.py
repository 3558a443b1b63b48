"""The main process takes results from a queue; a worker process computes them."""
import multiprocessing


def produce(results):
    for item in range(120):
        value = item
        for step in range(200000):
            value = (value * 31 + step) % 1000003
        results.put(value)
    results.put(None)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    worker = context.Process(target=produce, args=(results,))
    worker.start()
    total = 0
    while (value := results.get()) is not None:
        total += value
    worker.join()
    print(total)
