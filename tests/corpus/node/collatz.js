// The longest Collatz sequence below a limit.
let best = 0, longest = 0;
for (let start = 1; start < 1500000; start++) {
  let value = start, steps = 0;
  while (value !== 1) {
    value = value % 2 === 0 ? value / 2 : 3 * value + 1;
    steps++;
  }
  if (steps > longest) { best = start; longest = steps; }
}
console.log(best, longest);
