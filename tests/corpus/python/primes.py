"""Counts primes by trial division."""


def is_prime(number):
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return number > 1


print(sum(is_prime(number) for number in range(450000)))
