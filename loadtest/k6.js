// Users of a gateway, for k6: `k6 run loadtest/k6.js`, with the variables of locustfile.py and
//
//   FASTGATE_LOADTEST_USERS     at a time (20)
//   FASTGATE_LOADTEST_SECONDS   at most (30)
//
// What they do, and the thresholds, are those of scenarios.json, as for locust; requests of all scenarios together are at
// most FASTGATE_LOADTEST_REQUESTS. k6 hands a body over when it is complete, so that it cannot tell the pieces of a stream
// apart: `first_byte` is that of the head, and `per_piece` the time of the body by the number of its pieces.

import { check, sleep } from "k6";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

const BASE = __ENV.FASTGATE_LOADTEST_URL || "http://127.0.0.1:8080";
const KEY = __ENV.FASTGATE_LOADTEST_KEY;
const DRY_KEY = __ENV.FASTGATE_LOADTEST_DRY_KEY || "";
const USERS = Number(__ENV.FASTGATE_LOADTEST_USERS || 20);
const SECONDS = Number(__ENV.FASTGATE_LOADTEST_SECONDS || 30);
const REQUESTS = Number(__ENV.FASTGATE_LOADTEST_REQUESTS || 10000);
const WANTED = JSON.parse(open(__ENV.FASTGATE_LOADTEST_SCENARIOS || "./scenarios.json"));

const TOOL = "read_file";
const DESCRIPTION = "Reads a file of the project.";
const PARAMETERS = { type: "object", properties: { path: { type: "string" } }, required: ["path"] };
const WORDS = "the quick brown fox jumps over the lazy dog and writes a test that fails without its change ";
const FIGURES =
  /limit \$([\d.]+), spent \$([\d.]+), held by open requests \$([\d.]+), and this request may cost up to \$([\d.]+\d)/;

const firstByte = new Trend("first_byte", true);
const perPiece = new Trend("per_piece", true);
const refused = new Counter("refused");

// ---- how many do what, and what may not be exceeded

/** @param {string} exec @param {number} share of users and requests @param {number} each requests of an iteration at most */
function scenario(exec, share, each = 1) {
  const vus = Math.max(1, Math.round(USERS * share));
  const iterations = Math.max(vus, Math.floor((REQUESTS * share) / each));
  return { executor: "shared-iterations", exec, vus, iterations, maxDuration: `${SECONDS}s`, gracefulStop: "30s" };
}

const sum = WANTED.users.chat + WANTED.users.stream + WANTED.users.agent;

export const options = {
  scenarios: {
    chat: scenario("chat", WANTED.users.chat / sum),
    stream: scenario("stream", WANTED.users.stream / sum),
    agent: scenario("agent", WANTED.users.agent / sum, WANTED.turns.most),
    ...(DRY_KEY ? { spend: { ...scenario("spend", 1 / (USERS + 1)), vus: 1 } } : {}),
  },
  thresholds: {
    checks: ["rate==1"],
    "http_req_duration{scenario:chat}": [`p(95)<=${WANTED.thresholds_ms.chat_p95}`],
    first_byte: [`p(95)<=${WANTED.thresholds_ms.first_token_p95}`],
    per_piece: [`p(95)<=${WANTED.thresholds_ms.longest_gap_p95}`],
    ...(DRY_KEY ? { refused: ["count>0"] } : {}),
  },
};

// ---- both APIs: what is sent, what is read, what comes next

/**
 * @typedef {{id: string, name: string, arguments: string}} Call
 * @typedef {{promptTokens: number, outputTokens: number}} Counted
 * @typedef {Counted & {text: string, calls: Call[], pieces: number, isComplete: boolean}} Answer
 */

const openai = {
  name: "openai",
  path: "/v1/chat/completions",
  session: "x-session-id",
  /** @param {string} key @returns {Record<string, string>} */
  headers: (key) => ({ authorization: `Bearer ${key}` }),
  tools: {
    tools: [{ type: "function", function: { name: TOOL, description: DESCRIPTION, parameters: PARAMETERS } }],
    stream_options: { include_usage: true },
  },
  /** @param {any} document @param {Answer} answer */
  whole(document, answer) {
    answer.text = document.choices[0].message.content;
    openai.count(document.usage, answer);
  },
  /** @param {any} event @param {Answer} answer */
  event(event, answer) {
    if (event.usage) openai.count(event.usage, answer);
    const delta = event.choices.length ? event.choices[0].delta : {};
    answer.text += delta.content || "";
    for (const piece of delta.tool_calls || []) {
      if (piece.id) answer.calls.push({ id: piece.id, name: piece.function.name, arguments: "" });
      answer.calls[piece.index].arguments += piece.function.arguments || "";
    }
    if (delta.content || delta.tool_calls) answer.pieces += 1;
  },
  /** @param {any} usage @param {Answer} answer */
  count(usage, answer) {
    answer.promptTokens = usage.prompt_tokens;
    answer.outputTokens = usage.completion_tokens;
  },
  /** @param {Answer} answer @param {string} said */
  next(answer, said) {
    if (!answer.calls.length) return [{ role: "assistant", content: answer.text }, { role: "user", content: said }];
    const calls = answer.calls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.name, arguments: call.arguments },
    }));
    const results = answer.calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: said }));
    return [{ role: "assistant", content: answer.text, tool_calls: calls }, ...results];
  },
  /** @param {any} document */
  isRefusal: (document) => document.error.type === "insufficient_quota" && document.error.code === "insufficient_quota",
};

const anthropic = {
  name: "anthropic",
  path: "/v1/messages",
  session: "x-claude-code-session-id",
  /** @param {string} key @returns {Record<string, string>} */
  headers: (key) => ({ "x-api-key": key, "anthropic-version": "2023-06-01" }),
  tools: { tools: [{ name: TOOL, description: DESCRIPTION, input_schema: PARAMETERS }] },
  /** @param {any} document @param {Answer} answer */
  whole(document, answer) {
    for (const block of document.content) answer.text += block.text || "";
    anthropic.count(document.usage, answer);
  },
  /** @param {any} event @param {Answer} answer */
  event(event, answer) {
    if (event.type === "message_start") {
      anthropic.count(event.message.usage, answer);
    } else if (event.type === "message_delta") {
      answer.outputTokens = event.usage.output_tokens;
    } else if (event.type === "message_stop") {
      answer.isComplete = true;
    } else if (event.type === "content_block_start" && event.content_block.type === "tool_use") {
      answer.calls.push({ id: event.content_block.id, name: event.content_block.name, arguments: "" });
    } else if (event.type === "content_block_delta") {
      answer.text += event.delta.text || "";
      if (event.delta.partial_json) answer.calls[answer.calls.length - 1].arguments += event.delta.partial_json;
      answer.pieces += 1;
    }
  },
  /** @param {any} usage @param {Answer} answer */
  count(usage, answer) {
    const cached = (usage.cache_read_input_tokens || 0) + (usage.cache_creation_input_tokens || 0);
    answer.promptTokens = usage.input_tokens + cached;
    answer.outputTokens = usage.output_tokens;
  },
  /** @param {Answer} answer @param {string} said */
  next(answer, said) {
    const blocks = answer.text ? [{ type: "text", text: answer.text }] : [];
    const calls = answer.calls.map((call) => ({
      type: "tool_use",
      id: call.id,
      name: call.name,
      input: JSON.parse(call.arguments || "{}"),
    }));
    const results = answer.calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: said }));
    return [
      { role: "assistant", content: [...blocks, ...calls] },
      { role: "user", content: results.length ? results : said },
    ];
  },
  /** @param {any} document */
  isRefusal: (document) => document.type === "error" && document.error.type === "billing_error",
};

// ---- chance

/** @param {{median: number, sigma: number, most: number}} spread log-normal */
function draw({ median, sigma, most }) {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Math.min(most, median * Math.exp(sigma * normal));
}

/** @template T @param {T[]} choices @returns {T} */
const one = (choices) => choices[Math.floor(Math.random() * choices.length)];

const unique = () => `${__VU}-${__ITER}-${Math.random().toString(36).slice(2)}`;

/** @param {number} kb words that nobody sent before */
function words(kb) {
  const size = Math.max(40, Math.round(kb * 1024));
  return `${unique()} ${WORDS.repeat(size / WORDS.length + 1)}`.slice(0, size);
}

const dialect = () => one([openai, anthropic].filter(({ name }) => Object.keys(WANTED.models[name]).length));

/** @param {string} name of a dialect */
function model(name) {
  const weighted = Object.entries(WANTED.models[name]).flatMap(([model, weight]) => Array(weight).fill(model));
  return one(weighted);
}

// ---- asking, and checking

/** @typedef {typeof openai | typeof anthropic} Dialect */

/** @param {Dialect} speaks @param {string} key @param {object} body @param {Record<string, string>} more headers */
function ask(speaks, key, body, more = {}) {
  const headers = { "content-type": "application/json", ...speaks.headers(key), ...more };
  return http.post(`${BASE}${speaks.path}`, JSON.stringify(body), { headers });
}

/** @returns {Answer} */
const nothing = () => ({ text: "", calls: [], promptTokens: 0, outputTokens: 0, pieces: 0, isComplete: false });

/** @param {boolean} holds @param {string} otherwise what is wrong */
function must(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

/**
 * What `look` finds; null, and a check that failed, where it throws.
 * @template T @param {string} what @param {() => T} look @returns {T | null}
 */
function right(what, look) {
  let found = null;
  try {
    found = look();
  } catch (error) {
    console.error(`${what}: ${error}`);
  }
  check(found, { [what]: (it) => it !== null });
  return found;
}

/** @param {Dialect} speaks @param {import("k6/http").Response} response */
function readWhole(speaks, response) {
  must(response.status === 200, `${response.status} ${response.error} ${response.body}`);
  const answer = nothing();
  speaks.whole(JSON.parse(String(response.body)), answer);
  must(answer.text !== "" && answer.outputTokens > 0, `it says nothing: ${response.body}`);
  return answer;
}

/** @param {Dialect} speaks @param {import("k6/http").Response} response */
function readStream(speaks, response) {
  must(response.status === 200, `${response.status} ${response.error} ${response.body}`);
  const answer = nothing();
  for (const line of String(response.body).split("\n").filter((line) => line.startsWith("data:"))) {
    const data = line.slice("data:".length).trim();
    if (data === "[DONE]") {
      answer.isComplete = true;
    } else {
      const event = JSON.parse(data);
      must(!("error" in event), `the stream ends with an error: ${data}`);
      speaks.event(event, answer);
    }
  }
  must(answer.isComplete && answer.pieces > 0, `the stream breaks off after ${answer.text.length} characters`);
  firstByte.add(response.timings.waiting);
  perPiece.add(response.timings.receiving / answer.pieces);
  return answer;
}

/** @param {string} usd a decimal @returns {number} nano-USD, exact up to nine million USD */
function nano(usd) {
  const [whole, places = ""] = usd.split(".");
  return Number(whole + places.padEnd(9, "0"));
}

// ---- what users do

/** @param {typeof WANTED.asking} habit */
const think = (habit) => sleep(draw(habit.think_seconds));

/** @param {Dialect} speaks @param {typeof WANTED.asking} habit @param {boolean} stream */
const oneTurn = (speaks, habit, stream) => ({
  model: model(speaks.name),
  max_tokens: habit.max_tokens,
  stream,
  messages: [{ role: "user", content: words(draw(habit.prompt_kb)) }],
});

export function chat() {
  const speaks = dialect();
  const response = ask(speaks, KEY, oneTurn(speaks, WANTED.asking, false));
  right(`chat ${speaks.name}`, () => readWhole(speaks, response));
  think(WANTED.asking);
}

export function stream() {
  const speaks = dialect();
  const response = ask(speaks, KEY, oneTurn(speaks, WANTED.asking, true));
  right(`stream ${speaks.name}`, () => readStream(speaks, response));
  think(WANTED.asking);
}

export function agent() {
  const speaks = dialect();
  const turns = Math.max(2, Math.round(draw(WANTED.turns)));
  const calls = Array.from({ length: turns - 1 }, (_, turn) => ({ name: TOOL, arguments: { path: `src/${turn}.py` } }));
  const script = WANTED.scripted ? `sim: ${JSON.stringify({ turns: calls.map((call) => ({ tools: [call] })) })}\n` : "";
  const asked = { ...oneTurn(speaks, WANTED.asking, true), ...speaks.tools };
  const session = { [speaks.session]: unique() };
  /** @type {object[]} */
  let messages = [{ role: "user", content: script + asked.messages[0].content }];
  let promptTokens = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    const response = ask(speaks, KEY, { ...asked, messages }, session);
    const answer = right(`agent ${speaks.name}`, () => {
      const answer = readStream(speaks, response);
      must(answer.promptTokens > promptTokens, `the context did not grow from ${promptTokens} tokens`);
      return answer;
    });
    if (answer === null) return;
    promptTokens = answer.promptTokens;
    messages = [...messages, ...speaks.next(answer, words(draw(WANTED.tool_result_kb)))];
    think(WANTED.asking);
  }
}

/** Nano-USD that the dry key has left, as its only client knows it. @type {number | null} */
let left = null;

export function spend() {
  const speaks = dialect();
  const response = ask(speaks, DRY_KEY, oneTurn(speaks, WANTED.spending, false));
  right(`spend ${speaks.name}`, () => (response.status === 402 ? refuse(speaks, response) : pay(speaks, response)));
  think(WANTED.spending);
}

/** @param {Dialect} speaks @param {import("k6/http").Response} response */
function pay(speaks, response) {
  readWhole(speaks, response);
  const [cost, now] = ["X-Fastgate-Cost-Usd", "X-Fastgate-Budget-Left-Usd"].map((name) => nano(response.headers[name]));
  must(left === null || left - cost === now, `${left} were left, the answer cost ${cost}, and ${now} are left`);
  left = now;
}

/** @param {Dialect} speaks @param {import("k6/http").Response} response */
function refuse(speaks, response) {
  const document = JSON.parse(String(response.body));
  const found = FIGURES.exec(document.error.message);
  must(speaks.isRefusal(document) && response.headers["X-Fastgate-Error"] === "budget_exceeded", `402: ${response.body}`);
  must(found !== null, `402: ${response.body}`);
  const [limit, spent, held, needed] = /** @type {RegExpExecArray} */ (found).slice(1).map(nano);
  must(left === null || limit - spent === left, `${left} were left, and the refusal says: ${response.body}`);
  must(held === 0 && spent + needed > limit, `refused though what is left covers it: ${response.body}`);
  refused.add(1);
}
