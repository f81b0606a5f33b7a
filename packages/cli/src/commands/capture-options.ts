// How `--workload` and `--uid` of `heddle capture` are read: each may come several times.
import { InvalidArgumentError } from 'commander';
import type { UidChoice } from '@heddle/proxy/capture';

const PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** The highest number of a user; the one above stands for "none". */
const UID_MAX = 4_294_967_294;

export function capturedWorkload(text: string, previous: readonly string[] = []): string[] {
  if (text !== 'all' && !isWorkload(text))
    throw new InvalidArgumentError('expected NAMESPACE/SERVICE/INSTANCE, for example default/web/web-1, or all.');
  return [...previous, text];
}

export function capturedUser(text: string, previous: readonly UidChoice[] = []): UidChoice[] {
  const [, workload, digits = ''] = /^(?:(.*)=)?(\d{1,10})$/.exec(text) ?? [];
  const uid = Number(digits);
  if (digits === '' || uid > UID_MAX || (workload !== undefined && !isWorkload(workload)))
    throw new InvalidArgumentError('expected UID or NAMESPACE/SERVICE/INSTANCE=UID, a number as `id -u NAME` prints it.');
  return [...previous, workload === undefined ? { uid } : { workload, uid }];
}

function isWorkload(text: string): boolean {
  const parts = text.split('/');
  return parts.length === 3 && parts.every((part) => PART.test(part));
}
