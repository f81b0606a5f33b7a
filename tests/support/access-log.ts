// The lines of an access log in JSON, while it is written.
import { readFile } from 'node:fs/promises';
import { Hopeless, waitFor } from './wait.ts';

export interface AccessLogLine {
  readonly direction: string;
  readonly source: string;
  readonly destination: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly traceId: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** All lines of one trace, once there are `count` of them; throws when there are not in time, or more. */
export function linesOfTrace(path: string, traceId: string, count: number): Promise<readonly AccessLogLine[]> {
  return waitFor(`${count} lines`, async () => {
    const lines = (await readFile(path, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AccessLogLine)
      .filter((line) => line.traceId === traceId);
    if (lines.length > count) throw new Hopeless(`${lines.length} lines in place of ${count}`);
    return lines.length === count && lines;
  });
}
