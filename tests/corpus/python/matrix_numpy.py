"""Powers of a matrix."""
import numpy

matrix = numpy.random.default_rng(1).random((600, 600))
result = matrix
for _ in range(150):
    result = result @ matrix
    result /= numpy.abs(result).max()
print(round(float(result.sum()), 3) > 0)
