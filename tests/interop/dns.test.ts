// Debian's dig asks both planes for names: every type of record, by UDP and by TCP, of names that exist, that are empty and that are unknown.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { nodeClock, nodeDatagrams, nodeRandom } from '@heddle/runtime/node';
import { instance, serve, service, zone } from '../../packages/dns/src/testing/mesh.ts';
import { a, soa, type Upstream, upstream } from '../../packages/dns/src/testing/upstream.ts';
import {
  certificateOf,
  Cleanup,
  LOOPBACK,
  machine,
  meshOf,
  registerInstance,
  silent,
  temporaryDirectory,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { run, skipWithout } from './support/programs.ts';

const MESH = `
mesh: test
services:
  orders: { port: 8080 }
  pay: { port: 50051, protocol: grpc }
  cache: { port: 6379, protocol: tcp }
  empty: { port: 81 }
`;
const skip = skipWithout('dig');

interface Dug {
  readonly status: string;
  /** `qr aa rd`. */
  readonly flags: readonly string[];
  /** `NAME TYPE DATA` of each record, sorted. */
  readonly answers: readonly string[];
  readonly authority: readonly string[];
  readonly additional: readonly string[];
  readonly bytes: number;
  readonly text: string;
}

interface Place {
  readonly address: string;
  readonly port: number;
}

/** Fails when there is no answer. */
async function dig(place: Place | undefined, ...args: readonly string[]): Promise<Dug> {
  assert.ok(place !== undefined, 'names are served');
  const all = [`@${place.address}`, '-p', String(place.port), '+tries=1', '+time=5', '+nocookie', ...args];
  const { code, stdout } = await run('dig', all);
  const text = stdout.toString();
  assert.equal(code, 0, text);
  const section = (name: string): string[] => {
    const lines = new RegExp(`;; ${name} SECTION:\n((?:[^;\n].*\n)*)`).exec(text)?.[1] ?? '';
    const records = lines.split('\n').filter((line) => line !== '');
    return records.map((line) => line.replace(/^(\S+)\s+\d+\s+IN\s+(\S+)\s+/, '$1 $2 ')).sort();
  };
  return {
    status: /status: (\w+)/.exec(text)?.[1] ?? '',
    flags: (/;; flags: ([^;]*);/.exec(text)?.[1] ?? '').split(' '),
    answers: section('ANSWER'),
    authority: section('AUTHORITY'),
    additional: section('ADDITIONAL'),
    bytes: Number(/MSG SIZE\s+rcvd: (\d+)/.exec(text)?.[1]),
    text,
  };
}

/** What is asked, how it ends, and what is answered; a negative answer has the SOA of this zone. */
type Row = readonly [question: string, status: string, answers: readonly string[] | { readonly soaOf: string }];

async function check(place: Place | undefined, transport: readonly string[], rows: readonly Row[]): Promise<void> {
  // Several at a time: most of it is the start of a process.
  for (let at = 0; at < rows.length; at += 4)
    await Promise.all(
      rows.slice(at, at + 4).map(async ([question, status, expected]) => {
        const found = await dig(place, ...transport, ...question.split(' '));
        assert.equal(found.status, status, found.text);
        assert.ok(found.flags.includes('aa') && found.flags.includes('qr') && !found.flags.includes('tc'), found.text);
        if ('soaOf' in expected) {
          assert.deepEqual([found.answers, found.authority.length], [[], 1], found.text);
          assert.match(
            found.authority[0] ?? '',
            new RegExp(`^${expected.soaOf.replaceAll('.', '\\.')} SOA ns\\.heddle-system\\.mesh\\.internal\\. .* 5$`),
          );
        } else assert.deepEqual(found.answers, expected, found.text);
      }),
    );
}

const M = 'mesh.internal.';
const CONTROL_ROWS: readonly Row[] = [
  ['orders.mesh.internal A', 'NOERROR', [`orders.${M} A 10.9.0.1`, `orders.${M} A 10.9.0.2`]],
  ['orders.default.mesh.internal AAAA', 'NOERROR', [`orders.default.${M} AAAA fd00::6`]],
  ['orders A', 'NOERROR', ['orders. A 10.9.0.1', 'orders. A 10.9.0.2']],
  ['orders.default A', 'NOERROR', ['orders.default. A 10.9.0.1', 'orders.default. A 10.9.0.2']],
  ['OrDeRs.Mesh.INTERNAL A', 'NOERROR', ['OrDeRs.Mesh.INTERNAL. A 10.9.0.1', 'OrDeRs.Mesh.INTERNAL. A 10.9.0.2']],
  [
    '_http._tcp.orders.mesh.internal SRV',
    'NOERROR',
    [
      `_http._tcp.orders.${M} SRV 0 1 15006 orders-2.orders.default.${M}`,
      `_http._tcp.orders.${M} SRV 0 1 15006 orders-6.orders.default.${M}`,
      `_http._tcp.orders.${M} SRV 0 7 15006 orders-1.orders.default.${M}`,
    ],
  ],
  ['_grpc._tcp.pay SRV', 'NOERROR', [`_grpc._tcp.pay. SRV 0 1 15006 pay-1.pay.default.${M}`]],
  [`orders-1.orders.default.mesh.internal A`, 'NOERROR', [`orders-1.orders.default.${M} A 10.9.0.1`]],
  ['-x 10.9.0.1', 'NOERROR', [`1.0.9.10.in-addr.arpa. PTR orders-1.orders.default.${M}`]],
  ['-x fd00::6', 'NOERROR', [`6.${'0.'.repeat(29)}d.f.ip6.arpa. PTR orders-6.orders.default.${M}`]],
  ['mesh.internal NS', 'NOERROR', [`${M} NS ns.heddle-system.${M}`]],
  ['ns.heddle-system.mesh.internal A', 'NOERROR', [`ns.heddle-system.${M} A 127.0.0.1`]],
  ['orders.mesh.internal ANY', 'NOERROR', [`orders.${M} HINFO "RFC8482" ""`]],
  ['empty.mesh.internal A', 'NOERROR', { soaOf: M }],
  ['empty A', 'NOERROR', { soaOf: 'empty.' }],
  ['orders.mesh.internal MX', 'NOERROR', { soaOf: M }],
  ['orders.mesh.internal TXT', 'NOERROR', { soaOf: M }],
  ['default.mesh.internal A', 'NOERROR', { soaOf: M }],
  ['_tcp.orders.mesh.internal SRV', 'NOERROR', { soaOf: M }],
  ['_http._tcp.empty SRV', 'NOERROR', { soaOf: 'empty.' }],
  ['nobody.mesh.internal A', 'NXDOMAIN', { soaOf: M }],
  ['nobody.default.mesh.internal AAAA', 'NXDOMAIN', { soaOf: M }],
  ['_grpc._tcp.orders.mesh.internal SRV', 'NXDOMAIN', { soaOf: M }],
  ['orders-9.orders.default.mesh.internal A', 'NXDOMAIN', { soaOf: M }],
  ['-x 240.9.9.9', 'NXDOMAIN', { soaOf: '240.in-addr.arpa.' }],
];

describe('dig', { skip }, () => {
  const cleanup = new Cleanup();
  let running: RunningControl;
  let proxy: RunningProxy;
  let elsewhere: Upstream;
  before(async () => {
    elsewhere = await upstream(({ questions = [] }, transport) => {
      const name = questions[0]?.name ?? '';
      if (/^www\.example$/i.test(name))
        return { answers: [{ type: 'CNAME', name, data: 'host.example', ttl: 60 }, a('host.example', '192.0.2.80', 60)] };
      if (/^big\.example$/i.test(name) && transport === 'udp') return { flags: 0x200 };
      if (/^big\.example$/i.test(name)) return { answers: Array.from({ length: 90 }, (_, index) => a(name, `192.0.2.${index}`)) };
      return { rcode: 3, authorities: [soa('example', 60, 60)] };
    });
    cleanup.add(() => elsewhere.close());
    running = await startControl({
      ...{ mesh: meshOf(MESH), stateDir: await temporaryDirectory(cleanup), listen: { address: LOOPBACK, port: 0 } },
      dns: { listen: { address: LOOPBACK, port: 0 }, answers: 'instances', forward: [elsewhere.place] },
      ...{ logger: silent, clock: nodeClock, random: nodeRandom },
    });
    cleanup.add(() => running.close());
    const drivers = { datagrams: nodeDatagrams, resolvConf: () => undefined };
    const dns = { listen: { address: LOOPBACK, port: 0 }, answers: 'virtual' as const, forward: [elsewhere.place], ...drivers };
    proxy = await machine(cleanup, running, { node: 'machine', dns });
    const [orders, pay] = [await certificateOf(running, 'orders'), await certificateOf(running, 'pay')];
    const put = (certificate: typeof orders, id: string, address: string, weight = 1): Promise<unknown> =>
      registerInstance(cleanup, running, certificate, { id, service: id.replace(/-\d+$/, ''), inbound: { address, port: 15_006 }, weight });
    await put(orders, 'orders-1', '10.9.0.1', 7);
    await put(orders, 'orders-2', '10.9.0.2');
    await put(orders, 'orders-6', 'fd00::6');
    await put(pay, 'pay-1', '10.9.1.1');
    await untilReady(proxy);
    for (const name of ['orders-6.orders', 'pay-1.pay'])
      await waitFor(
        `${name} at the data plane`,
        async () => (await dig(proxy.dns, '-t', 'ANY', `${name}.mesh.internal`)).status === 'NOERROR',
      );
  });
  after(() => cleanup.run());

  it('gets right answers from the control plane by UDP', () => check(running.dns, ['+ignore'], CONTROL_ROWS));
  it('gets the same by TCP', () => check(running.dns, ['+tcp'], CONTROL_ROWS));

  it('gets the start of authority, with a serial that rises', async () => {
    const { answers } = await dig(running.dns, 'mesh.internal', 'SOA');
    assert.match(
      answers[0] ?? '',
      /^mesh\.internal\. SOA ns\.heddle-system\.mesh\.internal\. hostmaster\.mesh\.internal\. [1-9]\d* 3600 600 86400 5$/,
    );
  });

  it('gets the addresses of SRV targets along with them', async () => {
    const { additional } = await dig(running.dns, '_http._tcp.orders', 'SRV');
    assert.deepEqual(additional, [
      `orders-1.orders.default.${M} A 10.9.0.1`,
      `orders-2.orders.default.${M} A 10.9.0.2`,
      `orders-6.orders.default.${M} AAAA fd00::6`,
    ]);
  });

  it('gets virtual addresses from a data plane, by UDP and by TCP', async () => {
    const address = (await dig(proxy.dns, 'orders')).answers[0]?.split(' ')[2] ?? '';
    assert.match(address, /^2[45]\d\.\d+\.\d+\.\d+$/);
    const rows: readonly Row[] = [
      ['orders.mesh.internal A', 'NOERROR', [`orders.${M} A ${address}`]],
      ['empty A', 'NOERROR', [(await dig(proxy.dns, 'empty')).answers[0] ?? 'nothing']],
      ['orders AAAA', 'NOERROR', { soaOf: 'orders.' }],
      ['_http._tcp.orders SRV', 'NOERROR', [`_http._tcp.orders. SRV 0 0 8080 orders.default.${M}`]],
      ['_tcp._tcp.cache.mesh.internal SRV', 'NOERROR', [`_tcp._tcp.cache.${M} SRV 0 0 6379 cache.default.${M}`]],
      ['orders-6.orders.default.mesh.internal AAAA', 'NOERROR', [`orders-6.orders.default.${M} AAAA fd00::6`]],
      [`-x ${address}`, 'NOERROR', [`${address.split('.').reverse().join('.')}.in-addr.arpa. PTR orders.default.${M}`]],
      ['nobody.mesh.internal A', 'NXDOMAIN', { soaOf: M }],
      ['default.mesh.internal A', 'NOERROR', { soaOf: M }],
    ];
    await check(proxy.dns, ['+ignore'], rows);
    await check(proxy.dns, ['+tcp'], rows);
    assert.deepEqual((await dig(running.dns, '-x', address)).answers, (await dig(proxy.dns, '-x', address)).answers);
  });

  it('gets other names from other resolvers, and their errors', async () => {
    for (const place of [running.dns, proxy.dns]) {
      const found = await dig(place, 'www.example');
      assert.deepEqual(found.answers, ['host.example. A 192.0.2.80', 'www.example. CNAME host.example.']);
      assert.ok(found.flags.includes('ra') && !found.flags.includes('aa'), found.text);
      const none = await dig(place, '+tcp', 'nothing.example');
      assert.deepEqual([none.status, none.authority.length], ['NXDOMAIN', 1]);
      assert.equal((await dig(place, 'big.example')).answers.length, 90);
      assert.equal((await dig(place, '+norecurse', 'www.example')).status, 'REFUSED');
    }
  });

  it('is told what is wrong with a query', async () => {
    const place = running.dns;
    assert.equal((await dig(place, '+edns=5', '+noednsnegotiation', 'orders')).status, 'BADVERS');
    assert.equal((await dig(place, '+opcode=status', 'orders')).status, 'NOTIMP');
    assert.equal((await dig(place, '-c', 'CH', 'version.bind', 'TXT')).status, 'REFUSED');
    assert.match(
      (await run('dig', [`@${LOOPBACK}`, '-p', String(place?.port), '+tcp', '+tries=1', 'mesh.internal', 'AXFR'])).stdout.toString(),
      /Transfer failed/,
    );
    const signed = await dig(place, '+dnssec', 'orders');
    assert.match(signed.text, /EDNS: version: 0, flags: do; udp: 1232/);
    assert.equal(signed.answers.length, 2);
  });
});

describe('dig, asking for more than fits into a datagram,', { skip }, () => {
  it('gets as much as it takes, marked as cut, and the rest by TCP', async () => {
    const instances = Array.from({ length: 200 }, (_, index) => instance(`big-${index}`, `10.8.0.${index}`));
    const server = await serve(zone([service('big', { instances })]));
    try {
      for (const [args, bytesMax] of [
        [['+noedns'], 512],
        [['+bufsize=700'], 700],
        [['+bufsize=4096'], 1_232],
      ] as const) {
        const cut = await dig(server.address, '+ignore', ...args, 'big');
        assert.ok(cut.flags.includes('tc') && cut.bytes <= bytesMax && cut.bytes > bytesMax - 32, `${cut.bytes} of ${bytesMax}`);
      }
      const whole = await dig(server.address, 'big');
      assert.match(whole.text, /Truncated, retrying in TCP mode/);
      assert.deepEqual([whole.answers.length, whole.flags.includes('tc')], [200, false]);
      assert.equal((await dig(server.address, '+tcp', '+keepopen', '_http._tcp.big', 'SRV')).answers.length, 200);
    } finally {
      await server.close();
    }
  });
});
