// Servers of an application that has the data plane in its process, against a real control plane: every usual kind of server is called through the mesh
// by another process' data plane, knows who calls, and leaves without a failed request.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { METRIC_GROUPS } from '@heddle/core';
import { createMesh, joinServers, type MeshOptions, meshOf, type RunningMesh, serve } from '@heddle/client';
import { mesh as expressMesh } from '@heddle/client/express';
import { mesh as fastifyMesh } from '@heddle/client/fastify';
import { meshInterceptor, meshOf as meshOfCall } from '@heddle/client/grpc-server';
import { mesh as honoMesh, type MeshEnv } from '@heddle/client/hono';
import { mesh as koaMesh, type MeshContext } from '@heddle/client/koa';
import type { RunningControl } from '@heddle/control';
import express from 'express';
import fastify from 'fastify';
import { serve as honoServe } from '@hono/node-server';
import { Hono } from 'hono';
import Koa from 'koa';
import { WebSocket, WebSocketServer } from 'ws';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { memberOptions } from '../support/member.ts';
import { ADMIN_TOKEN, Cleanup, control, joinToken, LOOPBACK, meshOf as meshFile, temporaryDirectory } from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';

const CALLER = 'spiffe://test/ns/default/svc/web';
const HEALTH = 'health: { interval: 500ms, timeout: 500ms }';
const SERVICES = ['plain', 'express', 'fastify', 'hono', 'hono-node', 'koa', 'closed', 'claims', 'ways', 'leaving', 'held-up'];
const meshYaml = (keysUrl: string): string => `
mesh: test
services:
  web: { port: 81, ${HEALTH} }
  h2c: { port: 80, protocol: http2, ${HEALTH} }
  rpc: { port: 80, protocol: grpc, ${HEALTH} }
  rpc-inside: { port: 80, protocol: grpc, ${HEALTH} }
${SERVICES.map((name) => `  ${name}: { port: 80, ${HEALTH} }`).join('\n')}
security:
  issuers:
    - { name: login, issuer: "https://id.example", audiences: [shop], keys: "${keysUrl}" }
  access:
    default: allow
    rules:
      - { effect: deny, from: web, to: closed, paths: ["/secret/**"] }
`;

const keys = await generateKeyPair('ES256');
const cleanup = new Cleanup();
/** All at once: each waits until the others have heard of it. */
const stops: (() => Promise<unknown>)[] = [];
let running: RunningControl;
let web: RunningMesh;

/** Becomes part of the mesh as soon as something listens on its port. */
async function instance(service: string, more: MeshOptions = {}): Promise<{ readonly mesh: RunningMesh; readonly port: number }> {
  const port = await freePort();
  const mesh = createMesh(await memberOptions(running, service, { port, ...more }));
  cleanup.add(joinServers(mesh, { port }));
  stops.push(() => mesh.stop());
  return { mesh, port };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
}

function ask(authority: string, options: http.RequestOptions = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: authority, path: '/', createConnection: () => web.connect(), ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => void (text += part));
      response.on('end', () => resolve({ status: response.statusCode!, body: text, headers: response.headers }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** What every application here answers with. */
async function known(
  service: string,
): Promise<{ peer: { id: string; namespace: string; service: string } | undefined; timeLeftMs?: number }> {
  const authority = `${service}.mesh.internal`;
  await waitFor(`${service} answers`, async () => (await ask(authority)).status === 200);
  // Whoever calls through the mesh cannot say who it is, in no spelling.
  const spoofed = {
    'x-heddle-peer': 'spiffe://test/ns/default/svc/admin',
    x_heddle_peer: 'spiffe://test/ns/default/svc/admin',
    'x-heddle-claims': 'e30',
  };
  const answer = await ask(authority, { headers: { ...spoofed, 'x-request-timeout': '5s' } });
  return JSON.parse(answer.body) as ReturnType<typeof known> extends Promise<infer T> ? T : never;
}

/** Past the mesh: the port of the application itself. */
async function askedDirectly(port: number): Promise<unknown> {
  const response = await fetch(`http://${LOOPBACK}:${port}/`, {
    headers: { 'x-heddle-peer': CALLER, 'x-heddle-claims': 'eyJzdWIiOiJyb290In0' },
  });
  return response.json();
}

before(async () => {
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'ES256', use: 'sig' };
  const issuer = http.createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => void issuer.listen(0, LOOPBACK, resolve));
  cleanup.add(() => issuer.close());
  running = await control(cleanup, { mesh: meshFile(meshYaml(`http://${LOOPBACK}:${(issuer.address() as AddressInfo).port}/jwks`)) });
  cleanup.add(() => Promise.all(stops.map((stop) => stop())));
  web = createMesh(await memberOptions(running, 'web'));
  stops.push(() => web.stop());
  await web.ready();
});
after(() => cleanup.run());

async function provesIdentity(service: string, listen: (port: number) => unknown): Promise<void> {
  const { port } = await instance(service);
  await listen(port);
  const { peer, timeLeftMs } = await known(service);
  assert.deepEqual(peer, { id: CALLER, trustDomain: 'test', namespace: 'default', service: 'web' });
  assert.ok(timeLeftMs! > 0 && timeLeftMs! <= 5_000);
  assert.deepEqual(await askedDirectly(port), {});
}

describe('servers in the process of a data plane know who calls', () => {
  test('node:http', () =>
    provesIdentity('plain', (port) => {
      const server = http.createServer((request, response) => response.end(JSON.stringify(meshOf(request, response))));
      cleanup.add(() => server.close());
      server.listen(port, LOOPBACK);
    }));

  test('express', () =>
    provesIdentity('express', (port) => {
      const app = express();
      app.use(expressMesh());
      app.get('/', (request, response) => response.json(request.mesh));
      const server = app.listen(port);
      cleanup.add(() => server.close());
    }));

  test('fastify', () =>
    provesIdentity('fastify', async (port) => {
      const app = fastify();
      app.register(fastifyMesh);
      app.get('/', (request) => Promise.resolve(request.mesh));
      cleanup.add(() => app.close());
      await app.listen({ port, host: 'localhost' });
    }));

  test('koa', () =>
    provesIdentity('koa', (port) => {
      const app = new Koa<object, MeshContext>();
      app.use(koaMesh());
      app.use((context) => {
        context.body = context.mesh;
      });
      const server = app.listen(port);
      cleanup.add(() => server.close());
    }));

  const honoApp = (): Hono<MeshEnv> => {
    const app = new Hono<MeshEnv>();
    app.use(honoMesh());
    app.get('/', (c) => c.json(c.get('mesh')));
    app.post('/echo', async (c) => c.text(await c.req.text()));
    return app;
  };

  test('hono on @hono/node-server', () =>
    provesIdentity('hono-node', (port) => {
      const server = honoServe({ fetch: honoApp().fetch, port, hostname: LOOPBACK });
      cleanup.add(() => server.close());
    }));

  test('hono by serve, without a port of its own', async () => {
    const { mesh, close } = await serve(honoApp(), await memberOptions(running, 'hono'));
    stops.push(close);
    assert.equal(mesh.workload.startsWith('default/hono/'), true);
    const { peer } = await known('hono');
    assert.deepEqual(peer?.id, CALLER);
    const answer = await ask('hono.mesh.internal', { method: 'POST', path: '/echo' }, 'a body');
    assert.equal(answer.body, 'a body');
  });
});

type Bytes = (value: Buffer) => Buffer;
const same: Bytes = (value) => value;
const ECHO: grpc.MethodDefinition<Buffer, Buffer> = {
  path: '/test.Echo/Say',
  requestStream: false,
  responseStream: false,
  ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
};

function grpcServer(): grpc.Server {
  const server = new grpc.Server({ interceptors: [meshInterceptor(grpc)] });
  server.addService(
    { Say: ECHO },
    {
      Say: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) =>
        done(null, Buffer.from(JSON.stringify(meshOfCall(call)))),
    },
  );
  return server;
}

/** A port that leads into the mesh, for clients that need one. */
async function wayIn(): Promise<number> {
  const server = net.createServer((socket) => pipeline(socket, web.connect(), socket, () => {}));
  await new Promise<void>((resolve) => void server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => server.close());
  return (server.address() as AddressInfo).port;
}

function say(
  client: grpc.Client,
  metadata = new grpc.Metadata(),
  deadline = Date.now() + 5_000,
): Promise<{ peer?: { id: string }; timeLeftMs?: number }> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(ECHO.path, same, same, Buffer.from('hi'), metadata, { deadline }, (error, value) =>
      error === null ? resolve(JSON.parse(value!.toString()) as object) : reject(error),
    );
  });
}

async function grpcClient(service: string): Promise<grpc.Client> {
  const client = new grpc.Client(`${LOOPBACK}:${await wayIn()}`, grpc.credentials.createInsecure(), {
    'grpc.default_authority': `${service}.mesh.internal`,
  });
  cleanup.add(() => client.close());
  return client;
}

async function provesGrpcIdentity(service: string): Promise<void> {
  const client = await grpcClient(service);
  await waitFor('an answer', () => say(client).then(Boolean));
  const spoofed = new grpc.Metadata();
  spoofed.set('x-heddle-peer', 'spiffe://test/ns/default/svc/admin');
  const { peer, timeLeftMs } = await say(client, spoofed);
  assert.equal(peer?.id, CALLER);
  assert.ok(timeLeftMs! > 0 && timeLeftMs! <= 5_000);
}

describe('servers of HTTP/2', () => {
  test('node:http2, with streams', async () => {
    const { port } = await instance('h2c');
    const server = http2.createServer();
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(JSON.stringify(meshOf(stream, headers)));
    });
    server.listen(port, LOOPBACK);
    cleanup.add(() => server.close());
    const { peer } = await known('h2c');
    assert.equal(peer?.id, CALLER);
    const session = http2.connect(`http://${LOOPBACK}:${port}`);
    const direct = await new Promise<string>((resolve, reject) => {
      const request = session.request({ ':path': '/', 'x-heddle-peer': CALLER }).on('error', reject);
      let text = '';
      request
        .setEncoding('utf8')
        .on('data', (part: string) => void (text += part))
        .on('end', () => resolve(text));
    });
    session.close();
    assert.equal(direct, '{}');
  });

  test('grpc-js, which closes its port and ends when it is told to', async () => {
    const { port } = await instance('rpc');
    const server = grpcServer();
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`${LOOPBACK}:${port}`, grpc.ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
    await provesGrpcIdentity('rpc');
    const direct = new grpc.Client(`${LOOPBACK}:${port}`, grpc.credentials.createInsecure());
    const spoofed = new grpc.Metadata();
    spoofed.set('x-heddle-peer', CALLER);
    assert.equal((await say(direct, spoofed)).peer, undefined);
    direct.close();
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error === undefined ? resolve() : reject(error))));
  });

  test('grpc-js by serve, without a port', async () => {
    const server = grpcServer();
    const credentials = grpc.ServerCredentials.createInsecure();
    const { close } = await serve(server, { ...(await memberOptions(running, 'rpc-inside')), credentials });
    stops.push(close);
    await provesGrpcIdentity('rpc-inside');
    await close();
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error === undefined ? resolve() : reject(error))));
  });
});

describe('what HTTP has besides requests and responses', () => {
  const authority = 'ways.mesh.internal';
  /** Of the last request that its caller gave up. */
  let gone: Promise<unknown>;

  before(async () => {
    const { port } = await instance('ways');
    const server = http.createServer((request, response) => {
      if (request.url === '/trailers') {
        request.resume().on('end', () => {
          response.writeHead(200, { trailer: 'x-sum' });
          response.write('body');
          response.addTrailers({ 'x-sum': String(request.trailers['x-sum']) });
          response.end();
        });
      } else if (request.url === '/hang') {
        const { signal } = meshOf(request, response);
        gone = new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));
        response.write('begun');
      } else if (request.url === '/socket') response.end(`${request.socket.remotePort}`);
      else request.pipe(response);
    });
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket, request) => {
      socket.send(String(request.headers['x-heddle-peer']));
      socket.on('message', (data: Buffer) => socket.send(data));
    });
    cleanup.add(() => sockets.close());
    cleanup.add(() => server.close());
    server.listen(port, LOOPBACK);
    await waitFor('an answer', async () => (await ask(authority)).status === 200);
  });

  test('bodies that are larger than every buffer', async () => {
    const body = 'x'.repeat(5_000_000);
    const answer = await ask(authority, { method: 'POST' }, body);
    assert.equal(answer.body.length, body.length);
  });

  test('trailers, both ways', async () => {
    const trailers = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = http.request({
        host: authority,
        path: '/trailers',
        method: 'POST',
        headers: { trailer: 'x-sum' },
        createConnection: () => web.connect(),
      });
      request.on('error', reject).on('response', (response) => response.resume().on('end', () => resolve(response)));
      request.write('a');
      request.addTrailers({ 'x-sum': '97' });
      request.end();
    });
    assert.equal(trailers.trailers['x-sum'], '97');
  });

  test('100 (Continue)', async () => {
    const heard = await new Promise<string[]>((resolve, reject) => {
      const order: string[] = [];
      const headers = { expect: '100-continue', 'content-length': 4 };
      const request = http.request(
        { host: authority, path: '/', method: 'POST', headers, createConnection: () => web.connect() },
        (response) => {
          response.setEncoding('utf8').on('data', (part: string) => order.push(part));
          response.on('end', () => resolve(order));
        },
      );
      request.on('error', reject);
      request.on('continue', () => {
        order.push('continue');
        request.end('body');
      });
      request.flushHeaders();
    });
    assert.deepEqual(heard, ['continue', 'body']);
  });

  test('connections to the application that are used again', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = () => web.connect();
    for (let at = 0; at < 3; at++) assert.equal((await ask(authority, { path: '/socket', agent, createConnection: undefined })).body, '0');
    agent.destroy();
  });

  test('callers that give up', async () => {
    await new Promise<void>((resolve) => {
      const request = http.request({ host: authority, path: '/hang', createConnection: () => web.connect() }, (response) => {
        response.once('data', () => {
          request.destroy();
          resolve();
        });
        response.on('error', () => {});
      });
      request.on('error', () => {});
      request.end();
    });
    assert.deepEqual(((await gone) as Error).name, 'AbortError');
  });

  test('WebSockets', async () => {
    const socket = new WebSocket(`ws://${authority}/`, { createConnection: () => web.connect() as unknown as net.Socket });
    const heard: string[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data: Buffer) => {
        heard.push(data.toString());
        if (heard.length === 1) socket.send('hello');
        else resolve();
      });
    });
    socket.close();
    assert.deepEqual(heard, [CALLER, 'hello']);
  });
});

describe('what the data plane does before the application', () => {
  test('refuses callers whom the rules deny', async () => {
    const paths: string[] = [];
    const { close } = await serve(
      (request: http.IncomingMessage, response: http.ServerResponse) => {
        paths.push(request.url!);
        response.end('open');
      },
      { ...(await memberOptions(running, 'closed')), liveness: '/.heddle/live' },
    );
    stops.push(close);
    const authority = 'closed.mesh.internal';
    await waitFor('an answer', async () => (await ask(authority)).status === 200);
    paths.length = 0;
    const denied = await ask(authority, { path: '/secret/1' });
    assert.equal(denied.status, 403);
    assert.equal(denied.headers['x-heddle-error'], 'ACCESS_DENIED');
    const live = await ask(authority, { path: '/.heddle/live?x' });
    assert.deepEqual([live.status, (JSON.parse(live.body) as { status: string }).status], [200, 'live']);
    assert.deepEqual(paths, []);
  });

  test('checks tokens, and tells the application what they say', async () => {
    const { close } = await serve(
      (request: http.IncomingMessage, response: http.ServerResponse) =>
        response.end(JSON.stringify(meshOf(request, response).claims ?? null)),
      await memberOptions(running, 'claims'),
    );
    stops.push(close);
    const authority = 'claims.mesh.internal';
    await waitFor('an answer', async () => (await ask(authority)).status === 200);
    const claims = { sub: 'ada', realm: { roles: ['clerk'] }, name: 'Ada Lovelace, Ω' };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer('https://id.example')
      .setAudience('shop')
      .setExpirationTime('1h')
      .sign(keys.privateKey);
    const answer = await ask(authority, { headers: { authorization: `Bearer ${token}` } });
    const told = JSON.parse(answer.body) as typeof claims & { iss: string };
    assert.deepEqual({ sub: told.sub, realm: told.realm, name: told.name, iss: told.iss }, { ...claims, iss: 'https://id.example' });
    assert.equal((await ask(authority, { headers: { authorization: `Bearer ${token}x` } })).status, 401);
    assert.equal(
      (await ask(authority, { headers: { 'x-heddle-claims': Buffer.from('{"sub":"root"}').toString('base64url') } })).body,
      'null',
    );
  });

  test('lets the instance leave under load without a failed request', async () => {
    const authority = 'leaving.mesh.internal';
    const start = async (name: string): Promise<() => Promise<void>> => {
      const app = express();
      app.get('/', (_request, response) => void setImmediate(() => response.end(name)));
      const { close } = await serve(app, { ...(await memberOptions(running, 'leaving')), instance: name });
      stops.push(close);
      return close;
    };
    const leave = await start('leaving-1');
    await waitFor('one', async () => (await ask(authority)).status === 200);
    await start('leaving-2');
    await waitFor('two', async () => (await ask(authority)).body === 'leaving-2');
    const answers: Answer[] = [];
    let goesOn = true;
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (goesOn) answers.push(await ask(authority));
      }),
    );
    await leave();
    const before = answers.length;
    await waitFor('more answers', () => answers.length > before + 50);
    goesOn = false;
    await load;
    assert.deepEqual(
      answers.filter(({ status }) => status !== 200),
      [],
    );
    assert.ok(answers.slice(before + 4).every(({ body }) => body === 'leaving-2'));
  });
});

describe('what the process says of itself', () => {
  test('leads callers away from an instance whose event loop is held up', async () => {
    const start = async (instance: string, more: Readonly<Record<string, string>>): Promise<void> => {
      const child = spawn(process.execPath, ['--conditions=heddle-source', join(import.meta.dirname, '../fixtures/in-process-server.ts')], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          HEDDLE_SERVICE: 'held-up',
          HEDDLE_INSTANCE: instance,
          HEDDLE_CONTROL: `${running.address}:${running.port}`,
          HEDDLE_JOIN_TOKEN: await joinToken(running, 'held-up'),
          ...more,
        },
      });
      // It takes leave, and has nothing more to do then.
      stops.push(async () => {
        const ended = new Promise((resolve) => void child.once('exit', (code) => resolve(code)));
        if (child.exitCode === null) child.kill('SIGTERM');
        assert.equal(child.exitCode ?? (await ended), 0);
      });
    };
    const tokenFile = join(await temporaryDirectory(cleanup), 'token');
    await writeFile(tokenFile, ADMIN_TOKEN, { mode: 0o600 });
    const adminPort = await freePort();
    const admin = { HEDDLE_ADMIN_PORT: String(adminPort), HEDDLE_ADMIN_TOKEN_FILE: tokenFile };
    await Promise.all([start('free', {}), start('busy', { BLOCK_MS: '150', ...admin })]);
    const authority = 'held-up.mesh.internal';
    const counts = new Map<string, number>();
    const one = async (): Promise<void> => {
      const { status, body } = await ask(authority);
      if (status === 200) counts.set(body, (counts.get(body) ?? 0) + 1);
    };
    await waitFor('both', async () => {
      await one();
      return counts.size === 2;
    });
    const look = async (path: string): Promise<Response> =>
      fetch(`http://${LOOPBACK}:${adminPort}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    await waitFor('the busy one to say so', async () => {
      const { listeners } = (await (await look('/config_dump')).json()) as { listeners: { load?: { latencyMs: number } }[] };
      return listeners.some(({ load }) => load !== undefined && load.latencyMs > 15);
    });
    let metrics = '';
    await waitFor('the delay and a collection among the metrics', async () => {
      metrics = await (await look('/metrics')).text();
      const delay = Number(/^heddle_process_event_loop_delay_seconds (\S+)$/m.exec(metrics)?.[1]);
      return delay > 0.01 && metrics.includes('\nheddle_process_gc_pause_seconds_count{');
    });
    for (const name of ['heddle_process_event_loop_utilization', 'heddle_process_requests_in_flight'])
      assert.match(metrics, new RegExp(`^${name}[ {]`, 'm'));
    const defined = Object.values(METRIC_GROUPS).flat();
    for (const [, name = '', type] of metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      const metric = defined.find((one) => one.name === name);
      assert.deepEqual([metric?.type, metric?.of.includes('application')], [type, true], name);
    }
    // What is known of its load comes with the answers to requests and probes.
    await waitFor('the busy one to be left alone', async () => {
      counts.clear();
      for (let at = 0; at < 10; at++) await Promise.all([one(), one(), one(), one()]);
      return (counts.get('free') ?? 0) > 36;
    });
  });
});
