// The module "k6/http", whose calls wait for their answers: a thread asks, this one sleeps meanwhile.

import { MessageChannel, Worker, receiveMessageOnPort } from "node:worker_threads";

const { port1: answers, port2: port } = new MessageChannel();
const answered = new Int32Array(new SharedArrayBuffer(4));
const asker = new Worker(new URL("./asker.mjs", import.meta.url), { workerData: { port, answered }, transferList: [port] });

function post(url, body, params) {
  asker.postMessage({ url, body, headers: params.headers });
  Atomics.wait(answered, 0, 0);
  Atomics.store(answered, 0, 0);
  return receiveMessageOnPort(answers).message;
}

export default { post };
