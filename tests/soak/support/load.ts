// Many requests over few connections that stay: by h2load where it is installed, else by Node's own clients.
import { spawn, spawnSync } from 'node:child_process';
import { Agent, get } from 'node:http';
import { connect } from 'node:http2';

export interface LoadPlan {
  readonly port: number;
  readonly how: 'http1' | 'http2';
  readonly requests: number;
}

const H2LOAD = 'h2load';
const HTTP1_CONNECTIONS = 32;
const [HTTP2_CONNECTIONS, HTTP2_STREAMS] = [4, 16];
const PATH = '/orders/17?x=1';

export const hasH2load: boolean = spawnSync(H2LOAD, ['--version'], { stdio: 'ignore' }).status === 0;

/** Resolves to how many were answered with 2xx. */
export function sendLoad(plan: LoadPlan): Promise<number> {
  if (hasH2load) return byH2load(plan);
  return plan.how === 'http1' ? byNodeHttp1(plan) : byNodeHttp2(plan);
}

async function byH2load({ port, how, requests }: LoadPlan): Promise<number> {
  const shape = how === 'http1' ? ['--h1', `-c${HTTP1_CONNECTIONS}`] : [`-c${HTTP2_CONNECTIONS}`, `-m${HTTP2_STREAMS}`];
  const child = spawn(H2LOAD, ['-t1', ...shape, `-n${requests}`, `http://127.0.0.1:${port}${PATH}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  await new Promise((resolve) => child.once('close', resolve));
  const answered = /status codes: (\d+) 2xx/.exec(text)?.[1];
  if (answered === undefined) throw new Error(`h2load said nothing of its requests: ${text.slice(-500)}`);
  return Number(answered);
}

async function byNodeHttp1({ port, requests }: LoadPlan): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: HTTP1_CONNECTIONS });
  const ask = (): Promise<boolean> =>
    new Promise((resolve) => {
      get({ port, host: '127.0.0.1', path: PATH, agent }, (response) => {
        response.resume().once('close', () => resolve(response.complete && response.statusCode === 200));
      }).once('error', () => resolve(false));
    });
  const answered = await inTurn(requests, HTTP1_CONNECTIONS, ask);
  agent.destroy();
  return answered;
}

async function byNodeHttp2({ port, requests }: LoadPlan): Promise<number> {
  const session = connect(`http://127.0.0.1:${port}`).on('error', () => {});
  const ask = (): Promise<boolean> =>
    new Promise((resolve) => {
      const stream = session.request({ ':path': PATH });
      let status: unknown;
      stream.on('response', (headers) => (status = headers[':status']));
      stream
        .on('error', () => {})
        .resume()
        .once('close', () => resolve(status === 200));
    });
  const answered = await inTurn(requests, HTTP2_CONNECTIONS * HTTP2_STREAMS, ask);
  session.destroy();
  return answered;
}

/** How many were true. */
export async function inTurn(count: number, atOnce: number, ask: (index: number) => Promise<boolean>): Promise<number> {
  let next = 0;
  let answered = 0;
  const worker = async (): Promise<void> => {
    while (next < count) if (await ask(next++)) answered += 1;
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return answered;
}
