/** Escape times of points; one thread computes, the virtual machine has a dozen of its own that wait. */
final class Mandelbrot {
    public static void main(String[] arguments) {
        long total = 0;
        for (int y = 0; y < 800; y++) {
            for (int x = 0; x < 800; x++) {
                double a = x / 400.0 - 1.5, b = y / 400.0 - 1.0, u = 0, v = 0;
                int steps = 0;
                while (steps < 1000 && u * u + v * v < 4) {
                    double next = u * u - v * v + a;
                    v = 2 * u * v + b;
                    u = next;
                    steps++;
                }
                total += steps;
            }
        }
        System.out.println(total);
    }
}
