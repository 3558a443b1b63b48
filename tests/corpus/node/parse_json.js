// Parses and rewrites documents.
const text = JSON.stringify(Array.from({ length: 20000 }, (_, i) => ({ id: i, name: `item ${i}`, tags: [i % 7, i % 11] })));
let total = 0;
for (let round = 0; round < 50; round++) {
  const rows = JSON.parse(text).filter((row) => row.tags[0] !== round % 7);
  total += JSON.stringify(rows).length;
}
console.log(total);
