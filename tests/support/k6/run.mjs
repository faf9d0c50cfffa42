// `node run.mjs SCRIPT ITERATIONS`: runs each scenario of a k6 script so many times, one after another, in Node.
// Of k6 it has what the script needs and no more. Prints what was found as one JSON object.

import { readFileSync } from "node:fs";
import { register } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [script, iterations] = [path.resolve(process.argv[2]), Number(process.argv[3])];

register("./modules.mjs", { parentURL: import.meta.url, data: { script: pathToFileURL(script).href } });

globalThis.__ENV = process.env;
globalThis.__VU = 1;
globalThis.__ITER = 0;
globalThis.open = (name) => readFileSync(path.resolve(path.dirname(script), name), "utf8");

const { found } = await import("./found.mjs");
const exported = await import(pathToFileURL(script).href);
for (const { exec } of Object.values(exported.options.scenarios)) {
  for (let n = 0; n < iterations; n += 1, globalThis.__ITER += 1) exported[exec]();
}
console.log(JSON.stringify({ ...found, options: exported.options }));
process.exit();
