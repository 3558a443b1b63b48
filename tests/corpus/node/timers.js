// Waits between tries, as a poller does.
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

(async () => {
  let tries = 0;
  for (; tries < 12; tries++) await pause(100);
  console.log(tries);
})();
