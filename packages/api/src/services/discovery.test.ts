import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Instance } from '@heddle/core';
import fc from 'fast-check';
import {
  Health,
  healthFromMessage,
  InstanceMessage,
  instanceFromMessage,
  instanceToMessage,
  InvalidMessageError,
  namespaceOrDefault,
  OUTBOUNDS_MAX,
  ServiceMessage,
  serviceFromMessage,
  serviceToMessage,
} from './discovery.ts';

const ORDERS: Instance = {
  service: { namespace: 'default', name: 'orders' },
  id: 'orders-1',
  node: 'laptop',
  inbound: { address: '127.0.0.1', port: 15_006 },
  application: { address: '::1', port: 8_081 },
  outbounds: [{ service: { namespace: 'default', name: 'stock' }, listen: { address: '127.0.0.1', port: 20_001 } }],
  version: 'v1',
  labels: { zone: 'eu', 'app.kubernetes.io/name': 'orders' },
  metadata: { owner: 'payments', 'example.com/build': '2024-05-01 12:00' },
  ports: { metrics: 9_100, admin: 9_901 },
  locality: { region: 'eu', zone: 'eu-1' },
  weight: 10,
  health: 'unhealthy',
  healthReason: 'GET /healthz answered 500',
  revision: 42,
};

const plain = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const name = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?$/);
const ref = plain({ namespace: name, name });
const socket = plain({ address: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.integer({ min: 1, max: 65_535 }) });
const line = fc.string({ maxLength: 60 });
const attributes = fc.dictionary(name, line, { maxKeys: 5, noNullPrototype: true });
const everything = plain<Required<Omit<Instance, 'locality'>>>({
  service: ref,
  id: name,
  node: name,
  inbound: socket,
  application: socket,
  outbounds: fc.uniqueArray(plain({ service: ref, listen: socket }), {
    maxLength: 4,
    selector: ({ service }) => `${service.namespace}/${service.name}`,
  }),
  version: line,
  // protobuf maps become plain objects, which cannot have this key.
  labels: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 20 }).filter((key) => key !== '__proto__'),
    line,
    { maxKeys: 5, noNullPrototype: true },
  ),
  metadata: attributes,
  ports: fc.dictionary(fc.stringMatching(/^[a-z]{1,15}$/), fc.integer({ min: 1, max: 65_535 }), { maxKeys: 4, noNullPrototype: true }),
  weight: fc.integer({ min: 1, max: 1_000 }),
  health: fc.constantFrom('starting', 'healthy', 'unhealthy', 'draining'),
  healthReason: line,
  revision: fc.nat(),
});
const locality = fc.oneof(plain({ region: name, zone: name }), plain({ region: name, zone: name, subZone: name }));
const instance: fc.Arbitrary<Instance> = fc.oneof(
  everything,
  fc.tuple(everything, locality).map(([rest, where]) => ({ ...rest, locality: where })),
);

/** The message as it comes off the wire. */
function sent(change: (message: InstanceMessage) => void): InstanceMessage {
  const message = instanceToMessage(ORDERS);
  change(message);
  return InstanceMessage.decode(InstanceMessage.encode(message).finish());
}

test('an instance survives the wire', () => {
  fc.assert(
    fc.property(instance, (value) => {
      const bytes = InstanceMessage.encode(instanceToMessage(value)).finish();
      assert.deepStrictEqual(instanceFromMessage(InstanceMessage.decode(bytes)), value);
    }),
  );
});

test('the contracts are published with the package, so that any language can generate a client', () => {
  const root = new URL('../../', import.meta.url);
  const { files } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { files: string[] };
  assert.ok(files.includes('proto'));
  for (const file of ['example/discovery.proto', 'heddle/discovery/v1/discovery.proto']) {
    const text = readFileSync(new URL(`proto/${file}`, root), 'utf8');
    assert.doesNotMatch(text, /^\s*optional /m, `${file}: compilers of before 2020 cannot read it`);
  }
});

test('a service survives the wire with its instances', () => {
  const listed = {
    namespace: 'default',
    name: 'orders',
    port: 8_081,
    protocol: 'grpc' as const,
    labels: { team: 'a' },
    metadata: { tier: '1' },
    ports: {},
  };
  const bytes = ServiceMessage.encode(serviceToMessage(listed, [ORDERS])).finish();
  assert.deepStrictEqual(serviceFromMessage(ServiceMessage.decode(bytes)), { ...listed, instances: [ORDERS] });
  assert.throws(
    () => serviceFromMessage({ ...ServiceMessage.decode(bytes), protocol: 'smtp' }),
    /^InvalidMessageError: service.protocol: must be one of http, .*, not "smtp"$/,
  );
});

test('unset weight is 1, unset health is starting, an empty namespace in a question is the default one', () => {
  const { weight, health } = instanceFromMessage(
    sent((message) => {
      message.weight = 0;
      message.health = Health.HEALTH_UNSPECIFIED;
    }),
  );
  assert.deepEqual([weight, health], [1, 'starting']);
  assert.equal(namespaceOrDefault(''), 'default');
  assert.equal(healthFromMessage(Health.HEALTH_UNSPECIFIED), undefined);
});

describe('says where and why', () => {
  const cases: [string, (message: InstanceMessage) => void, RegExp][] = [
    ['a missing id', (message) => (message.id = ''), /^instance\.id: is required$/],
    ['an id that is no name', (message) => (message.id = '../x'), /^instance\.id: "\.\.\/x" is not a name/],
    ['a missing namespace', (message) => (message.namespace = ''), /^instance\.namespace: is required$/],
    ['a missing node', (message) => (message.node = ''), /^instance\.node: is required$/],
    ['a missing address', (message) => (message.inbound = undefined), /^instance\.inbound: is required$/],
    [
      'a host name as an address',
      (message) => (message.application = { address: 'localhost', port: 1 }),
      /^instance\.application\.address: must be an IPv4 or IPv6 address/,
    ],
    [
      'a port of 0',
      (message) => (message.inbound = { address: '::1', port: 0 }),
      /^instance\.inbound\.port: must be between 1 and 65535, not 0$/,
    ],
    ['a weight that is too large', (message) => (message.weight = 1_001), /^instance\.weight: must be between 1 and 1000/],
    ['a health that has no meaning', (message) => (message.health = 9 as Health), /^instance\.health: unknown health 9$/],
    [
      'a service named twice',
      (message) => message.outbounds.push(...message.outbounds),
      /^instance\.outbounds\[1\]: default\/stock is named twice$/,
    ],
    [
      'an outbound without a port',
      (message) => (message.outbounds = [{ namespace: 'a', service: 'b', listen: undefined }]),
      /^instance\.outbounds\[0\]\.listen: is required$/,
    ],
    [
      'too many outbounds',
      (message) =>
        (message.outbounds = Array.from({ length: OUTBOUNDS_MAX + 1 }, () => ({ namespace: 'a', service: 'b', listen: undefined }))),
      /^instance\.outbounds: has 1025 entries/,
    ],
    [
      'too many labels',
      (message) => (message.labels = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, '']))),
      /^instance\.labels: has 65 entries/,
    ],
    [
      'a label with a line break',
      (message) => (message.labels = { zone: 'a\nb' }),
      /^instance\.labels\["zone"\]: contains a control character$/,
    ],
    [
      'metadata beyond its limit',
      (message) => (message.metadata = { note: 'x'.repeat(8_200) }),
      /^instance\.metadata: has 8204 bytes, names and values together; at most 8192/,
    ],
    ['metadata without a name', (message) => (message.metadata = { '': 'x' }), /^instance\.metadata\[""\]: is not a name/],
    [
      'a port that DNS cannot name',
      (message) => (message.ports = { Metrics_1: 1 }),
      /^instance\.ports\["Metrics_1"\]: is not the name of a port/,
    ],
    ['a named port of 0', (message) => (message.ports = { metrics: 0 }), /^instance\.ports\["metrics"\]: must be a whole number from 1/],
    [
      'a locality without a zone',
      (message) => (message.locality = { region: 'eu', zone: '', subZone: '' }),
      /^instance\.locality\.zone: must be a name/,
    ],
    [
      'a sub-zone that is no name',
      (message) => (message.locality = { region: 'eu', zone: 'a', subZone: 'b/c' }),
      /^instance\.locality\.sub_zone: must be a name/,
    ],
    [
      'an endless reason',
      (message) => (message.healthReason = 'x'.repeat(2_000)),
      /^instance\.health_reason: has 2000 characters; at most 1024/,
    ],
  ];
  for (const [what, change, expected] of cases) {
    test(`for ${what}`, () => {
      assert.throws(
        () => instanceFromMessage(sent(change)),
        (error) => error instanceof InvalidMessageError && expected.test(error.message),
      );
    });
  }

  test('for a message that is not there', () => {
    assert.throws(() => instanceFromMessage(undefined), /^InvalidMessageError: instance: is required$/);
  });
});
