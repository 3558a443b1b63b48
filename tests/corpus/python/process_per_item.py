"""Handles every item in a process of its own."""
import multiprocessing


def handle(item, answers):
    answers.put(item * item)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    total = 0
    for item in range(600):
        process = context.Process(target=handle, args=(item, answers))
        process.start()
        total += answers.get()
        process.join()
    print(total)
