// The processes of a running `heddle up`, written to the state directory: `heddle get instances` shows their ids from it, and
// the next start ends exactly those that a supervisor and its guard both left behind (told apart by their start time).
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { groupExists, processStart, signalGroup } from './process-info.ts';

export interface ProcessRecord {
  /** `orders-1`, or `proxy` and `control`. */
  readonly name: string;
  /** `<namespace>/<service>/<instance>` of an instance. */
  readonly workload?: string;
  readonly pid: number;
  /** See `processStart`. */
  readonly start: string;
}

const FILE = 'processes.json';
const TERM_GRACE_MS = 3_000;
const POLL_MS = 50;

export class ProcessFile {
  readonly #path: string;
  readonly #records = new Map<string, ProcessRecord>();

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, FILE);
  }

  set(name: string, pid: number | undefined, workload?: string): void {
    const start = pid === undefined ? undefined : processStart(pid);
    if (pid === undefined || start === undefined) {
      if (!this.#records.delete(name)) return;
    } else {
      this.#records.set(name, { name, ...(workload === undefined ? {} : { workload }), pid, start });
    }
    const temporary = `${this.#path}.new`;
    writeFileSync(temporary, `${JSON.stringify([...this.#records.values()], null, 1)}\n`, { mode: 0o600 });
    renameSync(temporary, this.#path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

/** The recorded processes that still live. A missing or damaged file means none. */
export function readProcesses(stateDirectory: string): ProcessRecord[] {
  try {
    const value: unknown = JSON.parse(readFileSync(join(stateDirectory, FILE), 'utf8'));
    if (!Array.isArray(value)) return [];
    return value.filter(isRecord).filter((record) => processStart(record.pid) === record.start);
  } catch {
    return [];
  }
}

function isRecord(value: unknown): value is ProcessRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { name, pid, start } = value as Record<string, unknown>;
  // 0 and 1 as a group would mean "my own" and "everyone".
  return typeof name === 'string' && Number.isSafeInteger(pid) && (pid as number) > 1 && typeof start === 'string';
}

/** Ends what an earlier supervisor left. Returns the records, for a message. */
export async function endLeftovers(stateDirectory: string): Promise<ProcessRecord[]> {
  const records = readProcesses(stateDirectory);
  for (const { pid } of records) signalGroup(pid, 'SIGTERM');
  const deadlineMs = performance.now() + TERM_GRACE_MS;
  let left = records;
  for (;;) {
    left = left.filter(({ pid }) => groupExists(pid));
    if (left.length === 0 || performance.now() > deadlineMs) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  for (const { pid } of left) signalGroup(pid, 'SIGKILL');
  rmSync(join(stateDirectory, FILE), { force: true });
  return records;
}
