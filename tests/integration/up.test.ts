// The whole mesh as a person runs it: `heddle up` with real processes, killed one after the other under a steady load.
import assert from 'node:assert/strict';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { callThroughProxy, type Load, type Outcome, startLoad, summarize } from '../support/load.ts';
import { healthOf, isRunning, type ListedInstance, type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

const MESH = `
mesh: test
services:
  echo:
    port: 8080
    run: exec {{ECHO}}
    replicas: 3
    health: { http: /healthz, interval: 500ms, timeout: 400ms, unhealthyAfter: 2 }
  front:
    port: 8081
    run: exec {{ECHO}}
    health: { http: /healthz, interval: 500ms, timeout: 400ms }
`;
const URL_OF_ECHO = 'http://echo.mesh.internal/';
const REQUESTS_PER_SECOND = 200;
/** 2 failed checks of 500 ms and 400 ms, and one interval that has just begun. */
const DETECTION_WINDOW_MS = 1_900;

describe('heddle up', () => {
  let mesh: RunningMesh;
  let loads: Load[] = [];
  before(async () => {
    mesh = await startUp(MESH);
  });
  afterEach(async () => {
    await Promise.all(loads.map((load) => load.stop()));
    loads = [];
  });
  after(() => mesh.stop());

  const loadOf = (requestsPerSecond: number): Load => {
    const load = startLoad({ proxy: mesh.proxy, url: URL_OF_ECHO }, requestsPerSecond);
    loads.push(load);
    return load;
  };

  const call = () => callThroughProxy({ proxy: mesh.proxy, url: URL_OF_ECHO });
  const instanceOf = ({ body }: Outcome) => (JSON.parse(body) as { instance: string }).instance;

  it('answers from all instances and shows them healthy', async () => {
    const seen = new Set<string>();
    await waitFor('an answer of each instance', async () => {
      const outcome = await call();
      assert.equal(outcome.status, 200, outcome.error);
      return seen.add(instanceOf(outcome)).size === 3;
    });
    const listed = await mesh.heddle('get', 'instances', '-o', 'json');
    assert.equal(listed.code, 0, listed.stderr);
    const instances = JSON.parse(listed.stdout) as ListedInstance[];
    assert.deepEqual(instances.map(({ instance, health }) => `${instance} ${health}`).sort(), [
      'echo-1 healthy',
      'echo-2 healthy',
      'echo-3 healthy',
      'front-1 healthy',
    ]);
    const check = await mesh.heddle('check');
    assert.equal(check.code, 0, check.stdout + check.stderr);
  });

  it('loses no idempotent request when an instance is killed, which comes back by itself and gets traffic again', async () => {
    const victim = 'echo-2';
    const before = await mesh.pid(victim);
    const load = loadOf(REQUESTS_PER_SECOND);
    await waitFor('the victim to answer', () => load.outcomes.some((outcome) => outcome.status === 200 && instanceOf(outcome) === victim));
    process.kill(before, 'SIGKILL');
    const pid = await waitFor('another process', async () => {
      const now = await mesh.pid(victim).catch(() => before);
      return now === before ? undefined : now;
    });
    const back = (outcome: Outcome) => outcome.status === 200 && (JSON.parse(outcome.body) as { pid: number }).pid === pid;
    await waitFor('the restarted instance to answer', () => load.outcomes.some(back));
    const outcomes = await load.stop();
    assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
    await waitFor('echo-2 to be healthy', async () => (await mesh.instances()).every(({ health }) => health === 'healthy'));
    const [, down, ...rest] = await healthOf(mesh, victim);
    assert.match(down ?? '', /^healthy → unhealthy: its process was killed by SIGKILL; starts again in \d+ ms$/);
    assert.deepEqual(rest, ['unhealthy → healthy: checks pass']);
    assert.ok(!mesh.output().includes(`${victim} is unhealthy`), 'its supervisor says it once');
  });

  it('takes an instance that hangs out of rotation within the detection window, without a failed request', async () => {
    const victim = 'echo-1';
    const pid = await mesh.pid(victim);
    process.kill(pid, 'SIGSTOP');
    const stoppedMs = performance.now();
    const load = loadOf(20);
    try {
      await waitFor('the registry to call it unhealthy', async () =>
        (await mesh.instances()).some(({ instance, health }) => instance === victim && health === 'unhealthy'),
      );
      const calls: Outcome[] = [];
      for (let count = 0; count < 6; count++) calls.push(await call());
      assert.ok(calls.every((outcome) => outcome.status === 200 && instanceOf(outcome) !== victim));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const outcomes = await load.stop();
    assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
    const late = outcomes.filter((outcome) => outcome.sentMs > stoppedMs + DETECTION_WINDOW_MS && outcome.durationMs > 1_000);
    assert.equal(late.length, 0, 'requests went to the hanging instance after the detection window');
    await waitFor('echo-1 to be healthy', async () => (await mesh.instances()).every(({ health }) => health === 'healthy'));
  });

  it('serves on without a failed request while the control plane is killed, whose registry is afterwards what it was', async () => {
    const strip = (instances: Awaited<ReturnType<RunningMesh['instances']>>) =>
      instances.map(({ instance, health, inbound, pid }) => ({ instance, health, inbound, pid }));
    const registry = strip(await mesh.instances());
    const before = await mesh.pid('control');
    const load = loadOf(REQUESTS_PER_SECOND);
    await waitFor('load', () => load.outcomes.length > 50);
    process.kill(before, 'SIGKILL');
    await waitFor(
      'the control plane to be back',
      async () => (await mesh.pid('control').catch(() => before)) !== before && (await mesh.heddle('check')).code === 0,
    );
    const sent = load.outcomes.length;
    await waitFor('load afterwards', () => load.outcomes.length > sent + 50);
    const outcomes = await load.stop();
    assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
    assert.deepEqual(strip(await mesh.instances()), registry);
  });

  it('passes requests with bodies and repeats what the client sent', async () => {
    const body = 'x'.repeat(100_000);
    const outcome = await callThroughProxy({
      proxy: mesh.proxy,
      url: `${URL_OF_ECHO}some/path`,
      method: 'POST',
      body,
      headers: { 'x-mine': 'yes' },
    });
    const answer = JSON.parse(outcome.body) as { method: string; path: string; body: string; headers: Record<string, string> };
    assert.deepEqual(
      [answer.method, answer.path, answer.body.length, answer.headers['x-mine']],
      ['POST', '/some/path', body.length, 'yes'],
    );
    assert.equal(answer.headers['x-heddle-peer'], 'spiffe://test/ns/heddle-system/svc/operator');
  });

  it('does not repeat a request that is not idempotent when the instance dies over it', async () => {
    const pids = new Set((await mesh.instances()).map(({ pid }) => pid));
    const outcome = await callThroughProxy({ proxy: mesh.proxy, url: `${URL_OF_ECHO}die`, method: 'POST', body: '1' });
    assert.equal(outcome.status, 502);
    assert.equal(outcome.errorCode, 'UPSTREAM_RESET');
    const isNew = ({ pid }: { readonly pid: number | null }): boolean => pid !== null && !pids.has(pid);
    await waitFor('a restart', async () => {
      const now = await mesh.instances();
      return now.length === pids.size && now.some(isNew) && now.every(({ health, pid }) => health === 'healthy' && pid !== null);
    });
    assert.equal((await mesh.instances()).filter(isNew).length, 1);
  });

  it('refuses plaintext and clients without a certificate at every inbound port', async () => {
    for (const { inbound } of await mesh.instances()) {
      assert.equal(await plaintextAnswer(inbound.port), '', `port ${inbound.port} answered plaintext`);
      assert.equal(await certlessAnswer(inbound.port), '', `port ${inbound.port} answered a client without a certificate`);
    }
  });

  it('restarts a killed proxy, after which everything works again', async () => {
    const before = await mesh.pid('proxy');
    process.kill(before, 'SIGKILL');
    await waitFor('another proxy', async () => (await mesh.pid('proxy').catch(() => before)) !== before);
    await waitFor('calls to work', async () => (await call()).status === 200);
    await waitFor('all healthy', async () => (await mesh.instances()).every(({ health }) => health === 'healthy'));
  });

  it('ends everything it started on Ctrl-C', async () => {
    const pids = [await mesh.pid('control'), await mesh.pid('proxy'), ...(await mesh.instances()).map(({ pid }) => pid ?? 0)];
    assert.ok(pids.every((pid) => pid > 0));
    assert.equal(await mesh.stop(), 0, mesh.output());
    for (const pid of pids) assert.equal(await isRunning(pid), false, `process ${pid} is left`);
  });
});

const REQUEST = 'GET /healthz HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n';

function plaintextAnswer(port: number): Promise<string> {
  return answerOn(connectTcp(port, '127.0.0.1'));
}

function certlessAnswer(port: number): Promise<string> {
  return answerOn(connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }));
}

/** HTTP bytes that came back until the connection ended; TLS records of a refusal are not counted as an answer. */
function answerOn(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text.includes('HTTP/') ? text : ''));
    socket.setTimeout(10_000, () => socket.destroy(new Error('timeout')));
    socket.write(REQUEST);
  });
}
