// Runs a tool for each item.
const { execFileSync } = require("child_process");
let sum = 0;
for (let number = 0; number < 500; number++) {
  sum += Number(execFileSync("expr", [String(number), "+", "1"]));
}
console.log(sum);
