// `node --import @heddle/client/register`: which processes it makes part of the mesh, how those of one instance share it, and how they end.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { RunningMesh } from '@heddle/client';
import { askDirect, type DirectAnswer } from '../../packages/dataplane/src/testing/direct.ts';
import { DEAD_PORTS } from '../../packages/dataplane/src/testing/raw-http.ts';
import { type InsideApp, insideEnvironment, programFile, startInside, startNode } from '../support/inside-app.ts';
import { member } from '../support/member.ts';
import { Cleanup, control, instances, LOOPBACK } from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';

type Control = Awaited<ReturnType<typeof control>>;

const cleanup = new Cleanup();
let running: Control;
/** Calls from another process of the mesh. */
let web: RunningMesh;

before(async () => {
  running = await control(cleanup);
  web = await member(cleanup, running, 'web', { instance: 'caller' });
  await web.ready();
});
after(() => cleanup.run());

/** Of one test. */
const own = new Cleanup();
afterEach(() => own.run());

/** Starting some programs from sources, on a machine that has other work. */
const DEADLINE_MS = 30_000;

const ask = (path = '/', method = 'GET'): Promise<DirectAnswer> => askDirect(web.calls, { method, authority: 'echo.mesh.internal', path });

const answered = (): Promise<DirectAnswer> =>
  waitFor(
    'an answer',
    async () => {
      const answer = await ask();
      if (answer.status !== 200) throw new Error(answer.text);
      return answer;
    },
    DEADLINE_MS,
  );

async function gone(instance: string): Promise<void> {
  await waitFor(`the end of ${instance}`, async () => !(await instances(running)).has(instance));
}

const until = (app: InsideApp, text: string): Promise<unknown> =>
  waitFor(`"${text}"`, () => app.output().includes(text)).catch((error: Error) => {
    throw new Error(`${error.message}\n${app.output()}`);
  });

const SERVER = `
import http from 'node:http';
http.createServer((request, response) => setTimeout(() => response.end('pid ' + process.pid), 20)).listen(process.env.PORT, '127.0.0.1');
`;

describe('a process that loads register', () => {
  it('is as it was where the environment names no mesh, or it is switched off', async () => {
    const text = `
const loaded = process.moduleLoadList.filter((name) => /undici|http2|NativeModule cluster/.test(name));
console.log(JSON.stringify([process.listenerCount('SIGTERM'), Object.hasOwn(process, 'emit'), loaded]));
`;
    const file = await programFile(own, 'plain.mjs', text);
    const inMesh = await insideEnvironment(running, { service: 'echo' });
    for (const environment of [{}, { ...inMesh, HEDDLE_CLIENT: 'off' }, { ...inMesh, HEDDLE_SERVICE: '' }]) {
      const app = startNode(own, file, environment, { service: 'echo' });
      assert.equal(await app.ended, 0);
      assert.equal(app.output(), '[0,false,[]]\n');
    }
  });

  it('does not begin where the mesh is required and not there', async () => {
    const file = await programFile(own, 'never.mjs', "console.log('began');");
    const app = startNode(own, file, { HEDDLE_CLIENT: 'required' }, { service: 'echo' });
    assert.equal(await app.ended, 1);
    assert.equal(
      app.output(),
      'heddle: HEDDLE_CLIENT=required, and HEDDLE_SERVICE and HEDDLE_CONTROL do not say of which mesh this process is a part; start it with `heddle run`\n',
    );
    const wrong = startNode(own, file, { HEDDLE_CLIENT: 'maybe' }, { service: 'echo' });
    assert.equal(await wrong.ended, 1);
    assert.equal(wrong.output(), 'heddle: HEDDLE_CLIENT is "maybe"; use auto, required or off\n');
  });

  it('runs on when there is no control plane, and its calls say why they fail', async () => {
    const text = `
fetch('http://echo.mesh.internal/').catch((error) => console.log(error.message, '|', error.cause.code, error.cause.message));
setTimeout(() => console.log('goes on'), 1);
`;
    const file = await programFile(own, 'alone.mjs', text);
    const environment = {
      ...(await insideEnvironment(running, { service: 'web' })),
      HEDDLE_CONTROL: `${LOOPBACK}:${DEAD_PORTS[0]}`,
      HEDDLE_READY_TIMEOUT_MS: '300',
    };
    const app = startNode(own, file, environment, { service: 'web' });
    assert.equal(await app.ended, 0);
    assert.match(
      app.output(),
      /^goes on\nfetch failed \| NOT_READY not part of the mesh within 300 ms: control plane: .*cannot be reached.*Check that `heddle control` runs there/,
    );
  });

  it('joins by --require as well, and programs that it starts do not see its token', async () => {
    const text = `
const { execFileSync } = require('node:child_process');
require('node:http').createServer((request, response) => {
  response.end(execFileSync(process.execPath, ['-p', 'String(process.env.HEDDLE_JOIN_TOKEN)'], { encoding: 'utf8' }));
}).listen(process.env.PORT, '127.0.0.1');
`;
    const file = await programFile(own, 'server.cjs', text);
    const app = await startInside(own, running, file, { service: 'echo', flag: '--require' });
    assert.equal((await answered()).text, 'undefined\n');
    app.child.kill('SIGTERM');
    assert.equal(await app.ended, 'SIGTERM');
    await gone('echo-1');
  });
});

describe('the processes of one instance', () => {
  it('share its data plane: a child calls through its parent, and is not another instance', async () => {
    const text = `
import { fork } from 'node:child_process';
import http from 'node:http';
if (process.argv[2] === 'child') {
  const answer = await fetch('http://echo.mesh.internal/child');
  const { request } = await import('node:http');
  const second = await new Promise((resolve) => request('http://echo.mesh.internal/again', { method: 'POST' }, (response) => response.on('data', (part) => resolve(String(part)))).end('x'));
  process.send({ pid: process.pid, first: await answer.text(), second });
} else {
  http.createServer((request, response) => {
    if (request.url !== '/') return response.end(request.headers['x-heddle-peer'] + request.url);
    const child = fork(process.argv[1], ['child']);
    child.once('message', (message) => response.end(JSON.stringify({ parent: process.pid, ...message })));
  }).listen(process.env.PORT, '127.0.0.1');
}
`;
    const file = await programFile(own, 'parent.mjs', text);
    const app = await startInside(own, running, file, { service: 'echo', environment: { HEDDLE_LOG_LEVEL: 'info' } });
    const { text: body } = await answered();
    const { parent, pid, first, second } = JSON.parse(body) as Record<string, string>;
    assert.notEqual(parent, pid);
    const self = 'spiffe://test/ns/default/svc/echo';
    assert.deepEqual([first, second], [`${self}/child`, `${self}/again`]);
    assert.match(app.output(), new RegExp(`"ownerPid":${parent},.*calls of this process go through`));
    assert.deepEqual([...(await instances(running)).keys()], ['echo-1']);
    app.child.kill('SIGTERM');
    await app.ended;
    await gone('echo-1');
  });

  it('serve together where they are workers of a cluster, and end without a failed request', async () => {
    const text = `
import cluster from 'node:cluster';
import http from 'node:http';
if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
} else {
  http.createServer(async (request, response) => {
    if (request.url !== '/via') return setTimeout(() => response.end('worker ' + cluster.worker.id), 20);
    response.end(await (await fetch('http://echo.mesh.internal/')).text());
  }).listen(process.env.PORT, '127.0.0.1');
}
`;
    const file = await programFile(own, 'cluster.mjs', text);
    const app = await startInside(own, running, file, { service: 'echo' });
    const seen = new Set<string>();
    await waitFor('both workers', async () => {
      // Connections are shared out, and one carries one request at a time.
      for (const { status, text } of await Promise.all([1, 2, 3, 4].map(() => ask('/via')))) if (status === 200) seen.add(text);
      return seen.size === 2;
    }).catch((error: Error) => {
      throw new Error(`${error.message}; ${[...seen].join()}\n${app.output()}`);
    });
    assert.deepEqual([...(await instances(running)).keys()], ['echo-1']);
    await startInside(own, running, await programFile(own, 'server.mjs', SERVER), { service: 'echo', instance: 'echo-2' });
    await waitFor('the other instance', async () => (await ask()).text.startsWith('pid'));
    const load = startLoad();
    await waitFor('load', () => load.answers.length > 20);
    app.child.kill('SIGTERM');
    assert.equal(await app.ended, 0, app.output());
    assert.deepEqual(await load.failures(), []);
    await gone('echo-1');
  });

  it('are worker threads as well', async () => {
    const text = `
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import http from 'node:http';
if (isMainThread) {
  const worker = new Worker(process.argv[1]);
  worker.on('message', (text) => console.log('thread: ' + text));
} else {
  http.createServer((request, response) => response.end('from the thread')).listen(process.env.PORT, '127.0.0.1');
  const ask = async () => {
    const answer = await fetch('http://echo.mesh.internal/').catch(() => undefined);
    const text = await answer?.text();
    if (answer?.status === 200) parentPort.postMessage(text);
    else setTimeout(ask, 50);
  };
  await ask();
}
`;
    const file = await programFile(own, 'threads.mjs', text);
    const app = await startInside(own, running, file, { service: 'echo', instance: 'echo-3' });
    await until(app, 'thread: from the thread');
    app.child.kill('SIGTERM');
    await app.ended;
  });
});

interface Load {
  readonly answers: readonly DirectAnswer[];
  /** Ends it. */
  failures(): Promise<string[]>;
}

/** Requests that may not be sent twice, from several at once. */
function startLoad(): Load {
  const answers: DirectAnswer[] = [];
  let goesOn = true;
  const one = async (): Promise<void> => {
    while (goesOn) {
      answers.push(await ask('/', 'POST'));
      // Answers of the data plane itself come without any event.
      await new Promise((resolve) => void setImmediate(resolve));
    }
  };
  const all = Promise.all([one(), one(), one(), one()]);
  return {
    answers,
    failures: async () => {
      const before = answers.length;
      await waitFor('more answers', () => answers.length > before + 20);
      goesOn = false;
      await all;
      return [...new Set(answers.filter(({ status }) => status !== 200).map(({ text }) => text))];
    },
  };
}

describe('SIGTERM', () => {
  it('loses no request, whatever the application does about it: nothing, or an end at once', async () => {
    const other = await startInside(own, running, await programFile(own, 'server.mjs', SERVER), {
      service: 'echo',
      instance: 'echo-b',
    });
    await waitFor('the other instance', async () => (await ask()).text === `pid ${other.child.pid}`);
    for (const [ending, code] of [
      ['', 'SIGTERM'],
      [
        "process.on('SIGTERM', async () => { await fetch('http://echo.mesh.internal/').then(({ status }) => process.exit(status)); });",
        200,
      ],
    ] as const) {
      const file = await programFile(own, 'ends.mjs', `${SERVER}${ending}`);
      const app = await startInside(own, running, file, { service: 'echo', instance: 'echo-a' });
      await waitFor('the instance', async () => (await ask()).text === `pid ${app.child.pid}`);
      const load = startLoad();
      await waitFor('load on it', () => load.answers.filter(({ text }) => text === `pid ${app.child.pid}`).length > 10);
      app.child.kill('SIGTERM');
      // The same wish, passed on by somebody else.
      app.child.kill('SIGTERM');
      assert.equal(await app.ended, code, app.output());
      assert.deepEqual(await load.failures(), []);
      await gone('echo-a');
    }
    other.child.kill('SIGKILL');
    await other.ended;
  });

  it('is not held back in a process that serves nobody', async () => {
    const file = await programFile(own, 'waits.mjs', "console.log('waits'); setInterval(() => {}, 1000);");
    const app = await startInside(own, running, file, { service: 'web', port: await freePort() });
    await until(app, 'waits');
    app.child.kill('SIGTERM');
    assert.equal(await app.ended, 'SIGTERM');
  });
});
