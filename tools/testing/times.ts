// How long each process of the last run of all tests took, kept beside the caches: the longest begins first, so that no processor is idle at the end.
// A reporter of Node's test runner, which shows nothing.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { TestEvent } from 'node:test/reporters';
import { processOf, type TestProcess } from './groups.ts';

const FILE = resolve(import.meta.dirname, '../../node_modules/.cache/heddle-test-times.json');

/** What is assumed of a file that has not run yet: those under `tests/` start programs and wait for them. */
const UNKNOWN_MS = { end: 10_000, unit: 500 };

export type TestTimes = Readonly<Record<string, number>>;

/** Empty where nothing is known. */
export function readTimes(): TestTimes {
  try {
    const read = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, unknown>;
    return Object.fromEntries(Object.entries(read).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
  } catch {
    return {};
  }
}

export function longestFirst(processes: readonly TestProcess[], times: TestTimes): TestProcess[] {
  const expectedMs = ({ name, files }: TestProcess): number =>
    times[name] ?? files.reduce((sum, file) => sum + (file.startsWith('tests/') ? UNKNOWN_MS.end : UNKNOWN_MS.unit), 0);
  return processes.toSorted((left, right) => expectedMs(right) - expectedMs(left));
}

/** What the runner takes as a reporter. */
export default async function* keepTimes(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const times: Record<string, number> = {};
  for await (const { type, data } of events) {
    if (type !== 'test:complete' || data.nesting !== 0) continue;
    const name = processOf(data.name);
    if (name !== undefined) times[name] = Math.round(data.details.duration_ms);
  }
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(FILE, `${JSON.stringify({ ...readTimes(), ...times }, undefined, 1)}\n`);
  yield '';
}
