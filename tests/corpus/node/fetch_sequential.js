// Starts the service beside this file and awaits one fetch after the other.
const { fork } = require("child_process");
const path = require("path");

const service = fork(path.join(__dirname, "service.js"));
service.once("message", async (port) => {
  let bytes = 0;
  for (let number = 0; number < 40; number++) {
    const answer = await fetch(`http://127.0.0.1:${port}/item/${number}`);
    bytes += (await answer.text()).length;
  }
  console.log(bytes);
  service.kill();
});
