// `heddle restart`: asks the running `heddle up` to restart a service or one instance without losing a call. Steps go to standard error, the result
// to standard output.
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { readStateFile, requireStateDirectory } from '../state-directory.ts';
import type { RestartLine, RestartWish } from '../up/door.ts';
import { readUpInfo } from '../up/lock.ts';
import type { RollingStep } from '../up/rolling.ts';

export interface RestartOptions {
  /** Milliseconds. */
  readonly timeout: number;
  readonly force: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

const LOOPBACK = '127.0.0.1';

export async function restart(name: string, { timeout, force, output, stateDir }: RestartOptions): Promise<ExitCode> {
  const directory = requireStateDirectory(stateDir);
  const startMs = performance.now();
  const steps: RollingStep[] = [];
  let outcome = 'failed';
  for await (const line of ask(directory, { name, tellMs: timeout, force })) {
    if ('outcome' in line) {
      ({ outcome } = line);
      continue;
    }
    steps.push(line);
    process.stderr.write(`${line.instance} ${line.message}\n`);
  }
  const healthy = steps.filter(({ step }) => step === 'healthy').map(({ instance }) => instance);
  const failed = steps.find(({ step }) => step === 'failed');
  const seconds = Math.round(performance.now() - startMs) / 1_000;
  if (output !== 'table') {
    const failure = failed === undefined ? {} : { failed: { instance: failed.instance, reason: failed.message } };
    process.stdout.write(formatData({ outcome, restarted: healthy, ...failure, seconds }, output));
  } else if (outcome === 'complete') process.stdout.write(`restarted ${healthy.join(', ')} in ${seconds.toFixed(1)} s\n`);
  else process.stdout.write(`stopped at ${failed?.instance ?? name}${healthy.length === 0 ? '' : `; restarted ${healthy.join(', ')}`}\n`);
  return outcome === 'complete' ? 0 : 1;
}

/** The lines of the answer. Throws CliError. */
async function* ask(directory: string, wish: RestartWish): AsyncGenerator<RestartLine, undefined> {
  const port = readUpInfo(directory)?.doorPort;
  const token = readStateFile(directory, 'operator.token');
  if (port === undefined || token === undefined)
    throw new CliError(
      `no \`heddle up\` runs with ${directory}`,
      'a process of `heddle run` is restarted by stopping it with Ctrl-C and starting it again: it leaves rotation first',
    );
  const response = await call(port, token, JSON.stringify(wish)).catch((error: Error) => {
    throw new CliError(`the \`heddle up\` of ${directory} does not answer (${error.message})`, 'see whether it still runs', {
      cause: error,
    });
  });
  response.setEncoding('utf8');
  if (response.statusCode !== 200) {
    let text = '';
    for await (const piece of response as AsyncIterable<string>) text += piece;
    throw new CliError(reasonOf(text));
  }
  for await (const line of createInterface({ input: response })) yield JSON.parse(line) as RestartLine;
}

function call(port: number, token: string, body: string): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const sent = request({ host: LOOPBACK, port, method: 'POST', path: '/restart', headers, agent: false }, resolve);
    sent.on('error', reject);
    sent.end(body);
  });
}

function reasonOf(text: string): string {
  try {
    return (JSON.parse(text) as { readonly error: string }).error;
  } catch {
    return text.slice(0, 500);
  }
}
