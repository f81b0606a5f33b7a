// heddle.discovery.v1 over real sockets, by clients made from the .proto files alone: changes that depend on a revision, watches that go
// on, callers that are wrong or rude.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import { nodeClock, nodeRandom } from '@heddle/runtime/node';
import { startControl } from '../start.ts';
import type { RunningControl } from '../start.ts';
import { TestClient, instanceMessage, join, operator } from '../testing/client.ts';
import type { Message } from '../testing/client.ts';
import { SERVICES, mesh, service } from '../testing/mesh.ts';
import { until } from '../testing/wait.ts';

const DISCOVERY = 'heddle.discovery.v1.Discovery';
const ADMIN = 'heddle.admin.v1.Admin';

interface Line {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

let directory: string;
let control: RunningControl;
let admin: TestClient;
let orders: TestClient;
const warnings: Line[] = [];
const logger: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => void warnings.push({ fields, message }),
  error() {},
  child: () => logger,
};

async function open(port = 0): Promise<void> {
  control = await startControl({
    mesh: mesh(),
    stateDir: joinPath(directory, 'state'),
    listen: { address: '127.0.0.1', port },
    logger,
    clock: nodeClock,
    random: nodeRandom,
    reportIntervalMs: 50,
  });
  admin = operator(control);
  orders = new TestClient(control, await join(control, 'orders'));
}

async function close(): Promise<void> {
  admin.close();
  orders.close();
  await control.close();
}

before(async () => {
  directory = await mkdtemp(joinPath(tmpdir(), 'heddle-discovery-'));
  await open();
});
after(async () => {
  await close();
  await rm(directory, { recursive: true, force: true });
});

/** The call ends so, with these words and these trailers. */
function ends(code: status, words = /./, trailers: Readonly<Record<string, string>> = {}): (error: unknown) => boolean {
  return (error) => {
    const { code: actual, details, metadata } = error as ServiceError;
    assert.equal(status[actual], status[code], details);
    assert.match(details, words);
    for (const [name, value] of Object.entries(trailers)) assert.deepEqual(metadata.get(name), [value], name);
    return true;
  };
}

/** What a watch is told until it is left. */
function watching(client: TestClient, request: Message = {}): { readonly seen: Message[]; error: ServiceError | undefined; leave(): void } {
  const stream = client.watch(DISCOVERY, 'Watch', request);
  const watch = { seen: [] as Message[], error: undefined as ServiceError | undefined, leave: () => stream.cancel() };
  stream.on('data', (message: Message) => watch.seen.push(message));
  stream.on('error', (error: ServiceError) => (watch.error = error));
  return watch;
}

const remove = (id: string): Promise<Message> => admin.call(DISCOVERY, 'Deregister', { service: 'orders', instance: id });
const revisionOf = async (id: string): Promise<number> => {
  const { service: found } = await admin.call(DISCOVERY, 'GetService', { name: 'orders' });
  return found['instances'].find((one: Message) => one['id'] === id)['revision'];
};
const idsIn = (message: Message | undefined): [string, string[]][] =>
  (message?.['changed'] ?? []).map((one: Message) => [one['name'], one['instances'].map((instance: Message) => instance['id'])]);

describe('changes that depend on a revision', () => {
  test('are made when it is the one, and refused with the present one when not', async () => {
    const mismatch = (revision: number) =>
      ends(status.FAILED_PRECONDITION, /expected was/, { 'heddle-reason': 'revision-mismatch', 'heddle-revision': String(revision) });
    const first = orders.register();
    const { instance_revision: at } = await first.send({ instance: instanceMessage('orders', 1), expected_revision: 0 });
    assert.equal(at, await revisionOf('orders-1'));
    await assert.rejects(orders.register().send({ instance: instanceMessage('orders', 1), expected_revision: 0 }), mismatch(at));
    await assert.rejects(orders.register().send({ instance: instanceMessage('orders', 2), expected_revision: 5 }), mismatch(0));
    const report = { service: 'orders', instance: 'orders-1', health: 'HEALTH_UNHEALTHY', reason: 'x' };
    await assert.rejects(admin.call(DISCOVERY, 'ReportHealth', { ...report, expected_revision: at + 1 }), mismatch(at));
    const { instance_revision: reported } = await admin.call(DISCOVERY, 'ReportHealth', { ...report, expected_revision: at });
    assert.equal(reported, await revisionOf('orders-1'));
    const removal = { service: 'orders', instance: 'orders-1' };
    await assert.rejects(orders.call(DISCOVERY, 'Deregister', { ...removal, expected_revision: at }), mismatch(reported));
    assert.deepEqual(await orders.call(DISCOVERY, 'Deregister', { ...removal, expected_revision: reported }), { existed: true });
  });

  test('a stream that has lost its instance to another learns it in one word', async () => {
    const old = orders.register();
    await old.send({ instance: instanceMessage('orders', 1) });
    const young = orders.register();
    await young.send({ instance: instanceMessage('orders', 1) });
    await assert.rejects(old.send({}), ends(status.ABORTED, /another registration/, { 'heddle-reason': 'superseded' }));
    await remove('orders-1');
  });
});

describe('a data plane that is gone', () => {
  test('is spoken for once it is not connected any more, by its own service alone, until the instance is registered again', async () => {
    const said = { service: 'orders', instance: 'orders-1', health: 'HEALTH_UNHEALTHY', reason: 'its process was killed by SIGKILL' };
    const say = (over: Message = {}, client = orders) =>
      client.call(DISCOVERY, 'ReportHealth', { ...said, data_plane_gone: true, ...over });
    const stream = orders.register();
    const { instance_revision: revision } = await stream.send({ instance: instanceMessage('orders', 1), health: 'HEALTH_HEALTHY' });
    const refused = ends(status.FAILED_PRECONDITION, /is connected, so nobody else speaks in its place/, { 'heddle-reason': 'connected' });
    await assert.rejects(say(), refused);
    await assert.rejects(say({}, admin), refused);
    assert.equal(await revisionOf('orders-1'), revision);
    stream.break();
    await until('that it is gone', () => say().catch(() => undefined));
    const { events } = await admin.call(ADMIN, 'ListEvents', { subject: 'default/orders/orders-1', kind: 'instance-health' });
    assert.equal(events.at(-1)['message'], `healthy → unhealthy: ${said.reason}`);
    await assert.rejects(say({ health: 'HEALTH_HEALTHY' }), ends(status.INVALID_ARGUMENT, /only HEALTH_UNHEALTHY/));
    await assert.rejects(say({ instance: 'orders-7' }), ends(status.NOT_FOUND));
    const web = new TestClient(control, await join(control, 'web'));
    await assert.rejects(say({}, web), ends(status.PERMISSION_DENIED, /only of its own service/));
    web.close();
    const again = orders.register();
    await again.send({ instance: instanceMessage('orders', 1), health: 'HEALTH_HEALTHY' });
    await assert.rejects(say(), refused);
    const { instance } = await admin.call(ADMIN, 'GetInstance', { namespace: 'default', service: 'orders', instance: 'orders-1' });
    assert.equal(instance['health'], 'HEALTH_HEALTHY');
    await remove('orders-1');
  });
});

describe('a watch', () => {
  test('that goes on gets what it has missed, services whole and names of those that went, and says that it is not everything', async () => {
    const first = watching(orders);
    await until('everything', () => first.seen.length === 1);
    const { revision, history, complete } = first.seen[0]!;
    assert.equal(complete, true);
    first.leave();

    const nothing = watching(orders, { from_revision: revision, history });
    await until('that nothing was missed', () => nothing.seen.length === 1);
    assert.deepEqual({ ...nothing.seen[0] }, { changed: [], removed: [], revision, complete: false, history });
    nothing.leave();

    await control.setMesh(mesh([...SERVICES, service('late')]));
    await control.setMesh(mesh());
    const stream = orders.register();
    await stream.send({ instance: instanceMessage('orders', 1) });
    const second = watching(orders, { from_revision: revision, history });
    await until('what was missed', () => second.seen.length === 1);
    assert.deepEqual(idsIn(second.seen[0]), [['orders', ['orders-1']]]);
    assert.deepEqual(second.seen[0]?.['removed'], ['default/late']);
    await remove('orders-1');
    await until('what comes then', () => second.seen.length === 2);
    assert.deepEqual(idsIn(second.seen[1]), [['orders', []]]);
    assert.ok(second.seen[1]?.['revision'] > second.seen[0]?.['revision']);
    second.leave();

    const other = watching(orders, { from_revision: revision, namespace: 'elsewhere' });
    await until('that there is nothing of that namespace', () => other.seen.length === 1);
    assert.deepEqual([other.seen[0]?.['changed'], other.seen[0]?.['removed']], [[], []]);
    other.leave();
  });

  test('goes on over a restart of the control plane', async () => {
    const first = watching(orders);
    await until('everything', () => first.seen.length === 1);
    const { revision, history } = first.seen[0]!;
    await orders.register().send({ instance: instanceMessage('orders', 1) });
    const { port } = control;
    await close();
    await open(port);
    const second = watching(orders, { from_revision: revision, history });
    await until('what was missed', () => second.seen.length === 1);
    assert.deepEqual(idsIn(second.seen[0]), [['orders', ['orders-1']]]);
    assert.notEqual(second.seen[0]?.['history'], history);
    second.leave();
    await remove('orders-1');
  });

  test('from where there is no way on is told so, and why, in one word', async () => {
    const { revision } = await admin.call(DISCOVERY, 'ListServices');
    for (const [request, reason] of [
      [{ from_revision: revision + 1_000 }, 'ahead'],
      [{ from_revision: revision, history: 'of-another-life' }, 'other-history'],
    ] as const) {
      const watch = watching(orders, request);
      await until('the end', () => watch.error !== undefined);
      ends(status.OUT_OF_RANGE, /watch again without from_revision/, { 'heddle-reason': reason, 'heddle-revision': String(revision) })(
        watch.error,
      );
      assert.deepEqual(watch.seen, []);
    }
  });
});

describe('callers that are wrong', () => {
  test('get a status that says what is wrong, and a line in the log', async () => {
    warnings.length = 0;
    const register = (over: Message) => orders.register().send({ instance: instanceMessage('orders', 1, over) });
    const many = (count: number, value: unknown) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, value]));
    const cases: [() => Promise<unknown>, status, RegExp][] = [
      [() => register({ metadata: { note: 'x'.repeat(9_000) } }), status.INVALID_ARGUMENT, /instance\.metadata: has 9004 bytes/],
      [() => register({ metadata: many(65, 'v') }), status.INVALID_ARGUMENT, /instance\.metadata: has 65 entries/],
      [() => register({ labels: many(65, 'v') }), status.INVALID_ARGUMENT, /instance\.labels: has 65 entries/],
      [() => register({ labels: { 'a b': 'x' } }), status.INVALID_ARGUMENT, /labels\["a b"\] is not a label name/],
      [() => register({ ports: many(33, 1) }), status.INVALID_ARGUMENT, /instance\.ports: has 33 entries/],
      [
        () => register({ ports: { metrics: 70_000 } }),
        status.INVALID_ARGUMENT,
        /ports\["metrics"\]: must be a whole number from 1 to 65535/,
      ],
      [() => register({ locality: { region: 'eu' } }), status.INVALID_ARGUMENT, /instance\.locality\.zone/],
      [() => register({ inbound: { address: 'localhost', port: 1 } }), status.INVALID_ARGUMENT, /instance\.inbound\.address/],
      [() => register({ inbound: { address: '::', port: 1 } }), status.INVALID_ARGUMENT, /any address/],
      [() => register({ outbounds: [outbound('web'), outbound('web')] }), status.INVALID_ARGUMENT, /default\/web is named twice/],
      [() => register({ service: 'web' }), status.PERMISSION_DENIED, /only of its own service/],
      [() => admin.register().send({ instance: instanceMessage('ordres', 1) }), status.NOT_FOUND, /default\/ordres is not declared/],
      [() => orders.call(DISCOVERY, 'GetService', { name: 'no/name' }), status.INVALID_ARGUMENT, /is not a name/],
      [() => orders.call(DISCOVERY, 'ListServices', { namespace: '*' }), status.INVALID_ARGUMENT, /namespace/],
      [() => orders.call(ADMIN, 'ListEvents'), status.PERMISSION_DENIED, /only whoever administers the mesh/],
      [() => new TestClient(control).call(DISCOVERY, 'ListServices'), status.UNAUTHENTICATED, /client certificate/],
    ];
    for (const [call, code, words] of cases) {
      const before = warnings.length;
      await assert.rejects(call(), ends(code, words));
      await until('the line', () => warnings.length > before || suppressed());
    }
    const watch = watching(orders, { namespace: 'a/b' });
    await until('the end', () => watch.error !== undefined);
    ends(status.INVALID_ARGUMENT, /namespace/)(watch.error);
    const lines = warnings.map(({ fields, message }) => `${message} ${String(fields['method'])} ${String(fields['reason'])}`);
    assert.ok(
      lines.some((line) => /call refused .*\/Register .*metadata: has 9004 bytes/.test(line)),
      lines.join('\n'),
    );
    assert.ok(
      lines.some((line) => /call refused .*\/GetService .*is not a name/.test(line)),
      lines.join('\n'),
    );
    assert.equal(idsIn({ changed: [(await admin.call(DISCOVERY, 'GetService', { name: 'orders' }))['service']] })[0]?.[1].length, 0);
  });

  /** Of lines that say the same about one method, ten are written in ten seconds. */
  const suppressed = (): boolean => warnings.filter(({ fields }) => String(fields['method']).endsWith('/Register')).length >= 10;
  const outbound = (name: string) => ({ namespace: 'default', service: name, listen: { address: '127.0.0.1', port: 1 } });

  test('that flood a stream have it ended, and the log does not fill', async () => {
    warnings.length = 0;
    for (let round = 0; round < 15; round += 1) {
      const stream = orders.register();
      stream.ignoreAnswers();
      stream.flood({ instance: instanceMessage('orders', 1) }, 1_000);
      const error = await until('the end', () => stream.ended);
      ends(status.RESOURCE_EXHAUSTED, /more than 20 messages a second/)(error);
    }
    assert.ok(warnings.length <= 11, `${warnings.length} lines`);
    await remove('orders-1');
  });

  test('that never read cost a bounded number of messages, and others go on', async () => {
    const deaf = orders.register();
    deaf.pause();
    deaf.flood({ instance: instanceMessage('orders', 1), health_reason: 'x'.repeat(200) }, 150);
    const other = orders.register();
    await other.send({ instance: instanceMessage('orders', 2), health: 'HEALTH_HEALTHY' });
    assert.equal((await orders.call('example.Discovery', 'ListServices'))['services'].length, 1);
    deaf.break();
    await remove('orders-1');
    await remove('orders-2');
  });
});

describe('events', () => {
  test('are listed by what they are about, are there after a restart, and are announced', async () => {
    const stream = orders.register();
    const changes = admin.watch(ADMIN, 'Changes');
    let poked = 0;
    changes.on('data', () => (poked += 1)).on('error', () => {});
    await until('the first', () => poked > 0);
    const before = (await admin.call(ADMIN, 'ListEvents'))['last_id'];
    await stream.send({ instance: instanceMessage('orders', 1) });
    await stream.send({ health: 'HEALTH_HEALTHY', health_reason: 'checks pass' });
    await admin.call(ADMIN, 'CreateToken', { service: 'orders' });
    await until('to be poked', () => poked > 1);
    changes.cancel();
    const list = (request: Message) => admin.call(ADMIN, 'ListEvents', request);
    const { events, last_id: last } = await list({ subject: 'default/orders', after_id: before });
    assert.deepEqual(
      events.map(({ id, kind, subject }: Message) => [id - before, kind, subject]),
      [
        [1, 'instance-registered', 'default/orders/orders-1'],
        [2, 'instance-health', 'default/orders/orders-1'],
        [3, 'token-created', 'default/orders'],
      ],
    );
    assert.match(events[0]['message'], /^registered on node-1, 127\.0\.0\.1:20001, in eu\/eu-1; starting/);
    assert.ok(Math.abs(events[0]['time_ms'] - Date.now()) < 60_000);
    assert.deepEqual((await list({ kind: 'token-created', limit: 1 }))['events'], [events[2]]);
    assert.deepEqual((await list({ after_id: last }))['events'], []);
    assert.deepEqual((await list({ subject: 'default/web', after_id: before }))['events'], []);
    await close();
    assert.match(
      await readFile(joinPath(directory, 'state', 'events.jsonl'), 'utf8'),
      /"instance-registered","subject":"default\/orders\/orders-1"/,
    );
    await open();
    const again = (await list({ subject: 'default/orders', after_id: before }))['events'] as Message[];
    assert.deepEqual(again.slice(0, 3), events);
    await remove('orders-1');
  });

  test('of traffic are announced to who asks for these, in each interval of the reports', async () => {
    const counts = [true, false].map((traffic) => {
      const told = { count: 0 };
      const stream = admin.watch(ADMIN, 'Changes', { traffic });
      stream.on('data', () => (told.count += 1)).on('error', () => {});
      return { told, stream };
    });
    await until('what is there, and three intervals', () => counts[0]!.told.count >= 4 && counts[1]!.told.count > 0);
    assert.equal(counts[1]!.told.count, 1);
    for (const { stream } of counts) stream.cancel();
  });

  test('tell of instances that are kept when most of a service fall silent; the mesh file switches that live', async () => {
    const ids = async () => (await admin.call(DISCOVERY, 'GetService', { name: 'orders' }))['service']['instances'];
    const silence = async () => {
      const streams = [1, 2, 3].map(() => orders.register());
      await Promise.all(
        streams.map((stream, index) =>
          stream.send({ instance: instanceMessage('orders', index + 1), lease_ttl_ms: 1_000, health: 'HEALTH_HEALTHY' }),
        ),
      );
      for (const stream of streams) stream.break();
    };
    const told = async () => (await admin.call(ADMIN, 'ListEvents', { kind: 'mass-expiry' }))['events'] as Message[];
    await silence();
    await until('the event', async () => (await told()).length === 1);
    await until('all to be kept', async () => (await ids()).every((one: Message) => one['health_reason'].startsWith('kept as last known')));
    assert.equal((await ids()).length, 3);
    assert.equal((await orders.call('example.Discovery', 'ListServices'))['services'].length, 1);
    await control.setMesh({ ...mesh(), discovery: { keepOnMassExpiry: false } });
    assert.deepEqual(await ids(), []);
    await silence();
    await until('all to be gone', async () => (await ids()).length === 0);
    assert.equal((await told()).length, 1);
    await control.setMesh(mesh());
  });
});
