// The real Envoy as a data plane: applications behind Envoys and behind Heddle's proxies call one another, in every direction and by every
// protocol, and what happens in the mesh reaches both alike.
import assert from 'node:assert/strict';
import { createServer as createTcpServer, connect, type AddressInfo } from 'node:net';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { discovery } from '@heddle/api';
import type { RunningProxy } from '@heddle/proxy';
import { WebSocket, WebSocketServer } from 'ws';
import { callThroughProxy, startLoad } from '../support/load.ts';
import {
  certificateOf,
  type Certificate,
  Cleanup,
  connectedProxies,
  control,
  host,
  instances,
  LOOPBACK,
  machine,
  meshOf,
  untilEndpoints,
  untilReady,
  type Workload,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { ControlProcess, type Envoy, startEnvoy } from './support/envoy.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { EchoClient, fields, grpcServer } from './support/grpc.ts';
import { reason } from './support/programs.ts';

const HEALTH = 'health: { interval: 300ms, timeout: 300ms, unhealthyAfter: 2 }';
/** Behind Envoys: alpha, gamma, bytes. Behind a proxy of Heddle: beta, delta, omega, and the client. */
const mesh = (betaTimeout: string): string => `mesh: interop
services:
  alpha: { port: 8001, ${HEALTH} }
  beta: { port: 8002, timeout: ${betaTimeout}, ${HEALTH} }
  gamma: { port: 8003, protocol: grpc, ${HEALTH} }
  delta: { port: 8004, protocol: grpc, ${HEALTH} }
  bytes: { port: 8005, protocol: tcp, ${HEALTH} }
  omega: { port: 8006, protocol: tcp, ${HEALTH} }
  mixed: { port: 8007, protocol: auto, ${HEALTH} }
  vault: { port: 8009, protocol: tls, ${HEALTH} }
  client: { port: 8008, ${HEALTH} }
`;
const BIG = 'x'.repeat(1_000_000);

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
let plane: ControlProcess;
let near: RunningProxy;
let client: Workload;
/** The Envoys beside alpha, gamma and bytes. Alpha's calls everybody. */
let alpha: Envoy;
let gamma: Envoy;
let bytes: Envoy;
let apps: { readonly alpha: WebApp; readonly beta: readonly WebApp[] };

interface WebApp {
  readonly port: number;
  stop(): Promise<void>;
  /** Again on the same port. */
  start(): Promise<void>;
}

/** Answers with what it got; `/slow` after a second; takes WebSockets. */
async function webApp(name: string): Promise<WebApp> {
  const respond = (incoming: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method, url, headers } = incoming;
      const body = Buffer.concat(chunks).toString();
      response.setHeader('x-heddle-error', 'FORGED');
      const answer = (): unknown => response.end(JSON.stringify({ name, method, url, headers, body }));
      if (url === '/slow') setTimeout(answer, 1_000);
      else answer();
    });
  };
  let port = 0;
  let stop = async (): Promise<void> => {};
  const begin = async (): Promise<void> => {
    const server = createServer(respond);
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket, { headers }) => {
      socket.send(String(headers['x-heddle-peer']));
      socket.on('message', (data: Buffer) => socket.send(data.toString().toUpperCase()));
    });
    await new Promise<void>((resolve, reject) => void server.on('error', reject).listen(port, LOOPBACK, resolve));
    ({ port } = server.address() as AddressInfo);
    stop = () =>
      new Promise((resolve) => {
        for (const socket of sockets.clients) socket.terminate();
        server.close(() => resolve());
        server.closeAllConnections();
      });
  };
  await begin();
  cleanup.add(() => stop());
  return { port, stop: () => stop(), start: begin };
}

/** Greets, and repeats what it gets; closes after the other side. */
async function tcpApp(name: string): Promise<number> {
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.write(`${name}:`);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** The same behind TLS of its own, with any certificate. */
async function tlsApp(name: string): Promise<number> {
  const { certificatePem, keyPem } = await certificateOf(plane.ref, 'vault');
  const server = createTlsServer({ cert: certificatePem, key: keyPem }, (socket) => {
    socket.on('error', () => {});
    socket.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Sends the text, ends its direction, and resolves to all that came back. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = '';
    const socket = connect({ port, host: LOOPBACK, allowHalfOpen: true }, () => socket.end(text));
    socket.setEncoding('utf8').on('data', (chunk: string) => void (got += chunk));
    socket.on('end', () => resolve(got)).on('error', reject);
  });
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** What the application says it got. */
  readonly got: { readonly name: string; readonly body: string; readonly headers: Readonly<Record<string, string>> };
}

function http(url: string, method = 'GET', body = '', headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, timeout: 10_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk));
      response.on('end', () => {
        const got = text.startsWith('{') ? (JSON.parse(text) as Answer['got']) : { name: '', body: '', headers: {} };
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, got });
      });
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', reject).end(body);
  });
}

const id = (service: string): string => `spiffe://interop/ns/default/svc/${service}`;
const local = (service: string): number => client.outbounds.find((outbound) => outbound.service.name === service)?.listen.port ?? 0;
const viaHeddle = (service: string, path = '/'): string => `http://${LOOPBACK}:${local(service)}${path}`;

async function healthOf(instance: string): Promise<string> {
  const known = (await instances(plane.ref)).get(instance);
  if (known === undefined) return 'gone';
  const { health, healthReason } = discovery.instanceFromMessage(known);
  return `${health}: ${healthReason}`;
}

/** Envoy follows the registry by itself; a call shows what it knows. */
async function untilAnswersFrom(url: string, names: readonly string[]): Promise<void> {
  await waitFor(`answers from ${names.join()}`, async () => {
    const seen = new Set<string>();
    for (let call = 0; call < 3 * names.length + 3; call += 1) {
      const { status, got, headers } = await http(url);
      seen.add(status === 200 ? got.name : `${status} ${String(headers['x-heddle-error'])}`);
    }
    assert.deepEqual([...seen].sort(), [...names]);
    return true;
  });
}

before(async () => {
  if (skip !== false) return;
  if (typeof found !== 'string') throw new Error(`not on this machine: ${found.reason}`);
  plane = await ControlProcess.start(cleanup, mesh('5s'));
  const [alphaApp, beta1, beta2] = [await webApp('alpha-1'), await webApp('beta-1'), await webApp('beta-2')];
  apps = { alpha: alphaApp, beta: [beta1, beta2] };
  const [bytesPort, omegaPort] = [await tcpApp('bytes-1'), await tcpApp('omega-1')];
  const [gammaPort, deltaPort] = [await grpcServer(cleanup, 'gamma-1'), await grpcServer(cleanup, 'delta-1')];
  const others = ['beta', 'gamma', 'delta', 'bytes', 'omega', 'mixed'];
  [alpha, gamma, bytes] = await Promise.all([
    startEnvoy(cleanup, found, plane, {
      ...{ service: 'alpha', instance: 'alpha-1', applicationPort: apps.alpha.port },
      ...{ uses: others, outboundProxy: true },
    }),
    startEnvoy(cleanup, found, plane, { service: 'gamma', instance: 'gamma-1', applicationPort: gammaPort }),
    startEnvoy(cleanup, found, plane, { service: 'bytes', instance: 'bytes-1', applicationPort: bytesPort, uses: ['alpha', 'beta'] }),
  ]);
  near = await machine(cleanup, plane.ref, { node: 'near' });
  for (const app of apps.beta) await host(near, plane.ref, `beta-${apps.beta.indexOf(app) + 1}`, app.port);
  await host(near, plane.ref, 'delta-1', deltaPort);
  await host(near, plane.ref, 'omega-1', omegaPort);
  await host(near, plane.ref, 'mixed-1', beta1.port);
  await host(near, plane.ref, 'vault-1', await tlsApp('vault-1'));
  client = await host(near, plane.ref, 'client-1', beta1.port, { uses: ['alpha', 'gamma', 'bytes'] });
  await untilReady(near);
  for (const service of ['alpha', 'gamma', 'bytes', 'delta', 'omega', 'mixed', 'vault'])
    await untilEndpoints(near, service, [`${service}-1`]);
  await untilAnswersFrom(alpha.url('beta'), ['beta-1', 'beta-2']);
});
after(() => cleanup.run());

describe('Envoy as a data plane', { skip }, () => {
  test('takes everything that it is given, and the control plane knows it', async () => {
    for (const envoy of [alpha, gamma, bytes]) {
      const { errors, names } = await envoy.config();
      assert.deepEqual(errors, []);
      for (const name of [
        'dynamic_active_secrets workload',
        'dynamic_active_secrets trust-bundle',
        'dynamic_active_clusters outbound/default/beta',
      ])
        assert.ok(names.includes(name), `${name} in ${names.join('\n')}`);
    }
    const listeners = (await alpha.config()).names.filter((name) => name.startsWith('dynamic_listeners'));
    assert.equal(listeners.length, 8, listeners.join());
    const proxies = await connectedProxies(plane.ref);
    const envoys = proxies.filter(({ node }) => /^(alpha|gamma|bytes)-1\./.test(node));
    assert.deepEqual(envoys.map(({ node, identity }) => `${node} ${identity}`).sort(), [
      `alpha-1.alpha.default ${id('alpha')}`,
      `bytes-1.bytes.default ${id('bytes')}`,
      `gamma-1.gamma.default ${id('gamma')}`,
    ]);
    for (const { sync } of envoys)
      for (const { kind, sentVersion, ackedVersion, rejection } of sync) {
        assert.equal(rejection, '', kind);
        assert.equal(ackedVersion, sentVersion, kind);
      }
    assert.equal(await healthOf('alpha-1'), 'healthy: checks pass');
  });

  const directions: readonly (readonly [string, () => string, string, string])[] = [
    ['from Heddle to Envoy', () => viaHeddle('alpha', '/a?b=c'), 'client', 'alpha-1'],
    ['from Envoy to Heddle', () => bytes.url('beta', '/a?b=c'), 'bytes', 'beta-'],
    ['from Envoy to Envoy', () => bytes.url('alpha', '/a?b=c'), 'bytes', 'alpha-1'],
    ['through Envoy where the protocol is found out', () => alpha.url('mixed', '/a?b=c'), 'alpha', 'beta-1'],
  ];
  for (const [direction, url, caller, name] of directions) {
    test(`carries requests ${direction}, and says who calls`, async () => {
      const forged = {
        'x-heddle-peer': id('operator'),
        'x-request-id': 'kept',
        'x-envoy-max-retries': '7',
        'proxy-authorization': 'Basic c2VjcmV0Og==',
      };
      const { status, headers, got } = await http(url(), 'GET', '', forged);
      assert.equal(status, 200);
      assert.ok(got.name.startsWith(name), got.name);
      assert.equal(got.headers['x-heddle-peer'], id(caller));
      assert.equal(got.headers['x-request-id'], 'kept');
      assert.equal(got.headers['x-forwarded-for'], LOOPBACK);
      assert.equal(got.headers['x-forwarded-proto'], 'http');
      assert.deepEqual(
        Object.keys(got.headers).filter((header) => /^x-envoy|^proxy-/.test(header)),
        [],
      );
      assert.equal(headers['x-heddle-error'], undefined);
      assert.equal(headers['server'], undefined);
      const posted = await http(url(), 'POST', BIG);
      assert.equal(posted.got.body, BIG);
      assert.match(posted.got.headers['x-request-id'] ?? '', /.{8}/);
    });
  }

  for (const [direction, url, caller] of directions.slice(0, 3)) {
    test(`carries WebSockets ${direction}`, async () => {
      const socket = new WebSocket(url().replace('http:', 'ws:'));
      const messages: string[] = [];
      socket.on('message', (data: Buffer) => {
        messages.push(data.toString());
        if (messages.length === 1) socket.send('hello');
        else socket.close();
      });
      await new Promise((resolve, reject) => void socket.on('close', resolve).on('error', reject));
      assert.deepEqual(messages, [id(caller), 'HELLO']);
    });
  }

  test('carries connections, with a server that speaks first', async () => {
    assert.equal(await exchange(local('bytes'), 'from heddle to envoy'), 'bytes-1:from heddle to envoy');
    assert.equal(await exchange(alpha.port('omega'), 'from envoy to heddle'), 'omega-1:from envoy to heddle');
    assert.equal(await exchange(alpha.port('bytes'), BIG), `bytes-1:${BIG}`);
  });

  test('carries gRPC with its streams, trailers and statuses', async () => {
    const targets = { heddleToEnvoy: local('gamma'), envoyToHeddle: alpha.port('delta'), envoyToEnvoy: alpha.port('gamma') };
    for (const [direction, port] of Object.entries(targets)) {
      const echo = new EchoClient(cleanup, `${LOOPBACK}:${port}`);
      const unary = await echo.unary('hello');
      assert.deepEqual([unary.messages, unary.status.code], [['hello'], 0], direction);
      assert.deepEqual(unary.status.metadata.get('x-last'), ['word'], direction);
      const failed = await echo.unary('', fields({ 'x-status': '9' }));
      assert.deepEqual([failed.status.code, failed.status.details], [9, 'nicht da: 100 % Käse'], direction);
      assert.deepEqual((await echo.count(3).reply).messages, ['0', '1', '2'], direction);
      const { call, reply } = echo.chat();
      call.write(Buffer.from('one'));
      call.end(Buffer.from('two'));
      assert.deepEqual((await reply).messages, ['one', 'two'], direction);
    }
  });

  test('is an HTTP proxy for every service, with tunnels to those that speak no HTTP, and passes TLS on by its name', async () => {
    const proxy = { host: LOOPBACK, port: alpha.outbound };
    const answer = await callThroughProxy({ proxy, url: 'http://beta.mesh.internal/' });
    assert.equal(answer.status, 200);
    assert.equal((JSON.parse(answer.body) as Answer['got']).headers['x-heddle-peer'], id('alpha'));
    const unknown = await callThroughProxy({ proxy, url: 'http://nobody.mesh.internal/' });
    assert.deepEqual([unknown.status, unknown.errorCode], [404, 'NO_SUCH_SERVICE']);
    const tunnelled = await new Promise<string>((resolve, reject) => {
      const ask = request({ ...proxy, method: 'CONNECT', path: 'omega.mesh.internal:8006' });
      ask.on('connect', (response, socket, head) => {
        let got = head.toString();
        socket.on('data', (chunk: Buffer) => {
          got += chunk.toString();
          if (got.endsWith('ping')) resolve(`${response.statusCode} ${got}`);
        });
        socket.write('ping');
        cleanup.add(() => socket.destroy());
      });
      ask.on('error', reject).end();
    });
    assert.equal(tunnelled, '200 omega-1:ping');
    const passed = await new Promise<string>((resolve, reject) => {
      let got = '';
      const socket = connectTls({ ...proxy, servername: 'vault.mesh.internal', rejectUnauthorized: false });
      socket.setEncoding('utf8').on('data', (chunk: string) => void (got += chunk));
      socket.on('end', () => resolve(got)).on('error', reject);
    });
    assert.equal(passed, 'vault-1');
  });

  test('lets nobody in without an identity of the mesh', async () => {
    const foreign = await certificateOf(
      await control(cleanup, { mesh: meshOf('mesh: interop\nservices: { alpha: { port: 80 } }') }),
      'alpha',
    );
    assert.match(await knock(undefined), /certificate required|CERTIFICATE_REQUIRED|alert/i);
    assert.match(await knock(foreign), /unknown ca|UNKNOWN_CA|alert/i);
    assert.equal(await knock(await certificateOf(plane.ref, 'client')), 'in');
  });

  test('follows instances and settings while it runs', async () => {
    const slow = await http(alpha.url('beta', '/slow'));
    assert.equal(slow.status, 200);
    await plane.change(mesh('300ms'));
    await waitFor('the new time limit', async () => {
      const { status, headers } = await http(alpha.url('beta', '/slow'));
      return status === 504 && headers['x-heddle-error'] === 'REQUEST_TIMEOUT';
    });
    assert.equal((await http(alpha.url('beta', '/slow'), 'GET', '', { accept: 'text/event-stream' })).status, 200);
    await plane.change(mesh('5s'));
    await waitFor('the old time limit', async () => (await http(alpha.url('beta', '/slow'))).status === 200);
    // An application that dies: its own data plane says so at once, and the other instance answers.
    const load = startLoad({ proxy: { host: LOOPBACK, port: alpha.port('beta') }, url: 'http://beta/' }, 100);
    await apps.beta[1]?.stop();
    await untilAnswersFrom(alpha.url('beta'), ['beta-1']);
    await apps.beta[1]?.start();
    await untilAnswersFrom(alpha.url('beta'), ['beta-1', 'beta-2']);
    const outcomes = await load.stop();
    // A request that the dying application had begun to read may be lost; the next ones are not.
    assert.deepEqual(outcomes.filter(({ status, errorCode }) => status !== 200 && errorCode !== 'UPSTREAM_RESET').slice(0, 3), []);
  });

  test('tells the registry when the application behind it is dead, and when it is back', async () => {
    await apps.alpha.stop();
    const refused = await http(viaHeddle('alpha'));
    assert.deepEqual([refused.status, refused.headers['x-heddle-error']], [503, 'APPLICATION_REFUSED']);
    await waitFor('the verdict', async () => (await healthOf('alpha-1')).startsWith('unhealthy: checks fail'));
    await waitFor('no instance', async () => (await http(viaHeddle('alpha'))).headers['x-heddle-error'] === 'NO_HEALTHY_INSTANCE');
    await waitFor('the same at an Envoy', async () => (await http(bytes.url('alpha'))).headers['x-heddle-error'] === 'NO_HEALTHY_INSTANCE');
    await apps.alpha.start();
    await waitFor('the instance', async () => (await http(viaHeddle('alpha'))).status === 200);
    await waitFor('the same at an Envoy', async () => (await http(bytes.url('alpha'))).status === 200);
  });

  test('says why it does not take what it gets, and its instance is not called', async () => {
    // Another Envoy has it.
    const settings = { service: 'bytes', instance: 'bytes-2', applicationPort: await tcpApp('bytes-2'), inbound: alpha.inbound };
    await startEnvoy(cleanup, String(found), plane, settings);
    await waitFor('the reason', async () => {
      assert.match(await healthOf('bytes-2'), /^unhealthy: its data plane refused the listener: .*(cannot bind|Address already in use)/);
      return true;
    });
    const proxies = await connectedProxies(plane.ref);
    const sync = proxies.find(({ node }) => node.startsWith('bytes-2'))?.sync.find(({ kind }) => kind === 'listener');
    assert.match(sync?.rejection ?? '', /bytes-2/);
    for (let call = 0; call < 4; call += 1) assert.equal(await exchange(local('bytes'), 'still'), 'bytes-1:still');
  });

  test('changes its certificate under traffic without losing a request', async () => {
    const serial = await shownSerial();
    const into = startLoad({ proxy: { host: LOOPBACK, port: local('alpha') }, url: 'http://alpha/' }, 100);
    const out = startLoad({ proxy: { host: LOOPBACK, port: alpha.port('beta') }, url: 'http://beta/' }, 100);
    const more = async (load: typeof into): Promise<void> => {
      const count = load.outcomes.length + 20;
      await waitFor('calls', () => load.outcomes.length > count);
    };
    await more(into);
    await Promise.all([alpha.rotate(), bytes.rotate()]);
    await waitFor('the new certificate', async () => (await shownSerial()) !== serial);
    const second = await shownSerial();
    await alpha.rotate();
    await waitFor('the next certificate', async () => (await shownSerial()) !== second);
    for (const load of [into, out]) {
      await more(load);
      const outcomes = await load.stop();
      assert.deepEqual(outcomes.filter(({ status }) => status !== 200).slice(0, 3), []);
    }
  });

  test('goes on without the control plane, and is healthy throughout its return', async () => {
    const load = startLoad({ proxy: { host: LOOPBACK, port: local('alpha') }, url: 'http://alpha/' }, 50);
    await plane.kill();
    assert.equal((await http(alpha.url('beta'))).status, 200);
    assert.equal(await exchange(alpha.port('omega'), 'still'), 'omega-1:still');
    await plane.run();
    await waitFor('Envoy to be back', async () => {
      const nodes = (await connectedProxies(plane.ref)).map(({ node }) => node);
      return ['alpha-1.alpha.default', 'gamma-1.gamma.default', 'bytes-1.bytes.default'].every((node) => nodes.includes(node));
    });
    await waitFor('its health', async () => (await healthOf('alpha-1')) === 'healthy: checks pass');
    const outcomes = await load.stop();
    assert.deepEqual(outcomes.filter(({ status }) => status !== 200).slice(0, 3), []);
    assert.deepEqual((await alpha.config()).errors, []);
  });
});

/** `in`, or why a client with this certificate is not let in by alpha's Envoy. */
function knock(certificate: Certificate | undefined): Promise<string> {
  return new Promise((resolve) => {
    const socket = alphaSocket(certificate);
    // With TLS 1.3 the server's refusal comes after the client's handshake: only an answer shows that it was let in.
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: alpha\r\nconnection: close\r\n\r\n'));
    socket.on('data', () => resolve('in')).on('error', (error) => resolve(error.message));
    socket.on('close', () => resolve('closed'));
  });
}

function alphaSocket(certificate: Certificate | undefined): TLSSocket {
  const { rootsPem } = plane.ref;
  const own = certificate === undefined ? {} : { cert: certificate.certificatePem, key: certificate.keyPem };
  return connectTls({
    host: LOOPBACK,
    port: alpha.inbound,
    ca: rootsPem,
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['http/1.1'],
    ...own,
  });
}

let knocker: Certificate | undefined;

async function shownSerial(): Promise<string> {
  knocker ??= await certificateOf(plane.ref, 'client');
  return new Promise((resolve, reject) => {
    const socket = alphaSocket(knocker);
    socket.on('error', reject).on('secureConnect', () => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      resolve(serialNumber);
    });
  });
}
