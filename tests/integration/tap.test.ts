// Live requests of a real mesh: a sidecar with worker processes and a data plane inside a process tell them through the control plane, to the
// REST API and to `heddle tap`. What is secret is looked for in everything that comes out.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { after, before, describe, it } from 'node:test';
import type { RunningControl } from '@heddle/control';
import {
  application,
  call,
  Cleanup,
  control,
  host,
  LOOPBACK,
  machine,
  meshOf,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import type { Target } from '../support/load.ts';
import { member } from '../support/member.ts';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { heddle } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';
import { TAP_EVENTS } from '../../packages/control/src/rest/schema/tap.ts';

const MESH = `
mesh: test
services:
  echo: { port: 80, health: { interval: 500ms, timeout: 500ms } }
  web: { port: 81, health: { interval: 500ms, timeout: 500ms } }
  cron: { port: 82, health: { interval: 500ms, timeout: 500ms } }
routes:
  - service: echo
    rules:
      - { name: broken, match: { path: { prefix: /broken } }, respond: { status: 503 } }
`;

// oxlint-disable-next-line typescript/no-explicit-any -- the events are held against their schema
type Data = Record<string, any>;

interface Following {
  readonly told: { readonly event: string; readonly data: Data }[];
  /** Everything as it came. */
  text: string;
  ended: boolean;
  stop(): void;
}

const records = ({ told }: Following): Data[] => told.flatMap(({ event, data }) => (event === 'record' ? [data] : []));

describe('live requests', () => {
  const cleanup = new Cleanup();
  let plane: RunningControl;
  let stateDir: string;
  let web: Target['proxy'] & { readonly credential: string };
  let cron: Target['proxy'] & { readonly credential: string };

  before(async () => {
    stateDir = await temporaryDirectory(cleanup);
    plane = await control(cleanup, { mesh: meshOf(MESH), stateDir, reportIntervalMs: 200, over: { rest: { address: LOOPBACK, port: 0 } } });
    const { address, port, trustDomain } = plane;
    await writeFile(join(stateDir, 'control.json'), JSON.stringify({ address, port, trustDomain, pid: process.pid, mesh: 'test' }));
    const n1 = await machine(cleanup, plane, { node: 'n1', processes: { workers: 2, logLevel: 'silent' } });
    await host(n1, plane, 'echo-1', (await application(cleanup, 'echo-1')).port);
    const hosted = await host(n1, plane, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['echo'] });
    const inside = await member(cleanup, plane, 'cron', { instance: 'cron-1' });
    await Promise.all([untilReady(n1), inside.ready()]);
    await untilEndpoints(n1, 'echo', ['echo-1']);
    web = { ...through(n1), credential: hosted.proxyCredential };
    const door = new URL(await inside.openDoor());
    cron = { host: door.hostname, port: Number(door.port), credential: door.username };
    // What both sides of a call see is told once, as soon as it is known who tells of the caller.
    await waitFor('both sides to be known', async () => {
      await Promise.all([web, cron].map((from) => call({ proxy: from, url: 'http://echo.mesh.internal/' }, from.credential)));
      const graph = (await (await rest('graph?window=10s')).json()) as { edges: { source: string }[] };
      return graph.edges.map(({ source }) => source).join() === 'default/cron,default/web';
    });
  });
  after(() => cleanup.run());

  const rest = (path: string, token = plane.operatorToken, signal?: AbortSignal): Promise<Response> =>
    fetch(`http://${LOOPBACK}:${plane.rest?.port}/api/v1/${path}`, {
      headers: { authorization: `Bearer ${token}` },
      ...(signal && { signal }),
    });

  /** Resolves when so many data planes look. */
  async function follow(query: string, dataPlanes = 2): Promise<Following> {
    const stopped = new AbortController();
    const response = await rest(`tap?${query}`, plane.operatorToken, AbortSignal.any([stopped.signal, AbortSignal.timeout(30_000)]));
    assert.equal(response.status, 200);
    const following: Following = { told: [], text: '', ended: false, stop: () => stopped.abort() };
    cleanup.add(() => stopped.abort());
    const read = async (): Promise<void> => {
      let left = '';
      for await (const chunk of response.body as ReadableStream<Uint8Array>) {
        following.text += new TextDecoder().decode(chunk);
        const blocks = (left + new TextDecoder().decode(chunk)).split('\n\n');
        left = blocks.pop() ?? '';
        for (const block of blocks) {
          const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
          if (event === undefined) continue;
          following.told.push({ event, data: TAP_EVENTS[event as keyof typeof TAP_EVENTS].parse(JSON.parse(data ?? '')) as Data });
        }
      }
      following.ended = true;
    };
    read().catch(() => {});
    await waitFor('data planes to look', () =>
      following.told.some(({ event, data }) => event === 'watchers' && data['dataPlanes'] === dataPlanes),
    );
    return following;
  }

  const send = (from: typeof web, count: number, path: string, headers: Record<string, string> = {}): Promise<number[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const { status } = await call({ proxy: from, url: `http://echo.mesh.internal${path}`, headers }, from.credential);
        return status;
      }),
    );

  it('come once each from every placement, workers included, and without a secret in them', async () => {
    const tap = await follow('service=default/echo&path=/read/*&headers=user-agent,x-note,x-page&perSecond=1000');
    const secrets = {
      authorization: 'Bearer s3cr3t-authorization',
      cookie: 'session=s3cr3t-cookie',
      'x-api-key': 's3cr3t-key',
      'x-note': 'bearer s3cr3t-note',
      'x-page': 'https://ann:s3cr3t-password@shop/page?token=s3cr3t-query',
      'user-agent': 'tester',
    };
    await Promise.all([web, cron].map((from) => send(from, 20, '/read/1;jsessionid=s3cr3t-parameter?token=s3cr3t-url', secrets)));
    await send(web, 1, '/other');
    await waitFor('all of them', () => records(tap).length === 40 || (records(tap).length > 40 && assert.fail('some came twice')));
    for (const [source, node] of [
      ['default/web', 'n1'],
      ['default/cron', 'cron-1'],
    ] as const) {
      const own = records(tap).filter((record) => record['source'] === source && record['node'] === node);
      assert.equal(own.length, 20, source);
      const { time: _, id: _id, durationMs, responseBytes, ...first } = own[0]!;
      assert.ok(durationMs > 0 && responseBytes > 0);
      assert.deepEqual(first, {
        ...{ node, side: 'outbound', source, destination: 'default/echo', instance: 'echo-1', route: 'default', protocol: 'http1' },
        ...{ method: 'GET', path: '/read/1;…', status: 200, error: '', requestBytes: 0, tries: 1, traceId: '' },
        headers: { 'user-agent': 'tester', 'x-note': '(redacted)', 'x-page': 'https://(redacted)@shop/page?(redacted)' },
      });
    }
    assert.doesNotMatch(tap.text, /s3cr3t/);
    tap.stop();
  });

  it('are told up to the limit, the others are counted, and it ends by itself', async () => {
    const tap = await follow('source=default/web&error=any&perSecond=2&forMs=3000', 1);
    await Promise.all([send(web, 10, '/'), send(web, 10, '/broken')]);
    await waitFor('the end', () => tap.ended);
    const { told, lost, reason } = tap.told.at(-1)!.data;
    assert.equal(reason, 'its time is over');
    assert.ok(told >= 2 && told <= 8, `${told} told`);
    assert.equal(told + lost, 10);
    assert.deepEqual(
      [...new Set(records(tap).map((record) => `${record['path']} ${record['status']} ${record['route']}`))],
      ['/broken 503 broken'],
    );
  });

  it('are for editors, who are in the audit log with what they looked at; nonsense and secret headers are refused', async () => {
    const viewer = await viewerToken();
    for (const [query, status, why] of [
      ['headers=authorization', 400, /authorization is never told/],
      ['path=/a?b', 400, /path: it ends before the query/],
      ['status=6xx', 400, /status: it is a status or a class/],
      ['service=default/gone', 404, /there is no service default\/gone/],
    ] as const) {
      const answer = await rest(`tap?${query.replace('?', '%3F')}`);
      assert.equal(answer.status, status, query);
      assert.match(await answer.text(), why);
    }
    assert.equal((await rest('tap', viewer)).status, 403);
    const { items } = (await (await rest('audit?action=tap&limit=1000')).json()) as { items: Data[] };
    assert.deepEqual(
      items.map(({ who, subject, after: asked }) => [who, subject, asked.filter.path ?? asked.filter.error]),
      [
        ['operator token', 'default/echo', '/read/*'],
        ['operator token', 'default/web', 'any'],
      ],
    );
  });

  async function viewerToken(): Promise<string> {
    const made = await heddle(['token', 'create', '--admin', 'looker', '--role', 'viewer', '--state-dir', stateDir]);
    assert.equal(made.code, 0, made.stderr);
    return made.stdout.trim().split('\n').at(-1)!;
  }

  it('have their rates in `heddle top`: once as a table, and live on a terminal, which is left as it was', async () => {
    const load = setInterval(() => void send(web, 2, '/').catch(() => {}), 100);
    cleanup.add(() => clearInterval(load));
    const once = await heddle(['top', '--view', 'edges', '--once', '--state-dir', stateDir]);
    assert.equal(once.code, 0, once.stderr);
    assert.match(once.stdout, /^SOURCE -> DESTINATION +REQ\/S +ERR\/S +ERR % +P50 +P99 +RETRY\/S\n(?:.*\n)*web -> echo +\d+\.\d +/);
    // What the person types, and what is to be on the screen before the next key.
    const steps = [
      ['', /\[1 services\][^]*SERVICE +REQ\/S/],
      ['2', /\[2 edges\][^]*web -> echo/],
      ['/cron\r', /filter: cron/],
      ['\x1b', /\[2 edges\]/],
      ['4', /\[4 data planes\][^]*n1 /],
      ['1n\r', /\[default\/cron\]/],
      ['q', undefined],
    ] as const;
    const text = await onTerminal(['top', '--interval', '1s', '--state-dir', stateDir], steps);
    assert.ok(text.indexOf('\x1b[?1049h') >= 0 && text.lastIndexOf('\x1b[?1049l') > text.lastIndexOf('\x1b[H'), 'the screen is left');
    assert.match(text, /\x1b\[\?25h/);
    clearInterval(load);
  });

  /** Runs a command in a pseudo-terminal of 80×24; after each step what came since is shown to its pattern. */
  async function onTerminal(args: readonly string[], steps: readonly (readonly [string, RegExp | undefined])[]): Promise<string> {
    const command = [process.execPath, ...heddleArguments(...args)].map((part) => `'${part}'`).join(' ');
    const child = spawn('script', ['-qec', `stty rows 24 cols 80; exec ${command}`, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm' },
    });
    cleanup.add(() => child.kill());
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    for (const [keys, pattern] of steps) {
      const from = text.length;
      for (const key of keys) child.stdin.write(key);
      if (pattern !== undefined)
        await waitFor(`${pattern} after ${JSON.stringify(keys)}`, () => pattern.test(stripVTControlCharacters(text.slice(from))));
    }
    assert.equal(await ended, 0);
    return text;
  }

  it('are lines of `heddle tap`, until so many have come', async () => {
    const shown = heddle(['tap', 'echo', '--from', 'web', '--count', '3', '--header', 'x-note', '--state-dir', stateDir]);
    let isOver = false;
    void shown.finally(() => (isOver = true));
    await waitFor('the command to have what it wants', async () => {
      await send(web, 1, '/line', { 'x-note': 'hello\tworld', authorization: 'Bearer s3cr3t' });
      return isOver;
    });
    const { code, stdout, stderr } = await shown;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^1 data plane looks; Ctrl-C ends it\n/);
    assert.match(stderr, /\n3 requests\n$/);
    const [head, ...lines] = stdout.trimEnd().split('\n');
    assert.match(head!, /^TIME \(UTC\) +SOURCE -> DESTINATION +METHOD +STATUS +TOOK +PATH$/);
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, /^\d\d:\d\d:\d\d\.\d{3} +web -> echo +GET +200 +\d+(\.\d)? ms +\/line +echo-1 +x-note="hello\\\\u0009world"$/);
    assert.doesNotMatch(stdout, /s3cr3t/);
  });
});
