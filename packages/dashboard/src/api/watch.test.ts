// Against a real server, with a clock that is moved by hand.
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Api } from './http.ts';
import { type Connection, Watch, pauseMs } from './watch.ts';

const asked: (string | undefined)[] = [];
let answer: (response: ServerResponse) => void = () => {};
const server = createServer((request, response) => {
  asked.push(request.headers['last-event-id'] as string | undefined);
  answer(response);
});
const base = new Promise<string>((resolve) =>
  server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
);
before(() => base);
after(() => {
  server.close();
  server.closeAllConnections();
});

/** A watch, and what it tells; `turn` runs the pause that it has begun. */
async function watch() {
  const origin = await base;
  const timers = new Map<number, { readonly run: () => void; readonly ms: number }>();
  const told: string[] = [];
  const connections: Connection[] = [];
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const api = new Api({
    token: () => 't',
    onRefused: () => (told.push('refused'), wake()),
    fetch: (path, init) => fetch(`${origin}${String(path)}`, init),
  });
  let id = 0;
  const one = new Watch({
    api,
    path: '/watch',
    query: { kinds: 'a,b' },
    machine: {
      nowMs: () => 1_000,
      random: () => 1,
      after: (ms, run) => {
        const own = (id += 1);
        timers.set(own, { ms, run });
        return { cancel: () => timers.delete(own) };
      },
    },
    onEvent: ({ data }) => (told.push(data), wake()),
    onConnection: (connection) => (connections.push(connection), wake()),
  });
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const turn = (): number => {
    const [[key, { run, ms }] = [0, { run: () => {}, ms: 0 }]] = timers;
    timers.delete(key);
    run();
    return ms;
  };
  return { one, told, connections, until, turn, timers };
}

test('a stream that breaks goes on where it was, after a pause', async () => {
  let streams = 0;
  answer = (response) => {
    streams += 1;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`id: s.${streams}\ndata: ${streams}\n\n`);
    if (streams === 1) response.end();
  };
  asked.length = 0;
  const { one, told, connections, until, turn } = await watch();
  await until(() => connections.at(-1)?.state === 'waiting');
  assert.equal(turn(), 500);
  await until(() => told.length === 2);
  assert.deepEqual(told, ['1', '2']);
  assert.deepEqual(asked, [undefined, 's.1']);
  assert.deepEqual(
    connections.map(({ state }) => state),
    ['connecting', 'live', 'waiting', 'connecting', 'live'],
  );
  one.close();
});

test('pauses grow while nothing answers, and a stream that is silent is given up', async () => {
  let tries = 0;
  answer = (response) => {
    tries += 1;
    if (tries < 4) response.writeHead(503, { 'content-type': 'application/problem+json' }).end('{"detail":"it is stopping"}');
    else response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': here\n\n');
  };
  const { one, connections, until, turn, timers } = await watch();
  const pauses: number[] = [];
  for (let failures = 1; failures < 4; failures += 1) {
    await until(() => connections.filter(({ state }) => state === 'waiting').length === failures);
    pauses.push(turn());
  }
  assert.deepEqual(pauses, [1_000, 2_000, 4_000]);
  await until(() => connections.at(-1)?.state === 'live');
  assert.deepEqual(
    [...timers.values()].map(({ ms }) => ms),
    [35_000],
  );
  turn();
  await until(() => connections.at(-1)?.state === 'waiting');
  const last = connections.at(-1);
  assert.match(last?.state === 'waiting' ? last.error : '', /nothing was heard/);
  one.close();
});

test('who is not let in does not try again', async () => {
  answer = (response) => response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"code":"UNAUTHENTICATED"}');
  const { told, until, timers } = await watch();
  await until(() => told.includes('refused'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(timers.size, 0);
});

test('a pause is never longer than ten seconds', () => {
  assert.deepEqual([pauseMs(0, 0), pauseMs(3, 1), pauseMs(40, 1)], [250, 4_000, 10_000]);
});
