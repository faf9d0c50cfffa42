// The thread of http.mjs: one request at a time, on one connection; headers are named as Go names them.

import http from "node:http";
import { parentPort, workerData } from "node:worker_threads";

const { port, answered } = workerData;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const named = (headers) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.replace(/(^|-)[a-z]/g, (first) => first.toUpperCase()), value]),
  );

function answer(message) {
  port.postMessage(message);
  Atomics.store(answered, 0, 1);
  Atomics.notify(answered, 0);
}

parentPort.on("message", ({ url, body, headers }) => {
  const began = performance.now();
  const failed = (error) => answer({ status: 0, error: String(error), body: "", headers: {}, timings: {} });
  const request = http.request(url, { method: "POST", headers, agent }, (response) => {
    const waiting = performance.now() - began;
    const pieces = [];
    response.on("data", (piece) => pieces.push(piece));
    response.on("error", failed);
    response.on("end", () => {
      const timings = { waiting, receiving: performance.now() - began - waiting };
      const text = Buffer.concat(pieces).toString();
      answer({ status: response.statusCode, error: "", body: text, headers: named(response.headers), timings });
    });
  });
  request.on("error", failed);
  request.end(body);
});
