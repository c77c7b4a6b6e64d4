// The check runner for Node.js clients, the counterpart of harness.py.
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";

const PATIENCE = 240;
const CHECKS = [];

/** Register a check of a route; `theirs` says why a failure would be the client's own. */
export function check(route, name, run, { theirs = "" } = {}) {
  CHECKS.push({ route, name, run, theirs });
}

/** Return the error that a promise has to be rejected with. */
export async function rejected(promise, kind = Error) {
  try {
    await promise;
  } catch (error) {
    assert(error instanceof kind, `${error?.constructor?.name} in place of ${kind.name}: ${error?.message}`);
    return error;
  }
  throw new assert.AssertionError({ message: `no ${kind.name} came` });
}

/** Return a promise's result and the seconds that it took. */
export async function took(run) {
  const start = performance.now();
  return [await run(), (performance.now() - start) / 1000];
}

function reason(error) {
  const words = String(error?.message ?? error).split(/\s+/).join(" ");
  return error instanceof assert.AssertionError ? words : `${error?.name ?? "error"}: ${words}`;
}

async function outcome(run, facts) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${PATIENCE} s`)), PATIENCE * 1000);
  });
  try {
    await Promise.race([run(facts), late]);
    return null;
  } catch (error) {
    console.error(error);
    return reason(error);
  } finally {
    clearTimeout(timer);
  }
}

export async function main() {
  const facts = JSON.parse(readFileSync(0, "utf8"));
  const version = JSON.parse(readFileSync(`node_modules/${facts.package}/package.json`, "utf8")).version;
  const write = (line) => appendFileSync(facts.results, JSON.stringify(line) + "\n");
  writeFileSync(facts.results, "");
  write({ version, runtime: `Node ${process.versions.node}`, checks: CHECKS.map(({ route, name }) => [route, name]) });
  for (const { route, name, run, theirs } of CHECKS) {
    console.error(`--- ${route}: ${name}`);
    const start = performance.now();
    const why = await outcome(run, facts);
    write({ route, name, reason: why, theirs, seconds: Math.round((performance.now() - start) / 10) / 100 });
  }
  process.exit(0);
}
