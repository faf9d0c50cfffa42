// What a run came to: by name of the check or the metric.

/** @type {{checks: Record<string, {passes: number, fails: number}>, metrics: Record<string, number[]>}} */
export const found = { checks: {}, metrics: {} };
