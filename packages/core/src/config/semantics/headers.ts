// What `headers` changes: names that may be changed, values that a header can have, nothing said twice.
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { checkChangeable, HeaderValue } from '../../routing/header-changes.ts';
import { arrayOf, compileFault, recordOf, type Raw } from './raw.ts';

/** @param path of `headers`. */
export function checkHeaderChanges(headers: unknown, path: Path): Fault[] {
  return ['request', 'response'].flatMap((side) => {
    const changes = recordOf(headers)[side];
    return isRecord(changes) ? checkSide(changes, [...path, side]) : [];
  });
}

function checkSide(changes: Raw, path: Path): Fault[] {
  const removed = new Set<string>();
  const faults = arrayOf(changes['remove']).flatMap((name, index): Fault[] =>
    typeof name === 'string' ? checkOne(name, removed, [...path, 'remove', index], 'value') : [],
  );
  for (const key of ['set', 'add']) {
    // A header may be set, and a second value of it added.
    const changed = new Set(removed);
    for (const [name, value] of Object.entries(recordOf(changes[key]))) {
      const at = [...path, key, name];
      const found = checkOne(name, changed, at, 'key');
      faults.push(...found);
      if (found.length === 0 && typeof value === 'string') faults.push(...compileFault(at, () => new HeaderValue(value)));
    }
  }
  return faults;
}

/** @param changed names that are changed already, in lower case; this one is added. */
function checkOne(name: string, changed: Set<string>, path: Path, on: Fault['on']): Fault[] {
  const lower = name.toLowerCase();
  if (changed.has(lower))
    return [{ path, on, reason: `${shown(name)} is changed twice`, mend: 'decide for one; "set" replaces what was there' }];
  changed.add(lower);
  return name === '' ? [] : compileFault(path, () => checkChangeable(name)).map((fault) => ({ ...fault, on }));
}
