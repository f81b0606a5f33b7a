// How what is installed differs from what should be, in words for people. No difference: a call goes where it should.
import type { InstalledTable } from './installed.ts';
import type { EntryCounter } from './ruleset.ts';
import type { CapturedCaller, CaptureEntry, CaptureTable } from './types.ts';

export function captureDifferences(wanted: CaptureTable, installed: InstalledTable): string[] {
  const differences = [...installed.strange];
  const byName = new Map(installed.callers.map((caller) => [caller.workload, caller]));
  for (const caller of wanted.callers) {
    const found = byName.get(caller.workload);
    if (found === undefined) differences.push(`calls of ${caller.workload} are not captured`);
    else differences.push(...callerDifferences(caller, found));
  }
  for (const { workload } of installed.callers)
    if (!wanted.callers.some((caller) => caller.workload === workload))
      differences.push(`calls of ${workload} are captured and should not be`);
  const held = new Set(installed.addresses);
  const should = new Set(wanted.addresses);
  for (const address of should) if (!held.has(address)) differences.push(`${address} is not among the addresses of the mesh`);
  for (const address of held) if (!should.has(address)) differences.push(`${address} belongs to no service any more`);
  return differences;
}

function callerDifferences(wanted: CapturedCaller, found: CapturedCaller): string[] {
  const differences: string[] = [];
  if (wanted.uid !== found.uid) differences.push(`${wanted.workload} is ${user(found.uid)}, and should be ${user(wanted.uid)}`);
  const present = new Map(found.entries.map((entry) => [key(entry), entry]));
  for (const entry of wanted.entries) {
    const other = present.get(key(entry));
    present.delete(key(entry));
    const leads = `${entry.service} at ${key(entry)}, called by ${wanted.workload},`;
    if (other === undefined) differences.push(`${leads} is missing`);
    else if (!sameTarget(entry, other)) differences.push(`${leads} leads to port ${target(other)}, and should to ${target(entry)}`);
    else if (other.service !== entry.service) differences.push(`${leads} is called ${other.service}`);
  }
  for (const entry of present.values())
    differences.push(
      `${entry.service} at ${key(entry)}, called by ${wanted.workload}, leads to port ${target(entry)}, and should lead nowhere`,
    );
  return differences;
}

/** What an entry has counted so far, so that a new table goes on from there. */
export function counterIn(installed: InstalledTable): (caller: CapturedCaller, entry: CaptureEntry) => EntryCounter | undefined {
  return (caller, entry) =>
    installed.callers
      .find(({ workload }) => workload === caller.workload)
      ?.entries.find((other) => other.service === entry.service && key(other) === key(entry))?.counter;
}

function key({ address, port }: CaptureEntry): string {
  return `${address}:${port}`;
}

function target({ to }: CaptureEntry): string {
  return `${to.address}:${to.port}`;
}

function sameTarget(a: CaptureEntry, b: CaptureEntry): boolean {
  return target(a) === target(b);
}

function user(uid: number | undefined): string {
  return uid === undefined ? 'every user' : `user ${uid}`;
}
