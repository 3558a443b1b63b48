"""Three processes number their results under one lock, and compute them under it as well."""
import multiprocessing


def work(lock, counter):
    for _ in range(50):
        with lock:
            value = counter.value
            for step in range(180000):
                value = (value * 31 + step) % 1000003
            counter.value = value


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    lock, counter = context.Lock(), context.Value("l", 1, lock=False)
    processes = [context.Process(target=work, args=(lock, counter)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(counter.value)
