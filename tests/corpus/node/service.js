// A service on loopback that needs 25 ms for an answer; it tells its parent the port.
const http = require("http");
const server = http.createServer((request, response) => {
  setTimeout(() => response.end("ok"), 25);
});
server.listen(0, "127.0.0.1", () => process.send(server.address().port));
