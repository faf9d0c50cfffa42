// The module "k6"; nobody thinks here for longer than a hundredth of a second.

import { found } from "./found.mjs";

const cell = new Int32Array(new SharedArrayBuffer(4));

export function check(value, sets) {
  return Object.entries(sets).every(([name, holds]) => {
    const count = (found.checks[name] ??= { passes: 0, fails: 0 });
    const passed = Boolean(holds(value));
    count[passed ? "passes" : "fails"] += 1;
    return passed;
  });
}

export function sleep(seconds) {
  Atomics.wait(cell, 0, 0, Math.min(seconds * 1000, 10));
}
