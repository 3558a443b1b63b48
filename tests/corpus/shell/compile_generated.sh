# Compiles a large generated source file; the driver waits for the compiler proper.
i=0
while [ $i -lt 700 ]; do
    echo "double f$i(double *a, int n) { double s = $i; for (int i = 0; i < n; i++) { s += a[i] * $i; if (s > 1e9) s /= a[i % 7]; a[i] = s; } return s; }"
    i=$((i + 1))
done > generated.c
gcc -O2 -c generated.c -o generated.o
rm generated.c generated.o
echo compiled
