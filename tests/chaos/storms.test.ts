// However an upstream fails, and whatever policy asks for it: it gets what was offered, the retry budget's share of that, and the few a second that
// the budget always allows. Without the budget each of these storms would be four times the load.
import assert from 'node:assert/strict';
import type http from 'node:http';
import http2 from 'node:http2';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import {
  LOCAL_RETRY_BUDGET,
  RETRY_BUDGET_WINDOW_MS,
  RETRY_CONDITIONS,
  type Endpoint,
  type RetryBudget,
  type RetryPolicy,
} from '@heddle/core';
import { createClient, type CallOptions, type Client, type Version } from '../../packages/dataplane/src/testing/clients.ts';
import { failGrpc, GRPC_HEADERS, startFleet } from '../../packages/dataplane/src/testing/instances.ts';
import { endpoint, type RouteOptions, TestMesh } from '../../packages/dataplane/src/testing/mesh.ts';
import { type HOPS, pair, startApplication } from '../../packages/dataplane/src/testing/paths.ts';
import { DEAD_PORTS } from '../../packages/dataplane/src/testing/raw-http.ts';
import { FRAME, FLAG, FramePeer, headers, rstStream, SETTING, settings } from '../../packages/dataplane/src/testing/frames.ts';

const BUDGET: RetryBudget = { percent: 20, minPerSecond: 1 };
/** Everything that can be asked for. */
const GREEDY: Partial<RetryPolicy> = {
  attempts: 3,
  on: RETRY_CONDITIONS,
  statuses: [500, 503],
  nonIdempotent: true,
  backoff: { baseMs: 1, maxMs: 2 },
};
const OFFERED = 240;
const AT_ONCE = 12;

type Failure = (request: http.IncomingMessage, response: http.ServerResponse) => void;
const closeStream =
  (code: number): Failure =>
  (_request, response) =>
    (response as unknown as http2.Http2ServerResponse).stream.close(code);

const FAILURES: Readonly<Record<string, { readonly versions: readonly Version[]; readonly fail: Failure }>> = {
  'answers 500': { versions: ['http1', 'http2'], fail: (_request, response) => void response.writeHead(500).end('no') },
  'resets connections': { versions: ['http1'], fail: (request) => void request.socket.destroy() },
  'resets streams': { versions: ['http2'], fail: closeStream(http2.constants.NGHTTP2_INTERNAL_ERROR) },
  'refuses streams': { versions: ['http2'], fail: closeStream(http2.constants.NGHTTP2_REFUSED_STREAM) },
  // As if each kept connection had just been closed: such requests are sent again by themselves, policy or not.
  'closes each connection at its second request': {
    versions: ['http1'],
    fail: (request, response) => {
      const socket = request.socket as typeof request.socket & { served?: boolean };
      if (socket.served === true) return void socket.destroy();
      socket.served = true;
      response.writeHead(500).end('no');
    },
  },
};

interface Storm {
  readonly clients: readonly Client[];
  readonly call?: CallOptions;
  /** Tries that have arrived. */
  readonly received: () => number;
  /** Of all data planes on the way. */
  readonly more?: readonly RetryBudget[];
}

describe('a retry storm', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  /** Sends what is offered, and holds what came of it against the budget. */
  async function prove({ clients, call, received, more = [] }: Storm): Promise<void> {
    const startMs = performance.now();
    let left = OFFERED;
    const statuses = new Map<number, number>();
    const one = async (client: Client): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const { status } = await client.call(call).catch(() => ({ status: 0 }));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => one(clients[index % clients.length]!)));
    const seconds = (performance.now() - startMs + RETRY_BUDGET_WINDOW_MS) / 1_000;
    const extra = [BUDGET, ...more].reduce((sum, { percent, minPerSecond }) => sum + (percent / 100) * OFFERED + minPerSecond * seconds, 0);
    const what = `${received()} tries of ${OFFERED} requests in ${seconds} s, answered ${JSON.stringify([...statuses])}`;
    assert.ok(received() <= OFFERED + extra, what);
    assert.ok(received() > OFFERED * 1.1, `${what}: the budget was not used`);
  }

  const fleetStorm = async (hops: (typeof HOPS)[number], version: Version, route: RouteOptions, fail: Failure): Promise<Storm> => {
    const options = { hops, version, count: 3, route, cluster: { retryBudget: BUDGET }, local: { retryBudget: LOCAL_RETRY_BUDGET } };
    const { client, requests } = await startFleet(mesh, options, (request, response) => {
      response.on('error', () => {});
      request.on('error', () => {});
      fail(request, response);
    });
    return { clients: [client], received: requests, more: hops === 'pair' ? Array.from({ length: 3 }, () => LOCAL_RETRY_BUDGET) : [] };
  };

  for (const [name, { versions, fail }] of Object.entries(FAILURES)) {
    for (const version of versions) {
      for (const hops of ['single', 'pair'] as const) {
        it(`is bounded where the upstream ${name} (${version}, ${hops})`, async () => {
          await prove(await fleetStorm(hops, version, { retry: GREEDY }, fail));
        });
      }
    }
  }

  it('is bounded where the upstream fails gRPC calls', async () => {
    for (const status of [14, 8]) {
      const storm = await fleetStorm('pair', 'http2', { retry: GREEDY }, (request, response) => {
        request.resume();
        failGrpc(response, status);
      });
      await prove({ ...storm, call: { method: 'POST', path: '/shop.Orders/Get', headers: GRPC_HEADERS, body: [Buffer.alloc(5)] } });
    }
  });

  it('is bounded with hedging as well, of an upstream that fails slowly', async () => {
    for (const version of ['http1', 'http2'] as const) {
      const route = { retry: GREEDY, hedge: { afterMs: 2, attempts: 3 } };
      await prove(
        await fleetStorm('single', version, route, (_request, response) => void setTimeout(() => response.writeHead(500).end(), 10)),
      );
    }
  });

  it('is bounded where nobody listens', async () => {
    const web = mesh.plane('web');
    const endpoints = DEAD_PORTS.map((port, index) => endpoint(port, `orders-${index + 1}`));
    const port = await mesh.outbound(web.plane, 'orders', endpoints, {
      route: { retry: GREEDY },
      cluster: { http: 'http1', tls: undefined, retryBudget: BUDGET },
    });
    const client = createClient('http1', port);
    mesh.onClose(() => client.close());
    await prove({ clients: [client], received: () => sumOf(web.metrics.expose(), 'heddle_upstream_connect_failures_total') });
  });

  it('is bounded where the data planes of the instances answer 503, because nobody listens behind them', async () => {
    const way = await pair(mesh, 'http1', DEAD_PORTS, {
      route: { retry: GREEDY },
      cluster: { retryBudget: BUDGET },
      local: { retryBudget: LOCAL_RETRY_BUDGET },
    });
    const orders = way.planes[1]!;
    await prove({ clients: [way.client('http2')], received: () => sumOf(orders.metrics.expose(), 'heddle_requests_total') });
  });

  it('is bounded for all workloads of a data plane together', async () => {
    let received = 0;
    const endpoints: Endpoint[] = [];
    for (let number = 1; number <= 3; number += 1) {
      const { port } = await startApplication(mesh, 'http1', (_request, response) => {
        received += 1;
        response.writeHead(503).end();
      });
      endpoints.push(endpoint(port, `orders-${number}`));
    }
    const web = mesh.plane('web');
    const clients: Client[] = [];
    for (const workload of ['default/web/web-1', 'default/web/web-2', 'default/jobs/jobs-1']) {
      const port = await mesh.outbound(web.plane, 'orders', endpoints, {
        workload,
        route: { retry: GREEDY },
        cluster: { http: 'http1', tls: undefined, retryBudget: BUDGET },
      });
      const client = createClient('http1', port);
      mesh.onClose(() => client.close());
      clients.push(client);
    }
    await prove({ clients, received: () => received });
  });
});

describe('what is no storm', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  it('requests that were sent before an instance said how few it takes are sent again, with no budget at all', async () => {
    // Says it only after the first requests have come, as servers do that are slow to begin.
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    mesh.onClose(() => void server.close());
    const [count, limit] = [30, 20];
    let connections = 0;
    server.on('connection', (socket) => {
      mesh.onClose(() => void socket.destroy());
      const peer = new FramePeer(socket, 'server');
      let open = 0;
      let isGreeted = connections++ > 0;
      if (isGreeted) peer.send(settings([SETTING.maxConcurrentStreams, limit]));
      const waiting: number[] = [];
      const take = (streamId: number): void => {
        if (open === limit) return void peer.send(rstStream(streamId, http2.constants.NGHTTP2_REFUSED_STREAM));
        open += 1;
        setImmediate(() => {
          open -= 1;
          peer.send(headers(streamId, [[':status', '200']], true));
        });
      };
      peer.onFrame = ({ type, flags, streamId }) => {
        if (type !== FRAME.headers || (flags & FLAG.endStream) === 0) return;
        if (isGreeted) return take(streamId);
        waiting.push(streamId);
        if (waiting.length < count) return;
        isGreeted = true;
        peer.send(settings([SETTING.maxConcurrentStreams, limit]));
        for (const id of waiting) take(id);
      };
    });
    const web = mesh.plane('web');
    const port = await mesh.outbound(web.plane, 'orders', [endpoint((server.address() as AddressInfo).port, 'orders-1')], {
      route: { retry: { attempts: 0 } },
      cluster: { http: 'http2', tls: undefined, retryBudget: { percent: 0, minPerSecond: 0 } },
    });
    const client = createClient('http2', port);
    mesh.onClose(() => client.close());
    const answers = await Promise.all(Array.from({ length: count }, () => client.call()));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  });

  it('hedges leave a request its retries', async () => {
    const tries: number[] = [];
    const { client } = await startFleet(
      mesh,
      {
        ...{ hops: 'single', version: 'http1', count: 4 },
        route: { retry: { ...GREEDY, attempts: 1 }, hedge: { afterMs: 20, attempts: 1 } },
      },
      (_request, response) => {
        const number = tries.push(tries.length);
        // The first is overtaken by a hedge; both fail; the retry is good.
        if (number === 3) return void response.end('good');
        setTimeout(() => response.writeHead(500).end(), number === 1 ? 80 : 40);
      },
    );
    const answer = await client.call();
    assert.deepEqual([answer.status, tries.length], [200, 3]);
  });
});

function sumOf(text: string, name: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
