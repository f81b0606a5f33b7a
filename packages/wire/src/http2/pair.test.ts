import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Http2Core, Http2Options } from './core.ts';
import type { Http2ClientHandler, Http2Handler, Http2ServerHandler } from './handler.ts';
import { Http2Trailers } from './head.ts';
import type { Http2Stream } from './stream.ts';
import { ownRequest, ownResponse } from './testing/heads.ts';
import { ConnectionPair } from './testing/pair.ts';

/** One message's content, sent whenever there is room, and what the other side saw of it. */
interface Flight {
  readonly body: Buffer;
  readonly trailers: boolean;
  sent: number;
  ended: boolean;
}

interface Seen {
  head: string;
  body: string;
  trailers: string;
  ended: boolean;
}

/** A side that sends what its flights hold and consumes what it gets, both only when the test says so. */
class Side {
  readonly flights = new Map<Http2Stream, Flight>();
  readonly seen = new Map<number, Seen>();
  readonly resets: number[] = [];
  readonly errors: string[] = [];
  readonly held: { stream: Http2Stream; bytes: number }[] = [];
  connection: Http2Core | undefined;

  readonly handler: Http2Handler = {
    onData: (stream, bytes, start, end, endStream) => {
      const seen = this.seen.get(stream.id)!;
      seen.body += bytes.toString('latin1', start, end);
      seen.ended ||= endStream;
      if (end > start) this.held.push({ stream, bytes: end - start });
    },
    onTrailers: (stream, trailers) => {
      const seen = this.seen.get(stream.id)!;
      seen.trailers = [...trailers].join();
      seen.ended = true;
    },
    onReset: (stream) => {
      this.resets.push(stream.id);
      this.flights.delete(stream);
    },
    onWindow: (stream) => this.write(stream, Number.POSITIVE_INFINITY),
    onRefused: (_id, violation) => void this.errors.push(violation),
    onSettings: () => {},
    onGoaway: () => {},
    onPingAck: () => {},
    onLoadQuestion: () => {},
    onLoadAnswer: () => {},
    onError: (error) => void this.errors.push(error.code),
  };

  note(stream: Http2Stream, head: string, ended: boolean): void {
    this.seen.set(stream.id, { head, body: '', trailers: '', ended });
  }

  write(stream: Http2Stream, bytesMax: number): void {
    const flight = this.flights.get(stream);
    if (flight === undefined || flight.ended) return;
    const to = Math.min(flight.body.length, flight.sent + bytesMax);
    const isLast = to === flight.body.length;
    flight.sent += this.connection!.sendData(stream, flight.body, flight.sent, to, isLast && !flight.trailers);
    if (flight.sent < flight.body.length) return;
    if (flight.trailers) this.connection!.sendTrailers(stream, new Http2Trailers().add('x-sum', String(flight.sent)));
    flight.ended = true;
  }

  consume(): void {
    const { stream, bytes } = this.held.shift() ?? {};
    if (stream !== undefined) this.connection!.consumed(stream, bytes!);
  }
}

interface Exchange {
  readonly up: number;
  readonly down: number;
  readonly upTrailers: boolean;
  readonly downTrailers: boolean;
}

function bodyOf(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => 33 + ((at * 7 + seed * 13 + (at >> 8)) % 90)));
}

function linked(exchanges: readonly Exchange[], clientOptions: Http2Options, serverOptions: Http2Options) {
  const [up, down] = [new Side(), new Side()];
  const client: Http2ClientHandler = {
    ...up.handler,
    onInterim: () => {},
    onHeaders: (stream, head, endStream) => up.note(stream, `${head.status} ${[...head].join()}`, endStream),
  };
  const server: Http2ServerHandler = {
    ...down.handler,
    onHeaders: (stream, head, endStream) => {
      down.note(stream, `${head.method} ${head.path} ${[...head].join()}`, endStream);
      const index = Number(head.path.slice(1));
      const { down: length, downTrailers } = exchanges[index]!;
      pair.server.respond(stream, ownResponse(200, [['x-index', String(index)]]), false);
      down.flights.set(stream, { body: bodyOf(length, index), trailers: downTrailers, sent: 0, ended: false });
    },
  };
  const pair = new ConnectionPair(client, server, clientOptions, serverOptions);
  up.connection = pair.client;
  down.connection = pair.server;
  return { pair, up, down };
}

const exchange = fc.record({
  up: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 3_000 })),
  down: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 3_000 })),
  upTrailers: fc.boolean(),
  downTrailers: fc.boolean(),
});

/** Bodies of these tests have up to 3,000 bytes: none, some or all DATA pass by reference. */
const copyMax = fc.constantFrom(0, 20, 500, Number.POSITIVE_INFINITY);

type Step =
  | { readonly do: 'request' }
  | { readonly do: 'write'; readonly side: 0 | 1; readonly which: number; readonly bytes: number }
  | { readonly do: 'consume'; readonly side: 0 | 1 }
  | { readonly do: 'deliver'; readonly side: 0 | 1; readonly bytes: number }
  | { readonly do: 'ping'; readonly side: 0 | 1 }
  | { readonly do: 'window'; readonly side: 0 | 1; readonly bytes: number };

const side = fc.constantFrom(0 as const, 1 as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('request' as const) }),
  fc.record({ do: fc.constant('write' as const), side, which: fc.nat(20), bytes: fc.integer({ min: 1, max: 1_000 }) }),
  fc.record({ do: fc.constant('consume' as const), side }),
  fc.record({
    do: fc.constant('deliver' as const),
    side,
    bytes: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 2_000 })),
  }),
  fc.record({ do: fc.constant('ping' as const), side }),
  fc.record({ do: fc.constant('window' as const), side, bytes: fc.integer({ min: 0, max: 2_000 }) }),
);

const windows = fc.record({ streamWindowBytes: fc.integer({ min: 0, max: 2_000 }), sentFrameBytesMax: fc.integer({ min: 1, max: 600 }) });

test('whatever the order of writes, reads and arrivals, all content arrives, once, in order, within the windows', () => {
  fc.assert(
    fc.property(
      fc.array(exchange, { minLength: 1, maxLength: 8 }),
      fc.array(step, { maxLength: 150 }),
      windows,
      windows,
      fc.tuple(copyMax, copyMax),
      (exchanges, steps, a, b, copyMaxes) => {
        const limits = { concurrentStreamsMax: 3 };
        const [clientOptions, serverOptions] = [
          { limits: { ...limits, ...a }, dataCopyBytesMax: copyMaxes[0] },
          { limits: { ...limits, ...b }, dataCopyBytesMax: copyMaxes[1], outputSlabBytes: 300 },
        ];
        const { pair, up, down } = linked(exchanges, clientOptions, serverOptions);
        const sides = [up, down] as const;
        const requested: Http2Stream[] = [];
        const request = (): void => {
          const index = requested.length;
          if (index >= exchanges.length || !pair.client.peerSettings.enableConnectProtocol) return;
          const stream = pair.client.request(ownRequest('POST', `/${index}`, [['x-index', String(index)]]), false);
          if (stream === undefined) return;
          requested.push(stream);
          up.flights.set(stream, {
            body: bodyOf(exchanges[index]!.up, index + 100),
            trailers: exchanges[index]!.upTrailers,
            sent: 0,
            ended: false,
          });
        };
        for (const taken of steps) {
          if (taken.do === 'request') request();
          else if (taken.do === 'write') {
            const streams = [...sides[taken.side].flights.keys()];
            const stream = streams[taken.which % Math.max(1, streams.length)];
            if (stream !== undefined) sides[taken.side].write(stream, taken.bytes);
          } else if (taken.do === 'consume') sides[taken.side].consume();
          else if (taken.do === 'deliver') pair.deliver(taken.side === 0 ? 'client' : 'server', taken.bytes);
          else if (taken.do === 'ping') sides[taken.side].connection!.ping(Buffer.from('12345678'));
          else sides[taken.side].connection!.changeSettings({ initialWindowSize: taken.bytes });
        }
        // Then everybody reads and writes until all is said; windows of 0 are opened.
        for (const { connection } of sides) connection!.changeSettings({ initialWindowSize: 1_000 });
        for (let round = 0; round < 500; round++) {
          request();
          for (const one of sides) {
            for (const stream of [...one.flights.keys()]) one.write(stream, Number.POSITIVE_INFINITY);
            while (one.held.length > 0) one.consume();
          }
          pair.settle();
          if (requested.length === exchanges.length && pair.client.streamCount + pair.server.streamCount === 0) break;
        }
        for (const one of sides) while (one.held.length > 0) one.consume();
        pair.settle();
        assert.deepEqual([up.errors, down.errors, up.resets, down.resets], [[], [], [], []]);
        assert.equal(pair.client.streamCount + pair.server.streamCount, 0);
        for (const [index, stream] of requested.entries()) {
          const { up: sentUp, down: sentDown, upTrailers, downTrailers } = exchanges[index]!;
          assert.deepEqual(down.seen.get(stream.id), {
            head: `POST /${index} x-index,${index}`,
            body: bodyOf(sentUp, index + 100).toString('latin1'),
            trailers: upTrailers ? `x-sum,${sentUp}` : '',
            ended: true,
          });
          assert.deepEqual(up.seen.get(stream.id), {
            head: `200 x-index,${index}`,
            body: bodyOf(sentDown, index).toString('latin1'),
            trailers: downTrailers ? `x-sum,${sentDown}` : '',
            ended: true,
          });
          assert.equal(stream.unconsumed, 0);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a reader that does not consume stops its peer at the window', () => {
  const exchanges = [{ up: 0, down: 5_000_000, upTrailers: false, downTrailers: false }];
  const { pair, up, down } = linked(exchanges, {}, {});
  pair.settle();
  pair.client.request(ownRequest('GET', '/0'), true);
  pair.settle();
  const [stream] = [...down.flights.keys()];
  down.write(stream!, Number.POSITIVE_INFINITY);
  for (let round = 0; round < 10; round++) pair.settle();
  const heldBytes = (): number => up.held.reduce((sum, { bytes }) => sum + bytes, 0);
  assert.equal(heldBytes(), 262_144);
  let mostHeld = 0;
  while (up.seen.get(1)?.ended !== true) {
    up.consume();
    pair.settle();
    mostHeld = Math.max(mostHeld, heldBytes());
  }
  assert.ok(mostHeld <= 262_144, `${mostHeld} bytes were held`);
  assert.equal(up.seen.get(1)?.body.length, 5_000_000);
});

test('resets from either side at any time leave both sides in agreement', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          reset: fc.constantFrom('client' as const, 'server' as const, 'none' as const),
          before: fc.integer({ min: 0, max: 400 }),
        }),
        {
          minLength: 1,
          maxLength: 20,
        },
      ),
      (plans) => {
        const exchanges = plans.map(() => ({ up: 200, down: 200, upTrailers: false, downTrailers: true }));
        const { pair, up, down } = linked(exchanges, {}, {});
        pair.settle();
        for (const [index, plan] of plans.entries()) {
          const stream = pair.client.request(ownRequest('POST', `/${index}`), false)!;
          up.flights.set(stream, { body: bodyOf(200, index), trailers: false, sent: 0, ended: false });
          up.write(stream, 1_000);
          pair.deliver('server', plan.before);
          for (const one of down.flights.keys()) down.write(one, 1_000);
          if (plan.reset === 'client') {
            pair.client.reset(stream);
            up.flights.delete(stream);
          } else if (plan.reset === 'server') {
            const theirs = [...down.flights.keys()].find(({ id }) => id === stream.id);
            if (theirs !== undefined) pair.server.reset(theirs, 7);
            down.flights.delete(theirs!);
          }
          pair.deliver('client', plan.before);
        }
        pair.settle();
        for (const one of [...down.flights.keys()]) down.write(one, 1_000);
        pair.settle();
        assert.deepEqual([up.errors, down.errors], [[], []]);
        assert.equal(pair.client.streamCount, 0);
        assert.equal(pair.server.streamCount, 0);
      },
    ),
    { numRuns: 200 },
  );
});
