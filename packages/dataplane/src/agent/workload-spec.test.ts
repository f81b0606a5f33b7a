// Every field of a workload's description: what is taken, what is refused, and that the refusal names the field.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TestRoot, testToken } from '../identity/testing/control.ts';
import { parseWorkloadSpec, sameWorkload, WorkloadSpecError } from './workload-spec.ts';

const PATH = ['default', 'orders', 'orders-1'];
const ADDRESSES = { application: { address: '127.0.0.1', port: 8081 }, inbound: { address: '127.0.0.1', port: 0 } };
const outbound = (service: string, port = 0): object => ({ namespace: 'default', service, listen: { address: '127.0.0.1', port } });

function refused(body: unknown, message: RegExp, path: readonly string[] = PATH): void {
  assert.throws(
    () => parseWorkloadSpec(path, body),
    (error) => error instanceof WorkloadSpecError && message.test(error.message),
    `${JSON.stringify(body)?.slice(0, 200)} should be refused with ${String(message)}`,
  );
}

describe('the description of a workload', () => {
  it('needs two addresses only', () => {
    assert.deepEqual(parseWorkloadSpec(PATH, ADDRESSES), {
      service: { namespace: 'default', name: 'orders' },
      instance: 'orders-1',
      joinToken: undefined,
      ...ADDRESSES,
      outbounds: [],
      version: '',
      labels: {},
      metadata: {},
      ports: {},
      locality: undefined,
      weight: 1,
    });
  });

  it('takes what the application says about itself, in any order the same', () => {
    const said = {
      metadata: { owner: 'a', build: '7' },
      ports: { metrics: 9_100, admin: 9_901 },
      locality: { region: 'eu', zone: 'eu-1' },
    };
    const spec = parseWorkloadSpec(PATH, { ...ADDRESSES, ...said });
    assert.deepEqual({ metadata: spec.metadata, ports: spec.ports, locality: spec.locality }, said);
    const other = { ...said, metadata: { build: '7', owner: 'a' }, ports: { admin: 9_901, metrics: 9_100 } };
    assert.ok(sameWorkload(spec, parseWorkloadSpec(PATH, { ...ADDRESSES, ...other })));
    assert.ok(!sameWorkload(spec, parseWorkloadSpec(PATH, { ...ADDRESSES, ...said, locality: { region: 'eu', zone: 'eu-2' } })));
    refused({ ...ADDRESSES, metadata: { a: 1 } }, /^metadata\["a"\] must be a string/);
    refused({ ...ADDRESSES, metadata: { a: 'x'.repeat(9_000) } }, /^metadata has 9001 bytes/);
    refused({ ...ADDRESSES, ports: { Metrics: 1 } }, /^ports\["Metrics"\] is not the name of a port/);
    refused({ ...ADDRESSES, ports: 7 }, /^ports must be an object/);
    refused({ ...ADDRESSES, locality: { region: 'eu' } }, /^locality\.zone must be a name/);
    refused({ ...ADDRESSES, locality: { region: 'eu', zone: 'a', rack: '1' } }, /^locality\.rack is not known/);
  });

  it('keeps every field that is given', () => {
    const joinToken = testToken(new TestRoot());
    const spec = parseWorkloadSpec(PATH, {
      ...ADDRESSES,
      inbound: { address: '::1', port: 65_535 },
      joinToken,
      outbounds: [outbound('web'), outbound('stock', 9)],
      version: 'v2',
      labels: { zone: 'a', 'example.org/Tier': '' },
      weight: 1_000,
    });
    assert.equal(spec.joinToken, joinToken);
    assert.deepEqual(spec.inbound, { address: '::1', port: 65_535 });
    assert.deepEqual(
      spec.outbounds.map(({ service, listen }) => [service.name, listen.port]),
      [
        ['web', 0],
        ['stock', 9],
      ],
    );
    assert.deepEqual([spec.version, spec.labels, spec.weight], ['v2', { zone: 'a', 'example.org/Tier': '' }, 1_000]);
  });

  it('is the same, whether its process is there or not', () => {
    const down = 'its process was killed by SIGKILL';
    const spec = parseWorkloadSpec(PATH, { ...ADDRESSES, down });
    assert.equal(spec.down, down);
    assert.ok(sameWorkload(parseWorkloadSpec(PATH, ADDRESSES), spec));
    refused({ ...ADDRESSES, down: 'a\nb' }, /^down contains a control character/);
    refused({ ...ADDRESSES, down: 'x'.repeat(301) }, /^down must be a string of at most 300 characters/);
  });

  const refusals: readonly (readonly [string, unknown, RegExp])[] = [
    ['no object', undefined, /^body must be an object$/],
    ['null', null, /^body must be an object/],
    ['a list', [], /^body must be an object/],
    ['a text', 'x', /^body must be an object/],
    ['an unknown field', { ...ADDRESSES, wieght: 2 }, /^wieght is not known; known are joinToken, application/],
    ['no application', { inbound: ADDRESSES.inbound }, /^application must be an object$/],
    ['no inbound', { application: ADDRESSES.application }, /^inbound must be an object$/],
    [
      'an unknown field of an address',
      { ...ADDRESSES, inbound: { address: '127.0.0.1', port: 0, host: 'x' } },
      /^inbound\.host is not known; known are address, port$/,
    ],
    [
      'an address without its port',
      { ...ADDRESSES, inbound: { address: '127.0.0.1' } },
      /^inbound\.port must be a whole number from 0 to 65535/,
    ],
    [
      'an application on port 0',
      { ...ADDRESSES, application: { address: '127.0.0.1', port: 0 } },
      /^application\.port must be a whole number from 1 to/,
    ],
    ['a port beyond the last', { ...ADDRESSES, inbound: { address: '127.0.0.1', port: 65_536 } }, /^inbound\.port/],
    ['a negative port', { ...ADDRESSES, inbound: { address: '127.0.0.1', port: -1 } }, /^inbound\.port/],
    ['half a port', { ...ADDRESSES, inbound: { address: '127.0.0.1', port: 1.5 } }, /^inbound\.port/],
    ['a port in words', { ...ADDRESSES, inbound: { address: '127.0.0.1', port: '80' } }, /^inbound\.port/],
    [
      'a host name',
      { ...ADDRESSES, application: { address: 'localhost', port: 80 } },
      /^application\.address must be an IPv4 or IPv6 address, not "localhost"$/,
    ],
    [
      'an empty address, which would mean every one',
      { ...ADDRESSES, inbound: { address: '', port: 0 } },
      /^inbound\.address must be an IPv4/,
    ],
    [
      'an inbound address of everywhere',
      { ...ADDRESSES, inbound: { address: '0.0.0.0', port: 0 } },
      /^inbound\.address must be an address that peers can connect to, not 0\.0\.0\.0/,
    ],
    [
      'the same in IPv6',
      { ...ADDRESSES, inbound: { address: '0:0::0', port: 0 } },
      /^inbound\.address must be an address that peers can connect to/,
    ],
    ['outbounds that are no list', { ...ADDRESSES, outbounds: {} }, /^outbounds must be a list$/],
    [
      'too many outbounds',
      { ...ADDRESSES, outbounds: Array.from({ length: 1_025 }, (_, index) => outbound(`s${index}`)) },
      /^outbounds may hold at most 1024 entries/,
    ],
    ['an outbound that is no object', { ...ADDRESSES, outbounds: ['web'] }, /^outbounds\[0\] must be an object/],
    [
      'an unknown field of an outbound',
      { ...ADDRESSES, outbounds: [outbound('a'), { ...outbound('web'), port: 1 }] },
      /^outbounds\[1\]\.port is not known/,
    ],
    [
      'an outbound without a namespace',
      { ...ADDRESSES, outbounds: [{ service: 'web', listen: ADDRESSES.inbound }] },
      /^outbounds\[0\]\.namespace must be a name/,
    ],
    [
      'an outbound without a service',
      { ...ADDRESSES, outbounds: [{ namespace: 'default', listen: ADDRESSES.inbound }] },
      /^outbounds\[0\]\.service must be a name/,
    ],
    [
      'an outbound without an address',
      { ...ADDRESSES, outbounds: [{ namespace: 'default', service: 'web' }] },
      /^outbounds\[0\]\.listen must be an object/,
    ],
    [
      'a service used twice',
      { ...ADDRESSES, outbounds: [outbound('web'), outbound('web')] },
      /^outbounds\[1\] names default\/web a second time/,
    ],
    ['a port used twice', { ...ADDRESSES, outbounds: [outbound('web', 7000), outbound('stock', 7000)] }, /uses 127\.0\.0\.1:7000 twice/],
    [
      'one port in and out',
      { ...ADDRESSES, inbound: { address: '127.0.0.1', port: 7000 }, outbounds: [outbound('stock', 7000)] },
      /uses 127\.0\.0\.1:7000 twice/,
    ],
    ['a version that is no text', { ...ADDRESSES, version: 2 }, /^version must be a string/],
    ['a version that the registry would refuse', { ...ADDRESSES, version: 'v'.repeat(129) }, /^version must be a string of at most 128/],
    ['a version that rings a bell', { ...ADDRESSES, version: 'v\u0007' }, /^version contains a control character/],
    ['labels that are no object', { ...ADDRESSES, labels: ['zone'] }, /^labels must be an object/],
    [
      'too many labels',
      { ...ADDRESSES, labels: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, ''])) },
      /^labels may hold at most 64/,
    ],
    ['a label that is no text', { ...ADDRESSES, labels: { zone: 1 } }, /^labels\.zone must be a string/],
    ['a label that is too long', { ...ADDRESSES, labels: { zone: 'z'.repeat(257) } }, /^labels\.zone must be a string of at most 256/],
    ['a label without a name', { ...ADDRESSES, labels: { '': 'x' } }, /^labels\[""\] is not a label name/],
    ['a label name with a space', { ...ADDRESSES, labels: { 'a b': 'x' } }, /^labels\["a b"\] is not a label name/],
    ['weight 0', { ...ADDRESSES, weight: 0 }, /^weight must be a whole number from 1 to 1000/],
    ['too much weight', { ...ADDRESSES, weight: 1_001 }, /^weight/],
    ['a token that is no text', { ...ADDRESSES, joinToken: 5 }, /^joinToken must be a string/],
    ['a token that is none', { ...ADDRESSES, joinToken: 'hello' }, /^joinToken cannot be used: /],
    ['a token of endless length', { ...ADDRESSES, joinToken: 'x'.repeat(4_097) }, /^joinToken must be a string of at most 4096/],
  ];
  for (const [what, body, message] of refusals) it(`refuses ${what}`, () => refused(body, message));

  it('refuses the token of another service before anything is done', () => {
    const root = new TestRoot();
    const web = testToken(root, { service: 'web' });
    refused(
      { ...ADDRESSES, joinToken: web },
      /^joinToken is for default\/web, not for default\/orders; make one with `heddle token create --service orders`$/,
    );
    refused({ ...ADDRESSES, joinToken: testToken(root, { namespace: 'shop' }) }, /^joinToken is for shop\/orders/);
  });

  it('refuses names that cannot be part of an identity, a file name or a host name', () => {
    for (const bad of ['', '..', '-x', 'x-', 'a b', 'a/b', 'ü', 'x'.repeat(64), 'a\n']) {
      refused(ADDRESSES, /^namespace must be a name/, [bad, 'orders', 'orders-1']);
      refused(ADDRESSES, /^namespace must be a name/, [bad, bad, bad]);
      refused(ADDRESSES, /^instance must be a name/, ['default', 'orders', bad]);
    }
    refused(ADDRESSES, /^instance must be a name/, ['default', 'orders']);
  });

  it('takes or refuses whatever JSON there is, and fails in no other way (property)', () => {
    const field = fc.oneof(fc.jsonValue(), fc.constant(ADDRESSES.inbound), fc.constant([outbound('web')]), fc.constant({ a: 'b' }));
    const bodies = fc.record(
      { application: field, inbound: field, outbounds: field, labels: field, version: field, weight: field, joinToken: field },
      { requiredKeys: ['application', 'inbound'] },
    );
    fc.assert(
      fc.property(bodies, (body) => {
        try {
          const spec = parseWorkloadSpec(PATH, body);
          assert.ok(sameWorkload(spec, parseWorkloadSpec(PATH, structuredClone(body))));
        } catch (error) {
          assert.ok(error instanceof WorkloadSpecError, String(error));
        }
      }),
    );
  });
});

describe('two descriptions of a workload', () => {
  const base = parseWorkloadSpec(PATH, { ...ADDRESSES, labels: { a: '1', b: '2' }, outbounds: [outbound('web')] });

  it('are the same whatever the token and the order of labels', () => {
    const again = parseWorkloadSpec(PATH, {
      outbounds: [outbound('web')],
      labels: { b: '2', a: '1' },
      joinToken: testToken(new TestRoot()),
      ...ADDRESSES,
    });
    assert.ok(sameWorkload(base, again));
  });

  it('differ by any other field', () => {
    const changes = [
      { weight: 2 },
      { version: 'v2' },
      { labels: { a: '1' } },
      { outbounds: [] },
      { application: { address: '127.0.0.1', port: 1 } },
      { inbound: { address: '127.0.0.1', port: 1 } },
    ];
    for (const change of changes) {
      const changed = parseWorkloadSpec(PATH, { ...ADDRESSES, labels: { a: '1', b: '2' }, outbounds: [outbound('web')], ...change });
      assert.ok(!sameWorkload(base, changed), JSON.stringify(change));
    }
  });
});
