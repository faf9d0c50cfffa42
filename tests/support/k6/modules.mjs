// Puts the modules of this folder in the place of k6's own.

const OURS = { k6: "./k6.mjs", "k6/http": "./http.mjs", "k6/metrics": "./metrics.mjs" };
let script = "";

export function initialize(data) {
  script = data.script;
}

export function resolve(specifier, context, next) {
  return specifier in OURS
    ? { url: new URL(OURS[specifier], import.meta.url).href, shortCircuit: true }
    : next(specifier, context);
}

export function load(url, context, next) {
  return next(url, url === script ? { ...context, format: "module" } : context); // no package.json says so
}
