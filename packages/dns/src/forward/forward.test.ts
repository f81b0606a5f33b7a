// Forwarding through a whole server, with resolvers on real sockets. Time is a clock that the tests set, where it matters.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { createMetrics, nodeClock } from '@heddle/runtime/node';
import { type Answered, askTcp, askUdp, exchangeUdp, query, texts } from '../testing/client.ts';
import { serve, zone } from '../testing/mesh.ts';
import { a, type Reply, soa, type Upstream, upstream } from '../testing/upstream.ts';
import type { DnsServerOptions } from '../server/server.ts';
import { Cache } from './cache.ts';
import { readReply } from './reply.ts';
import { isOwn, parseResolvConf, systemResolvers } from './resolvers.ts';

const closing: (() => Promise<void>)[] = [];
after(() => Promise.all(closing.map((close) => close())));

async function resolver(answer: Parameters<typeof upstream>[0]): Promise<Upstream> {
  const started = await upstream(answer);
  closing.push(() => started.close());
  return started;
}

/** The port of a server that forwards to these. */
async function server(to: readonly Upstream[], over: Partial<DnsServerOptions> = {}): Promise<number> {
  const started = await serve(zone(), { forward: to.map(({ place }) => place), ...over });
  closing.push(() => started.close());
  return started.address.port;
}

/** Real timers; a time that the test moves. */
function movedClock(): Clock & { movedMs: number } {
  const clock = {
    movedMs: 0,
    wallMs: () => nodeClock.wallMs() + clock.movedMs,
    nowMs: () => nodeClock.nowMs() + clock.movedMs,
    after: nodeClock.after,
  };
  return clock;
}

const QUICK = { dnsTryTimeoutMs: 60, dnsForwardTimeoutMs: 240 };

/** The first record of the answer. */
function first({ answers = [] }: Answered): { readonly ttl: number; readonly data: Buffer } {
  return answers[0] as unknown as { readonly ttl: number; readonly data: Buffer };
}

function answering(reply: Reply): Parameters<typeof upstream>[0] {
  return () => reply;
}

describe('a name that is none of the mesh', () => {
  it('is looked up once, and then answered from the cache with less time to live', async () => {
    const clock = movedClock();
    const metrics = createMetrics();
    const one = await resolver(answering({ answers: [a('www.example.com', '192.0.2.1', 300)] }));
    const port = await server([one], { clock, metrics });
    const fresh = await askUdp(port, { name: 'www.example.com' });
    assert.deepEqual(texts(fresh.answers), ['A 192.0.2.1']);
    assert.deepEqual([fresh.flag_aa, fresh.flag_ra, fresh.questions?.[0]?.name], [false, true, 'www.example.com']);
    clock.movedMs = 100_000;
    const second = await askUdp(port, { name: 'WWW.example.COM', udpBytes: 1_232 });
    assert.equal(first(second).ttl, 200);
    assert.deepEqual([second.questions?.[0]?.name, second.answers?.[0]?.name], ['WWW.example.COM', 'WWW.example.COM']);
    assert.deepEqual(one.asked, ['www.example.com A']);
    clock.movedMs = 301_000;
    await askTcp(port, { name: 'www.example.com' });
    assert.equal(one.asked.length, 2);
    const text = metrics.expose();
    assert.match(text, /heddle_dns_cache_hits_total 1\n/);
    assert.match(text, /heddle_dns_forwarded_total\{result="answered"\} 2\n/);
    assert.match(text, /heddle_dns_queries_total\{rcode="NOERROR",type="A"\} 3\n|heddle_dns_queries_total\{type="A",rcode="NOERROR"\} 3\n/);
  });

  it('is asked for with a new id, a new port and letters of random case', async () => {
    const one = await resolver(answering({ answers: [] }));
    const port = await server([one]);
    for (let count = 0; count < 5; count += 1) await askUdp(port, { name: 'quite-a-long-name.example' });
    assert.equal(new Set(one.questions.map(({ id }) => id)).size, 5);
    assert.ok(new Set(one.questions.map(({ questions }) => questions?.[0]?.name)).size > 3);
    assert.ok(one.questions.every(({ flag_rd }) => flag_rd));
  });

  it('is looked up once for all who ask at the same time', async () => {
    const one = await resolver(answering({ answers: [a('busy.example', '192.0.2.1')] }));
    const port = await server([one]);
    const all = await Promise.all(Array.from({ length: 20 }, () => askUdp(port, { name: 'busy.example' })));
    assert.ok(all.every(({ answers }) => texts(answers).join() === 'A 192.0.2.1'));
    assert.equal(one.asked.length, 1);
  });

  it('that does not exist is remembered for as long as its zone says, and not at all where it says nothing', async () => {
    const clock = movedClock();
    const one = await resolver(({ questions = [] }) =>
      /^mute/i.test(questions[0]?.name ?? '') ? { rcode: 3 } : { rcode: 3, authorities: [soa('example', 900, 60)] },
    );
    const port = await server([one], { clock });
    for (const [name, waitMs, count] of [
      ['none.example', 0, 1],
      ['none.example', 59_000, 1],
      ['none.example', 2_000, 2],
      ['mute.example', 0, 3],
      ['mute.example', 0, 4],
    ] as const) {
      clock.movedMs += waitMs;
      assert.equal((await askUdp(port, { name })).rcode, 'NXDOMAIN');
      assert.equal(one.asked.length, count, name);
    }
  });

  it('is looked up by TCP when the answer was cut, and handed on in as many bytes as the client takes', async () => {
    const answers = Array.from({ length: 60 }, (_, index) => a('big.example', `192.0.2.${index}`));
    const one = await resolver((_query, transport) => (transport === 'udp' ? { flags: 0x200 } : { answers }));
    const port = await server([one]);
    const cut = await askUdp(port, { name: 'big.example' });
    assert.ok(cut.flag_tc && cut.bytes <= 512);
    assert.equal((await askTcp(port, { name: 'big.example' })).answers?.length, 60);
    assert.ok(!(await askTcp(port, { name: 'big.example' })).flag_tc);
    assert.deepEqual(one.asked, ['big.example A', 'big.example A/tcp']);
  });

  it('keeps records of any type byte for byte, and signatures apart from answers without', async () => {
    const strange = { type: 'NULL', name: 'odd.example', ttl: 60, data: Buffer.from([1, 2, 3]) } as const;
    const one = await resolver(({ additionals = [] }) => {
      const [opt] = additionals;
      return { answers: [strange], authorities: opt?.type === 'OPT' && opt.flag_do ? [a('signed.example', '192.0.2.9')] : [] };
    });
    const port = await server([one]);
    const plain = await askUdp(port, { name: 'odd.example', type: 'NULL', udpBytes: 1_232 });
    assert.deepEqual(first(plain).data, Buffer.from([1, 2, 3]));
    const signed = await askUdp(port, { name: 'odd.example', type: 'NULL', udpBytes: 1_232, dnssecOk: true });
    assert.deepEqual([plain.authorities?.length, signed.authorities?.length, one.asked.length], [0, 1, 2]);
    assert.equal(signed.additionals?.filter(({ type }) => type === 'OPT').length, 1);
  });
});

describe('resolvers that do not help', () => {
  it('are passed over: silent, refusing or failing ones, and those that know no EDNS0', async () => {
    const silent = await resolver(() => undefined);
    const failing = await resolver(answering({ rcode: 2 }));
    const old = await resolver(({ additionals = [] }) =>
      additionals.length > 0 ? Buffer.from([0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]) : { answers: [a('x.example', '192.0.2.7')] },
    );
    const withId = await resolver((asked) => {
      if ((asked.additionals ?? []).length === 0) return { answers: [a('x.example', '192.0.2.7')] };
      const bytes = Buffer.from([0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
      bytes.writeUInt16BE(asked.id ?? 0);
      return bytes;
    });
    const port = await server([silent, failing, withId], { limits: QUICK });
    assert.deepEqual(texts((await askUdp(port, { name: 'x.example' })).answers), ['A 192.0.2.7']);
    assert.ok(failing.asked.length > 0 && withId.asked.length > 1);
    const asked = silent.asked.length;
    await askUdp(port, { name: 'y.example' });
    assert.equal(silent.asked.length, asked, 'who did not answer is asked last for a while');
    assert.equal(
      (await askUdp(await server([old], { limits: QUICK }), { name: 'x.example' })).rcode,
      'SERVFAIL',
      'an error for another query is none',
    );
  });

  it('give SERVFAIL with the reason, which is remembered for a moment', async () => {
    const silent = await resolver(() => undefined);
    const port = await server([silent], { limits: QUICK });
    const failed = await askUdp(port, { name: 'x.example', udpBytes: 1_232 });
    assert.equal(failed.rcode, 'SERVFAIL');
    const asked = silent.asked.length;
    const again = await exchangeUdp(port, query({ name: 'x.example', udpBytes: 1_232 }));
    assert.equal(silent.asked.length, asked);
    assert.match(again.toString('latin1'), /127\.0\.0\.1 port \d+: no answer within/);
    assert.equal((await askUdp(await server([]), { name: 'x.example' })).rcode, 'SERVFAIL');
  });

  it('pass their own refusal on when nobody knows better', async () => {
    const one = await resolver(answering({ rcode: 5 }));
    assert.equal((await askUdp(await server([one, one]), { name: 'x.example' })).rcode, 'REFUSED');
  });

  it('do not take away what was true a while ago', async () => {
    const clock = movedClock();
    let isUp = true;
    const one = await resolver(() => (isUp ? { answers: [a('x.example', '192.0.2.1', 10)] } : undefined));
    const port = await server([one], { clock, limits: QUICK });
    await askUdp(port, { name: 'x.example' });
    isUp = false;
    clock.movedMs = 60_000;
    const stale = await askUdp(port, { name: 'x.example' });
    assert.deepEqual([texts(stale.answers), first(stale).ttl], [['A 192.0.2.1'], 30]);
    clock.movedMs = 4_000_000;
    assert.equal((await askUdp(port, { name: 'x.example' })).rcode, 'SERVFAIL');
  });

  it('cannot have answers taken that do not fit the question', async () => {
    const liar = await resolver(({ id }) => ({ id: ((id ?? 0) + 1) & 0xffff, answers: [a('x.example', '203.0.113.66')] }));
    const other = await resolver(() => ({ questions: [{ type: 'A', name: 'other.example' }], answers: [a('x.example', '203.0.113.66')] }));
    assert.equal((await askUdp(await server([liar, other], { limits: QUICK }), { name: 'x.example' })).rcode, 'SERVFAIL');
  });
});

describe('a loop', () => {
  it('through another resolver is noticed at once', async () => {
    const metrics = createMetrics();
    let port = 0;
    // A resolver that asks us in turn, as one does to which somebody pointed both ways.
    const other = await resolver(() => undefined);
    const seen: string[] = [];
    const looping = await upstream((asked) => {
      void exchangeUdp(port, query({ name: asked.questions?.[0]?.name ?? '' })).then((answer) => seen.push(String(answer[3]! & 15)));
      return undefined;
    });
    closing.push(() => looping.close());
    port = await server([looping, other], { metrics, limits: QUICK });
    assert.equal((await askUdp(port, { name: 'somewhere-else.example' })).rcode, 'SERVFAIL');
    assert.match(metrics.expose(), /heddle_dns_loops_total [12]\n/);
    assert.ok(seen.every((rcode) => rcode === '2') && seen.length > 0);
  });

  it('to this server itself is never begun', async () => {
    const itself: { address: string; port: number }[] = [];
    const started = await serve(zone(), { forward: itself });
    closing.push(() => started.close());
    itself.push(started.address);
    const failed = await askUdp(started.address.port, { name: 'x.example', udpBytes: 1_232 });
    assert.equal(failed.rcode, 'SERVFAIL');
    assert.ok(isOwn({ address: '127.0.0.53', port: 53 }, [{ address: '0.0.0.0', port: 53 }]));
    assert.ok(!isOwn({ address: '127.0.0.53', port: 53 }, [{ address: '127.0.0.1', port: 53 }]));
  });
});

describe('what is forwarded', () => {
  it('is limited in number: the rest fails at once', async () => {
    const silent = await resolver(() => undefined);
    const port = await server([silent], { limits: { ...QUICK, dnsForwardedMax: 2 } });
    const all = await Promise.all(['a', 'b', 'c', 'd'].map((name) => askUdp(port, { name: `${name}.example` })));
    assert.ok(all.every(({ rcode }) => rcode === 'SERVFAIL'));
    assert.equal(new Set(silent.asked).size, 2);
  });

  it('is what was asked for, and nothing when forwarding is off', async () => {
    const one = await resolver(answering({ answers: [] }));
    assert.equal((await askUdp(await server([one]), { name: 'x.example', isRecursive: false })).rcode, 'REFUSED');
    const off = await askUdp(await server([], { forward: 'off' }), { name: 'x.example' });
    assert.deepEqual([off.rcode, off.flag_ra], ['REFUSED', false]);
    assert.equal(one.asked.length, 0);
  });

  it('goes to the resolvers of the system, and to others when its file changes', async () => {
    let text: string | undefined =
      'nameserver 192.0.2.1 # one\n  nameserver\t2001:db8::1\nsearch x\nnameserver host.name\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n';
    const resolvers = systemResolvers(() => text);
    assert.deepEqual(resolvers(), [
      { address: '192.0.2.1', port: 53 },
      { address: '2001:db8::1', port: 53 },
      { address: '192.0.2.3', port: 53 },
    ]);
    assert.equal(resolvers(), resolvers());
    text = 'nameserver fe80::1%eth0';
    assert.deepEqual(resolvers(), [{ address: 'fe80::1%eth0', port: 53 }]);
    text = undefined;
    assert.deepEqual(resolvers(), []);
    assert.deepEqual(parseResolvConf('; nameserver 1.2.3.4'), []);
  });
});

describe('the cache', () => {
  it('holds no more than its limits, in number and in bytes, and forgets what was used longest ago', () => {
    const reply = (bytes: number) => ({
      message: Buffer.alloc(bytes),
      rcode: 0,
      isCut: false,
      ttlOffsets: [],
      nameOffsets: [],
      ttlSeconds: 60,
      hasEdns: true,
    });
    fc.assert(
      fc.property(fc.array(fc.record({ key: fc.nat(30), bytes: fc.nat(3_000) }), { maxLength: 60 }), (puts) => {
        const cache = new Cache({ entriesMax: 8, bytesMax: 6_000 });
        for (const { key, bytes } of puts) {
          cache.put(`${key}`, reply(bytes), 0);
          assert.ok(cache.size <= 8 && cache.bytes <= 6_000 && cache.bytes >= 0);
        }
      }),
    );
    const cache = new Cache({ entriesMax: 2, bytesMax: DEFAULT_LIMITS.dnsCacheBytesMax });
    for (const key of ['a', 'b']) cache.put(key, reply(1), 0);
    cache.get('a', 0);
    cache.put('c', reply(1), 0);
    assert.deepEqual([cache.get('b', 0), cache.get('a', 0)?.ageSeconds], [undefined, 0]);
  });

  it('is not confused by answers of any bytes', () => {
    const sent = { id: 4_711, name: 'a.b', type: 1, class: 1 };
    const valid = Buffer.concat([
      Buffer.from([0x12, 0x67, 0x81, 0x80, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0x61, 1, 0x62, 0, 0, 1, 0, 1]),
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4]),
      Buffer.from([0xc0, 12, 0, 2, 0, 1, 0xff, 0, 0, 9, 0, 2, 0xc0, 12]),
      Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]),
    ]);
    const good = readReply(valid, sent);
    assert.deepEqual([good?.ttlOffsets.length, good?.ttlSeconds, good?.hasEdns, good?.message.length], [2, 0, true, valid.length - 11]);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 8 }), fc.nat(valid.length), (changes, length) => {
        const bytes = Buffer.from(valid);
        for (const [at, to] of changes) bytes[at] = to;
        const reply = readReply(bytes.subarray(0, length), sent);
        if (reply === undefined) return;
        assert.ok(reply.message.length <= length && reply.ttlSeconds >= 0);
        for (const offset of reply.ttlOffsets) assert.ok(offset + 4 <= reply.message.length);
      }),
      { numRuns: 500 },
    );
  });
});
