// What the mesh knows of its own traffic, from real requests through real data planes: the graph with its rates, routes and instances, decisions,
// explanations, and a note when an instance begins to fail.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Metadata, ServiceError } from '@grpc/grpc-js';
import { type admin, telemetry } from '@heddle/api';
import { AdminClient } from '@heddle/api/grpc-js';
import type { RunningControl } from '@heddle/control';
import {
  application,
  call,
  callControl,
  Cleanup,
  control,
  events,
  host,
  LOOPBACK,
  machine,
  meshOf,
  proxy,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { type Load, startLoad, type Target } from '../support/load.ts';
import { member } from '../support/member.ts';
import { heddle } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

const INTERVAL_MS = 200;
const MESH = `
mesh: test
services:
  echo: { port: 80, balance: round-robin, health: { interval: 500ms, timeout: 500ms } }
  web: { port: 81, health: { interval: 500ms, timeout: 500ms } }
  cron: { port: 82, health: { interval: 500ms, timeout: 500ms } }
routes:
  - service: echo
    rules: [{ name: reads, match: { path: { prefix: /read } } }]
security:
  access:
    default: allow
    rules: [{ name: no secrets, effect: deny, from: [web], to: echo, paths: ["/secret"] }]
`;

// oxlint-disable-next-line typescript/no-explicit-any -- the answers of the API are held against their schema elsewhere
type Body = Record<string, any>;

describe('the traffic of a mesh', () => {
  const cleanup = new Cleanup();
  let plane: RunningControl;
  let stateDir: string;
  let web: Target['proxy'] & { readonly credential: string };
  let cron: Target['proxy'] & { readonly credential: string };
  let failing = false;

  before(async () => {
    const anomalies = { windowSteps: 3, windows: 20, windowsMin: 5 };
    stateDir = await temporaryDirectory(cleanup);
    plane = await control(cleanup, {
      stateDir,
      mesh: meshOf(MESH),
      reportIntervalMs: INTERVAL_MS,
      over: { rest: { address: LOOPBACK, port: 0 }, anomalies },
    });
    // One data plane for a whole machine, one of its own beside an instance, one inside a process.
    const [n1, n2] = await Promise.all([
      machine(cleanup, plane, { node: 'n1' }),
      proxy(cleanup, plane, { node: 'n2', outboundProxy: { address: LOOPBACK, port: 0 } }),
    ]);
    await host(n2, plane, 'echo-2', await moody(() => failing), { version: 'v2' });
    await host(n1, plane, 'echo-1', (await application(cleanup, 'echo-1')).port, { version: 'v1' });
    const hosted = await host(n1, plane, 'web-1', (await application(cleanup, 'web-1')).port, { uses: ['echo'] });
    const inside = await member(cleanup, plane, 'cron', { instance: 'cron-1' });
    await Promise.all([untilReady(n1, n2), inside.ready()]);
    await untilEndpoints(n1, 'echo', ['echo-1', 'echo-2']);
    web = { ...through(n1), credential: hosted.proxyCredential };
    const door = new URL(await inside.openDoor());
    cron = { host: door.hostname, port: Number(door.port), credential: door.username };
  });
  after(() => cleanup.run());

  async function moody(isFailing: () => boolean): Promise<number> {
    // Every other one: an instance whose calls fail in a row is left out by its callers.
    let asked = 0;
    const server: Server = createServer((_, response) => {
      asked += 1;
      response.writeHead(isFailing() && asked % 2 === 0 ? 500 : 200).end('{"name":"echo-2"}');
    });
    await new Promise<void>((resolve) => void server.listen(0, LOOPBACK, resolve));
    cleanup.add(() => server.close().closeAllConnections());
    return (server.address() as AddressInfo).port;
  }
  const ask = async (path: string, body?: object): Promise<Body> => {
    const headers = { authorization: `Bearer ${plane.operatorToken}`, 'content-type': 'application/json' };
    const at = `http://${LOOPBACK}:${plane.rest?.port}/api/v1/${path}`;
    const answer = await fetch(at, body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.clone().text());
    return (await answer.json()) as Body;
  };
  const send = async (from: typeof web, count: number, path: string): Promise<number[]> => {
    const statuses = [];
    for (let index = 0; index < count; index += 1)
      statuses.push((await call({ proxy: from, url: `http://echo.mesh.internal${path}` }, from.credential)).status);
    return statuses;
  };

  test('is told by the calling side: by edge, route and instance, in the counts that were sent', async () => {
    const { since } = await ask('graph');
    await Promise.all([send(web, 30, '/read/1'), send(cron, 10, '/')]);
    const rates = (edges: Body[]): [string, number][] => edges.map(({ source, requestsPerSecond }) => [source, requestsPerSecond]);
    const graph = await waitFor('everything to be reported', async () => {
      const told = await ask('graph?window=1m');
      const seconds = (Date.parse(told['updated']) - Date.parse(told['since'])) / 1_000;
      const counts = new Map(rates(told['edges']).map(([source, rate]) => [source, Math.round(rate * seconds)]));
      return counts.get('default/web') === 30 && counts.get('default/cron') === 10 ? told : undefined;
    });
    assert.equal(graph['since'], since);
    assert.deepEqual(
      graph['edges'].map(({ source, destination, protocol, errors }: Body) => [source, destination, protocol, errors]),
      [
        ['default/cron', 'default/echo', 'http1', {}],
        ['default/web', 'default/echo', 'http1', {}],
      ],
    );
    const echo = graph['nodes'].find(({ id }: Body) => id === 'default/echo');
    assert.deepEqual([echo.kind, echo.instances.healthy, echo.p99Ms >= echo.p50Ms && echo.p50Ms > 0], ['service', 2, true]);
    const { callers, routes, instances } = await ask('services/default/echo/traffic?window=1m');
    assert.deepEqual(callers, graph['edges']);
    const ratio = (parts: Body[], name: string): [string, number][] => {
      const least = Math.min(...parts.map(({ requestsPerSecond }) => requestsPerSecond));
      return parts.map((part) => [part[name], Math.round(part['requestsPerSecond'] / least)]);
    };
    assert.deepEqual(ratio(routes, 'route'), [
      ['default', 1],
      ['reads', 3],
    ]);
    assert.deepEqual(
      ratio(instances, 'instance').map(([id]) => id),
      ['echo-1', 'echo-2'],
    );
    const { points, stepMs } = await ask('series?source=default/web&destination=default/echo&range=5m');
    assert.ok(
      points.requestsPerSecond.some((rate: number | null) => rate !== null && rate > 0),
      `${stepMs}`,
    );
  });

  test('has the decisions that refused something, wherever they were made', async () => {
    assert.deepEqual(await send(web, 1, '/secret?token=abc'), [403]);
    const { items } = await waitFor('the decision', async () => {
      const told = await ask('decisions?service=default/echo&outcome=denied');
      return told['items'].length > 0 && told;
    });
    const { time: _, reason: _reason, node, ...rest } = items[0];
    assert.ok(node === 'n1' || node === 'n2', node);
    assert.deepEqual(rest, {
      ...{ service: 'default/echo', side: 'inbound', outcome: 'denied', source: 'spiffe://test/ns/default/svc/web' },
      ...{ method: 'GET', path: '/secret', rule: 'no secrets', by: 'rule' },
    });
  });

  test('is told by gRPC as it is by REST: graph, history and decisions', async () => {
    const asked = { source: 'default/web', destination: 'default/echo', route: '', instance: '', rangeMs: 0 };
    const series = (over: object = {}) =>
      grpc<admin.GetSeriesResponse>((client, ...rest) => client.getSeries({ ...asked, ...over }, ...rest));
    const [byGrpc, byRest] = await inOneStep(series, () => ask('series?source=default/web&destination=default/echo'));
    const { points, startMs, sinceMs, ...head } = byGrpc;
    assert.deepEqual([head.stepMs, head.from, head.note, sinceMs], [byRest['stepMs'], 'memory', '', Date.parse(byRest['since'])]);
    assert.ok(Math.abs(startMs - Date.parse(byRest['start'])) <= 1);
    const fields = ['requestsPerSecond', 'errorsPerSecond', 'p50Ms', 'p90Ms', 'p99Ms', 'bytesPerSecond'] as const;
    for (const field of fields)
      assert.deepEqual(
        points.map((point) => point[field] ?? null),
        byRest['points'][field],
        field,
      );
    assert.ok(points.some(({ p99Ms }) => p99Ms !== undefined) && points.some(({ p99Ms }) => p99Ms === undefined));
    await assert.rejects(series({ destination: '', source: '', route: 'reads' }), /INVALID_ARGUMENT: a route or an instance is of its/);
    await assert.rejects(series({ rangeMs: 7 }), /INVALID_ARGUMENT: range_ms must be one of 300000, 3600000, 86400000/);

    const decisions = (outcome: string) =>
      grpc<admin.ListDecisionsResponse>((client, ...rest) => client.listDecisions({ service: 'default/echo', outcome, limit: 0 }, ...rest));
    const { items, lost } = await ask('decisions?service=default/echo');
    assert.deepEqual(
      (await decisions('')).decisions.map(({ node, decision }) => [
        node,
        decision?.path,
        decision?.rule,
        decision?.outcome,
        decision && telemetry.tapSideOf(decision.side),
      ]),
      items.map(({ node, path, rule, outcome, side }: Body) => [node, path, rule, outcome, side]),
    );
    assert.deepEqual(await decisions('would-deny'), { decisions: [], lost });
    await assert.rejects(decisions('refused'), /INVALID_ARGUMENT: outcome must be one of denied, /);

    const graphOf = (namespace: string) =>
      grpc<admin.GetTrafficResponse>((client, ...rest) => client.getTraffic({ windowMs: 0, service: '', namespace }, ...rest));
    assert.deepEqual((JSON.parse(Buffer.from((await graphOf('elsewhere')).graphJson).toString()) as Body)['nodes'], []);
  });

  type Answer<T> = (error: ServiceError | null, response: T) => void;
  const grpc = <T>(run: (client: AdminClient, metadata: Metadata, done: Answer<T>) => void): Promise<T> =>
    callControl(plane, AdminClient, run);

  /** Both of the same moment: there is a new step each time that something is reported. */
  async function inOneStep(
    byGrpc: () => Promise<admin.GetSeriesResponse>,
    byRest: () => Promise<Body>,
  ): Promise<[admin.GetSeriesResponse, Body]> {
    return await waitFor('two answers of one step', async () => {
      const [before, told, after] = [await byGrpc(), await byRest(), await byGrpc()];
      return JSON.stringify(before.points) === JSON.stringify(after.points) && ([after, told] as [admin.GetSeriesResponse, Body]);
    });
  }

  test('can be explained by the data plane that would carry it, on a machine, beside an instance and inside a process', async () => {
    const question = { method: 'GET', url: 'http://echo/read/1' };
    for (const [from, node] of [
      ['default/web', 'n1'],
      ['default/cron', 'cron-1'],
      ['default/cron/cron-1', 'cron-1'],
    ] as const) {
      const explained = await ask('explain', { from, ...question });
      assert.deepEqual([explained['node'], explained['outcome'].kind, explained['route'].name], [node, 'forwarded', 'reads'], from);
    }
    // No proxy of this state directory could answer.
    const shown = await heddle(['explain', 'GET', 'http://echo/read/1', '--from', 'cron', '--state-dir', stateDir]);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(
      shown.stdout,
      /^GET http:\/\/echo\/read\/1\nforwarded: goes to default\/echo: one of 2 instances\n[^]*Caller +default\/cron\/cron-1/,
    );
    const refused = await heddle(['explain', 'GET', 'http://echo/', '--from', 'gone', '--state-dir', stateDir]);
    assert.deepEqual([refused.code, /there is no service default\/gone/.test(refused.stderr)], [1, true], refused.stderr);
  });

  test('is watched: an instance that begins to fail is one note, which names it, and another one when it is over', async () => {
    const headers = { 'proxy-authorization': `Basic ${Buffer.from(`${web.credential}:`).toString('base64')}` };
    const load: Load = startLoad({ proxy: web, url: 'http://echo.mesh.internal/', headers }, 120);
    cleanup.add(() => load.stop());
    const notes = async (): Promise<string[]> =>
      (await events(plane))
        .filter(({ kind, subject, message }) => kind === 'anomaly' && subject === 'default/echo' && message.startsWith('share of errors'))
        .map(({ message }) => message);
    await waitFor('a baseline', () => load.outcomes.length > 120 * 5.5);
    failing = true;
    const [began = ''] = await waitFor('the note', async () => {
      const told = await notes();
      return told.length > 0 && told;
    });
    failing = false;
    assert.match(
      began,
      /^share of errors rose from 0 % to \d+(\.\d+)? % since \d\d:\d\d:\d\d UTC; mostly instance echo-2: 100 % of the errors, one of 2/,
    );
    const told = await waitFor('its end', async () => {
      const all = await notes();
      return all.length > 1 && all;
    });
    await load.stop();
    assert.match(told[1]!, /^share of errors as usual again \(0 %\) after \d+ s; farthest off: /);
  });
});
