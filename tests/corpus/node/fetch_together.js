// Starts the service beside this file and fetches in batches of twenty at once.
const { fork } = require("child_process");
const path = require("path");

const service = fork(path.join(__dirname, "service.js"));
service.once("message", async (port) => {
  let bytes = 0;
  for (let batch = 0; batch < 35; batch++) {
    const texts = Array.from({ length: 8 }, async (_, number) =>
      (await fetch(`http://127.0.0.1:${port}/${batch}/${number}`)).text());
    bytes += (await Promise.all(texts)).join("").length;
  }
  console.log(bytes);
  service.kill();
});
