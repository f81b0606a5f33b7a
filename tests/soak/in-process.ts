// `npm run soak -- in-process`: a million calls by fetch, node:http and grpc-js with the data plane inside, while endpoints come and go. What is held after
// all garbage was collected must be the same at the end as after a fifth.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface InProcessOptions {
  readonly calls: number;
  readonly changes: number;
  readonly say: (line: string) => void;
}

/** After a full collection of garbage. */
export interface InProcessSample {
  readonly calls: number;
  readonly changes: number;
  readonly failed: number;
  readonly lastFailure?: string;
  readonly heapMb: number;
  readonly outsideMb: number;
  readonly residentMb: number;
  readonly sockets: number;
}

export interface InProcessReport {
  readonly samples: readonly InProcessSample[];
  readonly exitCode: number | null;
}

const PROGRAM = fileURLToPath(new URL('./support/inside-program.ts', import.meta.url));
const HEAP_SLACK_MB = 3;
const SOCKETS_SLACK = 8;

export async function runInProcess({ calls, changes, say }: InProcessOptions): Promise<InProcessReport> {
  const child = spawn(process.execPath, ['--conditions=heddle-source', '--expose-gc', PROGRAM, String(calls), String(changes)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const samples: InProcessSample[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    samples.push(JSON.parse(line) as InProcessSample);
    say(line);
  }
  process.off('exit', kill);
  return { samples, exitCode: await ended };
}

export function inProcessProblems({ samples, exitCode }: InProcessReport): string[] {
  const [warm, end] = [samples[1], samples.at(-1)];
  if (exitCode !== 0 || warm === undefined || end === undefined || end === warm)
    return [`the program ended with ${exitCode} after ${samples.length} reports`];
  const problems: string[] = [];
  if (end.failed > 0) problems.push(`${end.failed} of ${end.calls} calls failed, at last: ${end.lastFailure}`);
  if (end.heapMb > warm.heapMb + HEAP_SLACK_MB)
    problems.push(`objects: ${end.heapMb.toFixed(1)} MB at the end, ${warm.heapMb.toFixed(1)} MB after a fifth`);
  if (end.outsideMb > warm.outsideMb + HEAP_SLACK_MB)
    problems.push(`buffers: ${end.outsideMb.toFixed(1)} MB at the end, ${warm.outsideMb.toFixed(1)} MB after a fifth`);
  if (end.sockets > warm.sockets + SOCKETS_SLACK) problems.push(`${end.sockets} sockets at the end, ${warm.sockets} after a fifth`);
  return problems;
}
