// The server on real sockets: what clients see on the wire, and what they cannot make it do.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { NetworkError } from '@heddle/runtime';
import { createMetrics, nodeClock } from '@heddle/runtime/node';
import { askTcp, askUdp, exchangeTcp, exchangeUdp, query, read, texts } from '../testing/client.ts';
import { instance, LOOPBACK, serve, service, SERVICES, zone } from '../testing/mesh.ts';
import { dnsMetrics } from './metrics.ts';
import { isNear } from './near.ts';
import { RateLimiter } from './rate-limit.ts';
import type { DnsServer } from './server.ts';

const closing: DnsServer[] = [];
after(() => Promise.all(closing.map((server) => server.close())));

async function server(...args: Parameters<typeof serve>): Promise<DnsServer> {
  const started = await serve(...args);
  closing.push(started);
  return started;
}

const BIG = service('big', {
  instances: Array.from({ length: 300 }, (_, index) => instance(`big-${index}`, `10.1.${index >> 8}.${index & 255}`)),
});

describe('a DNS server', () => {
  let port = 0;
  before(async () => {
    ({
      address: { port },
    } = await server(zone([...SERVICES, BIG])));
  });

  it('answers Node’s own resolver', async () => {
    const resolver = new Resolver();
    resolver.setServers([`${LOOPBACK}:${port}`]);
    assert.deepEqual((await resolver.resolve4('orders.mesh.internal')).sort(), ['10.0.0.1', '10.0.0.2']);
    assert.deepEqual(await resolver.resolve6('Orders.Default.MESH.internal'), ['fd00::6']);
    assert.deepEqual(
      (await resolver.resolveSrv('_http._tcp.orders.mesh.internal')).map(({ name, port: at, weight }) => `${name} ${at} ${weight}`).sort(),
      [
        'orders-1.orders.default.mesh.internal 15006 3',
        'orders-2.orders.default.mesh.internal 15006 1',
        'orders-6.orders.default.mesh.internal 15006 1',
      ],
    );
    assert.deepEqual(await resolver.reverse('10.0.0.1'), ['orders-1.orders.default.mesh.internal']);
    assert.equal((await resolver.resolveSoa('mesh.internal')).minttl, 5);
    await assert.rejects(resolver.resolve4('nobody.mesh.internal'), { code: 'ENOTFOUND' });
    await assert.rejects(resolver.resolve4('empty.mesh.internal'), { code: 'ENODATA' });
  });

  it('cuts answers to what the client takes by UDP, and gives all by TCP', async () => {
    const cut = await askUdp(port, { name: 'big' });
    assert.ok(cut.flag_tc && cut.bytes <= 512 && cut.bytes > 480);
    const more = await askUdp(port, { name: 'big', udpBytes: 1_000 });
    assert.ok(more.flag_tc && more.bytes <= 1_000 && more.bytes > 960);
    const most = await askUdp(port, { name: 'big', udpBytes: 65_535 });
    assert.ok(most.flag_tc && most.bytes <= 1_232 && most.bytes > 1_200);
    const whole = await askTcp(port, { name: 'big' });
    assert.ok(!whole.flag_tc);
    assert.equal(whole.answers?.length, 256);
    const places = await askTcp(port, { name: '_http._tcp.big', type: 'SRV' });
    assert.deepEqual([places.flag_tc, places.answers?.length, places.additionals?.length], [false, 256, 256]);
  });

  it('answers many queries on one connection, also when they come in one piece or byte by byte', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `big-${index}.big.default.mesh.internal`);
    const messages = names.map((name, index) => query({ name }, index));
    const answers = (await exchangeTcp(port, messages, 100)).map(read);
    for (const { id = -1, answers: found } of answers) assert.deepEqual(texts(found), [`A 10.1.0.${id}`]);
    const socket = net.connect(port, LOOPBACK).setNoDelay();
    const message = query({ name: 'orders', type: 'AAAA' });
    for (const byte of [0, message.length, ...message]) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [bytes] = (await Promise.race([once(socket, 'data'), once(socket, 'error')])) as [Buffer];
    assert.deepEqual(texts(read(bytes.subarray(2)).answers), ['AAAA fd00::6']);
    socket.destroy();
  });

  it('answers what was sent before the client ended its side', async () => {
    const socket = net.connect({ port, host: LOOPBACK, allowHalfOpen: true });
    const message = query({ name: 'orders' });
    socket.end(Buffer.concat([Buffer.from([0, message.length]), message]));
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    assert.equal(read(Buffer.concat(chunks).subarray(2)).answers?.length, 2);
  });

  it('outlives bytes of any kind, and never answers a response', async () => {
    const samples = fc.sample(fc.uint8Array({ maxLength: 600 }), 300);
    const valid = query({ name: 'orders', udpBytes: 1_232 });
    const mutated = fc.sample(fc.tuple(fc.nat(valid.length - 1), fc.nat(255), fc.nat(valid.length)), 300).map(([at, to, length]) => {
      const bytes = Buffer.from(valid);
      bytes[at] = to;
      return bytes.subarray(0, length);
    });
    const socket = dgram.createSocket('udp4');
    for (const bytes of [...samples, ...mutated]) socket.send(bytes, port, LOOPBACK);
    for (const bytes of samples.slice(0, 30)) {
      const stream = net.connect(port, LOOPBACK);
      stream.on('error', () => {});
      stream.end(bytes);
      stream.resume();
    }
    const response = Buffer.from(query({ name: 'orders' }));
    response[2]! |= 0x80;
    await assert.rejects(exchangeUdp(port, response, 50), /no answer/);
    assert.equal((await askUdp(port, { name: 'orders' })).answers?.length, 2);
    socket.close();
  });

  it('says FORMERR, NOTIMP, REFUSED and BADVERS with the question where it could be read', async () => {
    const plain = query({ name: 'orders' });
    const changed = async (at: number, to: number): Promise<string> => {
      const bytes = Buffer.from(plain);
      bytes[at] = to;
      return read(await exchangeUdp(port, bytes)).rcode;
    };
    assert.equal(await changed(2, 0x28), 'NOTIMP');
    assert.equal(await changed(5, 2), 'FORMERR');
    assert.equal(await changed(plain.length - 1, 3), 'REFUSED');
    const { rcode, questions } = await askUdp(port, { name: 'orders', type: 'AXFR' });
    assert.deepEqual([rcode, questions?.[0]?.name], ['REFUSED', 'orders']);
  });
});

describe('limits of a DNS server', () => {
  it('end connections that are idle, and refuse those beyond their number', async () => {
    const { address } = await server(zone(), { limits: { dnsIdleTimeoutMs: 200, dnsConnectionsMax: 2 } });
    const sockets = [1, 2].map(() => net.connect(address.port, LOOPBACK));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    await assert.rejects(askTcp(address.port, { name: 'orders' }), /ended|ECONNRESET/);
    await Promise.all(sockets.map((socket) => once(socket.resume(), 'close')));
    assert.equal((await askTcp(address.port, { name: 'orders' })).answers?.length, 2);
    await assert.rejects(exchangeTcp(address.port, [Buffer.alloc(4_097)], 1), /ended|ECONNRESET/);
  });

  it('cut or drop what a client asks too often by UDP, and end its connections', async () => {
    const metrics = createMetrics();
    const clock = { ...nodeClock, nowMs: () => 0 };
    const { address } = await server(zone(), { metrics, clock, limits: { dnsLocalQueriesPerSecondMax: 1 } });
    const all = await Promise.all(['orders', 'orders', 'orders'].map((name) => askUdp(address.port, { name })));
    assert.equal(all.filter(({ flag_tc }) => flag_tc).length, 1);
    await assert.rejects(exchangeUdp(address.port, query({ name: 'orders' }), 50), /no answer/);
    await assert.rejects(askTcp(address.port, { name: 'orders' }), /ended|ECONNRESET/);
    assert.match(metrics.expose(), /heddle_dns_rate_limited_total\{action="cut"\} 1\n/);
    assert.match(metrics.expose(), /heddle_dns_rate_limited_total\{action="dropped"\} 2\n/);
  });

  it('count clients apart, refill with time, and bound the table of clients', () => {
    const limiter = new RateLimiter({ perSecond: 10, perSecondLocal: 100, clientsMax: 3 });
    const verdicts = (client: string, count: number, nowMs: number): string =>
      Array.from({ length: count }, () => limiter.admit(client, nowMs)[0]).join('');
    assert.equal(verdicts('10.0.0.1', 23, 0), `${'a'.repeat(20)}cdc`);
    assert.equal(verdicts('10.0.0.2', 1, 0), 'a');
    assert.equal(verdicts('127.0.0.1', 21, 0), 'a'.repeat(21));
    assert.equal(verdicts('10.0.0.1', 6, 500), 'aaaaad');
    assert.equal(verdicts('2001:db8::1', 20, 500), 'a'.repeat(20));
    assert.equal(verdicts('2001:db8::2', 1, 500), 'c', 'a client has all of its /64');
    assert.equal(limiter.size, 3);
    assert.equal(verdicts('::ffff:10.0.0.8', 20, 500), 'a'.repeat(20));
    assert.equal(verdicts('10.0.0.8', 1, 500), 'c');
    assert.equal(verdicts('::ffff:10.0.0.9', 1, 500), 'a');
  });
});

describe('the sockets of a DNS server', () => {
  it('are of IPv6 too', { skip: !hasIpv6() && 'no IPv6 here' }, async () => {
    const { address } = await server(zone(), { listen: { address: '::1', port: 0 } });
    const resolver = new Resolver();
    resolver.setServers([`[::1]:${address.port}`]);
    assert.equal((await resolver.resolve4('orders')).length, 2);
    assert.deepEqual(await resolver.resolve6('ns.heddle-system.mesh.internal'), ['::1']);
  });

  it('of all addresses answer both kinds', { skip: !hasIpv6() && 'no IPv6 here' }, async () => {
    const { address } = await server(zone(), { listen: { address: '::', port: 0 } });
    for (const place of [LOOPBACK, '[::1]']) {
      const resolver = new Resolver();
      resolver.setServers([`${place}:${address.port}`]);
      assert.equal((await resolver.resolve4('orders')).length, 2);
      await assert.rejects(resolver.resolve4('ns.heddle-system.mesh.internal'), { code: 'ENODATA' });
    }
    assert.equal((await askTcp(address.port, { name: 'orders' })).answers?.length, 2);
  });

  it('are not had where somebody else listens, on UDP or on TCP', async () => {
    const { address } = await server(zone());
    await assert.rejects(serve(zone(), { listen: address }), (error) => error instanceof NetworkError && error.kind === 'address-in-use');
    const taken = net.createServer();
    await new Promise<void>((resolve) => void taken.listen(0, LOOPBACK, resolve));
    const { port } = taken.address() as net.AddressInfo;
    await assert.rejects(
      serve(zone(), { listen: { address: LOOPBACK, port } }),
      (error) => error instanceof NetworkError && error.kind === 'address-in-use',
    );
    const free = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => void free.bind(port, LOOPBACK, resolve));
    free.close();
    taken.close();
  });

  it('pass from one process to the next without a gap', { skip: process.platform !== 'linux' && 'Linux only' }, async () => {
    const first = await server(zone(), { handover: 'to-successor' });
    await assert.rejects(serve(zone(), { listen: first.address }), NetworkError);
    await assert.rejects(serve(zone(), { listen: first.address, handover: 'to-successor' }), NetworkError);
    const second = await server(zone(), { listen: first.address, handover: 'from-predecessor' });
    await first.close();
    assert.equal((await askUdp(second.address.port, { name: 'orders' })).answers?.length, 2);
    assert.equal((await askTcp(second.address.port, { name: 'orders' })).answers?.length, 2);
  });
});

describe('a server that does not know everything yet', () => {
  it('fails while there are no names at all, rather than to ask others for them', async () => {
    const { address } = await server(undefined, { forward: [{ address: LOOPBACK, port: 1 }] });
    assert.equal((await askUdp(address.port, { name: 'orders.mesh.internal' })).rcode, 'SERVFAIL');
  });

  it('waits for instances, and fails when they do not come', async () => {
    const unknown = service('orders', { instances: undefined });
    const names = zone([unknown]);
    const { address } = await server(names, {
      source: {
        zone: () => names,
        demand: async (key) => {
          assert.equal(key, 'default/orders');
          await new Promise((resolve) => setImmediate(resolve));
          if (names.serial > 1) names.set({ ...unknown, instances: [instance('orders-1', '10.0.0.1')] });
          else names.set({ ...unknown });
        },
      },
    });
    assert.equal((await askUdp(address.port, { name: 'orders' })).rcode, 'SERVFAIL');
    assert.deepEqual(texts((await askUdp(address.port, { name: 'orders' })).answers), ['A 10.0.0.1']);
  });
});

it('other names are looked up for machines of private networks only', () => {
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '192.168.0.9',
    '172.31.0.1',
    '169.254.1.1',
    '::1',
    'fd00::1',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
  ])
    assert.ok(isNear(address), address);
  for (const address of ['8.8.8.8', '172.32.0.1', '2001:db8::1', '::ffff:8.8.8.8', '']) assert.ok(!isNear(address), address);
});

describe('metrics of DNS', () => {
  it('have few labels, whatever is asked for', () => {
    const metrics = createMetrics();
    const counted = dnsMetrics(metrics);
    for (let type = 0; type < 1_000; type += 1) counted.answered(type, 3);
    counted.answered(undefined, 1);
    const lines = metrics
      .expose()
      .split('\n')
      .filter((line) => line.startsWith('heddle_dns_queries_total{'));
    assert.ok(lines.length < 30, `${lines.length}`);
    dnsMetrics(undefined).answered(1, 0);
  });
});

function once(socket: net.Socket, event: string): Promise<unknown[]> {
  return new Promise((resolve) => socket.once(event, (...args: unknown[]) => resolve(args)));
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1') === true);
}
