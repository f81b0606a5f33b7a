// Instances are asked how loaded they are, and callers go by the answers: data planes on both sides, on real sockets.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { DEFAULT_BALANCE, NO_RETRY } from '@heddle/core';
import type { Cluster, Endpoint, Limits } from '@heddle/core';
import { createClient } from './testing/clients.ts';
import type { Answer, Client } from './testing/clients.ts';
import { connectFrames, frame, FRAME, SETTING, uint32 } from './testing/frames.ts';
import { answerGrpc, GRPC_HEADERS } from './testing/instances.ts';
import { endpoint, TestMesh } from './testing/mesh.ts';
import type { Plane, RouteOptions } from './testing/mesh.ts';
import { startApplication } from './testing/paths.ts';
import type { Handler } from './testing/paths.ts';
import { connectRaw, DEAD_PORTS, RawServer, until } from './testing/raw-http.ts';

const PROBING: Partial<Cluster> = { balance: { ...DEFAULT_BALANCE, algorithm: 'probing' } };
/** How a balancer says so. */
const NO_ANSWERS = 'peak EWMA, because it does not answer probes';
/** RFC 9113 §7. */
const ENHANCE_YOUR_CALM = 11;

interface Load {
  readonly inFlight: number;
  readonly latencyMs: number;
}

interface HostDump {
  readonly instance: string;
  readonly connections: { readonly open: number };
  readonly loads: Readonly<Record<string, Load>>;
  readonly balancers: Readonly<Record<string, { readonly basis: string }>>;
}

interface Dump {
  readonly listeners: readonly { readonly load?: Load }[];
  readonly clusters: readonly { readonly hosts: readonly HostDump[] }[];
}

interface Caller {
  readonly plane: Plane;
  readonly client: Client;
  readonly hosts: () => readonly HostDump[];
  readonly basisOf: (index: number) => string;
  readonly loadOf: (index: number) => Load | undefined;
}

interface Instance {
  readonly endpoint: Endpoint;
  readonly plane: Plane;
  /** Those of `web`. */
  requests: number;
}

const hostsOf = ({ plane }: Plane): readonly HostDump[] => (plane.configDump() as Dump).clusters[0]!.hosts;

describe('questions about load', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  /** An instance with a data plane of its own. The path `/hang` is never answered. */
  async function instance(
    number: number,
    handler: Handler,
    version: 'http1' | 'http2' = 'http1',
    route: RouteOptions = {},
  ): Promise<Instance> {
    const { port } = await startApplication(mesh, version, (request, response) => {
      if (request.headers['x-heddle-peer']?.includes('/svc/web')) made.requests += 1;
      if (request.url !== '/hang') handler(request, response);
    });
    const name = `orders-${number}`;
    const plane = mesh.plane(name);
    const local = { http: version };
    const made = { plane, requests: 0, endpoint: endpoint(await mesh.inbound(plane.plane, 'orders', name, port, { local, route }), name) };
    return made;
  }

  async function caller(
    endpoints: readonly Endpoint[],
    options: { limits?: Partial<Limits>; cluster?: Partial<Cluster>; service?: string } = {},
  ): Promise<Caller> {
    const { limits, cluster, service = 'web' } = options;
    const workload = `default/${service}/${service}-1`;
    const plane = mesh.plane(service, limits);
    const port = await mesh.outbound(plane.plane, 'orders', endpoints, {
      workload,
      cluster: { ...PROBING, ...cluster },
      route: { timeoutMs: 0, retry: { ...NO_RETRY, attempts: 2, on: ['connect-failure'] } },
    });
    const client = createClient('http1', port);
    mesh.onClose(() => client.close());
    const hosts = (): readonly HostDump[] => hostsOf(plane);
    return {
      plane,
      client,
      hosts,
      basisOf: (index) => hosts()[index]!.balancers[workload]?.basis ?? '',
      loadOf: (index) => hosts()[index]!.loads[workload],
    };
  }

  /** Requests from elsewhere that an instance does not answer. */
  async function occupy({ endpoint: at, plane }: Instance, count: number, service = 'admin'): Promise<void> {
    const other = await caller([at], { service });
    for (let call = 0; call < count; call++) other.client.begin({ path: '/hang' }).answer.catch(() => {});
    await until(() => loadAt(plane).inFlight >= count, `${count} requests under way`);
  }

  /** What the data plane of the instance would answer. */
  function loadAt({ plane }: Plane): Load {
    return (plane.configDump() as Dump).listeners[0]!.load!;
  }

  /** Calls until it is so, but not for ever. */
  async function callUntil(
    { client }: Caller,
    condition: () => boolean,
    what: string,
    hear: (answer: Answer) => void = () => {},
  ): Promise<void> {
    const end = Date.now() + 10_000;
    while (!condition()) {
      if (Date.now() > end) throw new Error(`called in vain: ${what}`);
      hear(await client.call());
    }
  }

  /** Calls until so many requests in a row have gone to others. */
  async function untilSpared(from: Caller, spared: Instance, wanted: number): Promise<void> {
    let last = spared.requests;
    let others = -1;
    const isSpared = (): boolean => {
      others = spared.requests === last ? others + 1 : 0;
      last = spared.requests;
      return others === wanted;
    };
    await callUntil(from, isSpared, `${wanted} requests that go elsewhere`);
  }

  const ok: Handler = (_request, response) => void response.end('ok');

  test('a caller keeps away from an instance that others keep busy, and asks it all the same', async () => {
    const busy = await instance(1, ok);
    const idle = [await instance(2, ok), await instance(3, ok)];
    await occupy(busy, 20);
    const web = await caller([busy, ...idle].map(({ endpoint: at }) => at));
    await callUntil(web, () => [0, 1, 2].every((index) => web.basisOf(index) === 'probes'), 'answers of all');
    // The caller's own first requests may have been there as well.
    const first = web.loadOf(0)!.inFlight;
    assert.ok(first >= 20 && first < 30, `${first} under way`);
    await untilSpared(web, busy, 30);
    const before = busy.requests;
    await occupy(busy, 25, 'batch');
    await callUntil(web, () => (web.loadOf(0)?.inFlight ?? 0) >= 45, 'news of the instance that gets no requests');
    // After a pause of this process nothing is known for a moment.
    assert.ok(busy.requests - before < 3);
    assert.match(web.plane.metrics.expose(), /heddle_load_probes_total\{cluster="outbound\/default\/orders",result="answered"\} \d+\n/);
    assert.doesNotMatch(web.plane.metrics.expose(), /result="unsupported"/);
  });

  test('a caller moves away from an instance whose application has become slow', async () => {
    let isSlow = false;
    const slow = await instance(1, (_request, response) => void setTimeout(() => response.end('ok'), isSlow ? 100 : 0));
    const others = [await instance(2, ok), await instance(3, ok)];
    const web = await caller([slow, ...others].map(({ endpoint: at }) => at));
    await callUntil(web, () => slow.requests > 0 && others.every(({ requests }) => requests > 0), 'requests at all');
    isSlow = true;
    await untilSpared(web, slow, 40);
  });

  test('what is under way counts until it ends, whatever it is, and the time of answers is told', async () => {
    const served = await instance(1, (request, response) => {
      if (request.url === '/events') response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      else if (request.url === '/fail') response.writeHead(500).end();
      else setTimeout(() => response.end('ok'), 20);
    });
    const web = await caller([served.endpoint]);
    const events = web.client.begin({ path: '/events' });
    events.answer.catch(() => {});
    const upload = web.client.begin({ method: 'POST', body: [] });
    upload.answer.catch(() => {});
    await until(() => events.status === 200 && loadAt(served.plane).inFlight === 2, 'two under way');
    await web.client.call({ path: '/fail' });
    events.cancel();
    upload.cancel();
    await until(() => loadAt(served.plane).inFlight === 0, 'nothing under way');
    assert.equal(loadAt(served.plane).latencyMs, 0);
    await web.client.call();
    assert.ok(loadAt(served.plane).latencyMs >= 19);
  });

  test('byte streams through a tunnel count, too', async () => {
    const server = await RawServer.listen();
    mesh.onClose(() => server.close());
    const plane = mesh.plane('store');
    const at = endpoint(await mesh.inbound(plane.plane, 'store', 'store-1', server.port, { tcp: true }), 'store-1');
    const web = mesh.plane('web');
    const peer = connectRaw(await mesh.outbound(web.plane, 'store', [at], { tcp: true }));
    await until(() => server.peers.length === 1, 'a connection');
    assert.deepEqual(loadAt(plane), { inFlight: 1, latencyMs: 0 });
    peer.socket.destroy();
    server.peers[0]!.socket.destroy();
    await until(() => loadAt(plane).inFlight === 0, 'its end');
    assert.equal(loadAt(plane).latencyMs, 0);
  });

  test('what applications say about themselves (ORCA) is believed and not passed on', async () => {
    const report = { 'endpoint-load-metrics': 'TEXT cpu_utilization=0.3,named_metrics.requests_in_flight=77' };
    const say: Handler = (_request, response) => void response.writeHead(200, { ...report, 'x-own': 'stays' }).end();
    const said = await instance(1, say);
    const changed = await instance(3, say, 'http1', { responseHeaders: { set: { 'x-rule': 'too' }, add: {}, remove: [] } });
    const binary = Buffer.from('421d0a12' + Buffer.from('requests_in_flight').toString('hex') + '110000000000405540', 'hex');
    const grpc = await instance(
      2,
      (request, response) => {
        request.resume();
        response.addTrailers({ 'endpoint-load-metrics-bin': binary.toString('base64') });
        answerGrpc(response, 'fine');
      },
      'http2',
    );
    for (const [called, inFlight] of [
      [said, 77],
      [changed, 77],
      [grpc, 85],
    ] as const) {
      const web = await caller([called.endpoint]);
      const { headers } = await web.client.call({ method: 'POST', headers: GRPC_HEADERS, body: [Buffer.alloc(5)] });
      assert.equal(headers['endpoint-load-metrics'], undefined);
      assert.equal(headers['x-own'], called === grpc ? undefined : 'stays');
      assert.equal(headers['x-rule'], called === changed ? 'too' : undefined);
      assert.equal(loadAt(called.plane).inFlight, inFlight);
    }
  });

  test('an application without a data plane of its own is not asked, and what it says is passed on', async () => {
    const says = { 'endpoint-load-metrics': 'TEXT cpu_utilization=0.3' };
    const { port } = await startApplication(mesh, 'http2', (_request, response) => void response.writeHead(200, says).end());
    const other = await startApplication(mesh, 'http2', ok);
    const web = await caller([endpoint(port, 'orders-1'), endpoint(other.port, 'orders-2')], { cluster: { tls: undefined } });
    let said = false;
    const hear = ({ headers }: Answer): void => void (said ||= headers['endpoint-load-metrics'] === says['endpoint-load-metrics']);
    await callUntil(web, () => said && [0, 1].every((index) => web.basisOf(index) === NO_ANSWERS), 'both', hear);
  });

  /** A server that a data plane takes for one of the mesh, and that is none. */
  async function stranger(extra: http2.Settings = {}): Promise<Endpoint> {
    const { certificatePem: cert, keyPem: key } = mesh.authority.service('orders');
    const server = http2.createSecureServer(
      { cert, key, ca: mesh.authority.rootsPem, requestCert: true, settings: extra },
      (_request, response) => void response.end('ok'),
    );
    const sessions = new Set<http2.ServerHttp2Session>();
    server.on('session', (session) => void sessions.add(session));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    mesh.onClose(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    return endpoint((server.address() as AddressInfo).port, 'foreign');
  }

  test('an instance that does not know such questions is not asked again soon, and gets its share', async () => {
    const own = await instance(1, ok);
    const web = await caller([own.endpoint, await stranger()]);
    await callUntil(web, () => web.basisOf(1) === NO_ANSWERS, 'that it is known');
    await callUntil(web, () => web.basisOf(0) === 'probes', 'answers of the other one');
    assert.equal(web.loadOf(1), undefined);
    assert.match(web.plane.metrics.expose(), /heddle_load_probes_total\{[^}]*result="unsupported"\} 1\n/);
  });

  test('questions that are not answered do no harm', async () => {
    const own = await instance(1, ok);
    const dumb = await stranger({ customSettings: { [SETTING.answersLoad]: 1 } });
    const dead = endpoint(DEAD_PORTS[0], 'dead');
    const frozen = await RawServer.listen();
    mesh.onClose(() => frozen.close());
    const web = await caller([own.endpoint, dumb, dead, endpoint(frozen.port, 'frozen')], { cluster: { connectTimeoutMs: 100 } });
    await callUntil(web, () => [1, 2, 3].every((index) => web.basisOf(index) === NO_ANSWERS), 'that all are given up');
    assert.equal(web.basisOf(0), 'probes');
    assert.match(web.plane.metrics.expose(), /heddle_load_probes_total\{[^}]*result="unanswered"\} \d+\n/);
    assert.doesNotMatch(web.plane.metrics.expose(), /result="unsupported"/);
    assert.equal((await web.client.call()).status, 200);
  });

  test('questions keep no connection open that requests do not use', async () => {
    const busy = await instance(1, ok);
    const idle = await instance(2, ok);
    await occupy(busy, 20);
    const web = await caller([busy.endpoint, idle.endpoint], { limits: { upstreamIdleTimeoutMs: 100 } });
    await callUntil(web, () => web.loadOf(0) !== undefined, 'an answer');
    await callUntil(web, () => web.hosts()[0]!.connections.open === 0, 'the end of its connection, while it would be asked');
    await callUntil(web, () => web.hosts()[0]!.connections.open === 1, 'another one, for the next question');
    await until(() => web.hosts().every(({ connections }) => connections.open === 0), 'the end of all without requests');
  });

  test('who asks too often is cut off, and who is not of the mesh is not told', async () => {
    const served = await instance(1, ok);
    const { certificatePem: cert, keyPem: key } = mesh.authority.service('web');
    const tls = { cert, key, ca: mesh.authority.rootsPem, ALPNProtocols: ['h2'], servername: '', checkServerIdentity: () => undefined };
    const peer = connectFrames(served.endpoint.port, { tls });
    const greeting = await peer.expect(FRAME.settings);
    assert.ok(greeting.payload.includes(Buffer.from([SETTING.answersLoad >> 8, SETTING.answersLoad & 0xff, 0, 0, 0, 1])));
    peer.send(frame(FRAME.load, 0, 0, uint32(7)));
    const { payload, flags } = await peer.expect(FRAME.load);
    assert.deepEqual([flags, ...[0, 4, 8].map((at) => payload.readUInt32BE(at))], [1, 7, 0, 0]);
    peer.send(...Array.from({ length: 3_000 }, (_, number) => frame(FRAME.load, 0, 0, uint32(number))));
    assert.equal(await peer.gone(), ENHANCE_YOUR_CALM);
    peer.socket.destroy();
    assert.match(served.plane.metrics.expose(), /heddle_http2_broken_connections_total\{[^}]*rule="TOO_MANY_LOAD_QUESTIONS"\} 1\n/);
    const web = await caller([served.endpoint]);
    assert.equal((await web.client.call()).status, 200);
    const outside = connectFrames(web.plane.plane.status().listeners[0]!.port);
    const offered = await outside.expect(FRAME.settings);
    assert.ok(!offered.payload.includes(Buffer.from([SETTING.answersLoad >> 8, SETTING.answersLoad & 0xff])));
    outside.socket.destroy();
  });
});
