// The module "k6/metrics".

import { found } from "./found.mjs";

class Metric {
  constructor(name) {
    this.values = found.metrics[name] = [];
  }

  add(value) {
    this.values.push(value);
  }
}

export { Metric as Counter, Metric as Trend };
