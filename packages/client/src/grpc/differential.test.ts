import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { metadataOf, type Pair, type Answer, Wishes, type WishesClient, type Wish } from '../testing/grpc-service.ts';
import { wishesMesh } from '../testing/wishes-mesh.ts';
import { meshOptions } from './index.ts';

const { wishes, mesh } = await wishesMesh();

// One table of calls, by grpc-js's own channel and by the mesh's, to the same server: what the application hears is the same.

interface Scenario {
  readonly name: string;
  readonly kind: 'unary' | 'absent' | 'serverStream' | 'clientStream' | 'bidi';
  readonly wishes: readonly Wish[];
  readonly metadata?: readonly Pair[];
  readonly call?: () => grpc.CallOptions;
  readonly channel?: object;
  /** Cancelled after so many messages; -1: at once. */
  readonly cancelAfter?: number;
  /** A client stream, or one in both directions, is not ended. */
  readonly open?: boolean;
  /** Of events that are compared otherwise: their form. */
  readonly details?: RegExp;
  /** How many messages of those that came before a failure are given to the application is a matter of timing in grpc-js. */
  readonly fewerMessages?: boolean;
}

const soon = (): grpc.CallOptions => ({ deadline: Date.now() + 150 });
const DEADLINE = /^Deadline exceeded after|^DEADLINE_EXCEEDED/;

const SCENARIOS: readonly Scenario[] = [
  { name: 'an answer', kind: 'unary', wishes: [{ text: 'hi' }] },
  {
    name: 'an answer with metadata',
    kind: 'unary',
    wishes: [
      {
        head: [
          ['x-head', '1'],
          ['x-head', '2'],
        ],
        trailers: [['x-end', 'done']],
      },
    ],
  },
  {
    name: 'binary metadata',
    kind: 'unary',
    wishes: [
      {
        head: [['x-a-bin', 'AP8B']],
        trailers: [
          ['x-b-bin', '/w=='],
          ['x-b-bin', 'AA=='],
        ],
      },
    ],
  },
  {
    name: 'metadata of the request',
    kind: 'unary',
    wishes: [{ tell: 'x-my-' }],
    metadata: [
      ['x-my-one', 'a'],
      ['x-my-two', 'b'],
      ['x-my-two', 'c, d'],
      ['x-my-bytes-bin', Buffer.from([0, 255])],
    ],
  },
  { name: 'headers of gRPC', kind: 'unary', wishes: [{ tell: 'grpc-' }] },
  {
    name: 'a compressed request',
    kind: 'unary',
    wishes: [{ size: 3_000, text: 'x'.repeat(3_000) }],
    channel: { 'grpc.default_compression_algorithm': 2 },
  },
  {
    name: 'a request compressed by deflate',
    kind: 'clientStream',
    wishes: [{ text: 'a' }, { text: 'b' }],
    channel: { 'grpc.default_compression_algorithm': 1 },
  },
  { name: 'a failure', kind: 'unary', wishes: [{ code: 5, details: 'no such thing' }] },
  {
    name: 'a failure with metadata',
    kind: 'unary',
    wishes: [
      {
        code: 9,
        details: 'not now',
        trailers: [
          ['x-why', 'because'],
          ['x-why-bin', 'AAE='],
        ],
      },
    ],
  },
  { name: 'a failure after its head', kind: 'unary', wishes: [{ code: 13, details: 'late', head: [['x-head', '1']] }] },
  {
    name: 'a message of any characters',
    kind: 'unary',
    wishes: [{ code: 2, details: '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n' }],
  },
  { name: 'a method that is not there', kind: 'absent', wishes: [{}] },
  { name: 'a large answer', kind: 'unary', wishes: [{ size: 3_000_000 }] },
  { name: 'a large request', kind: 'unary', wishes: [{ text: 'y'.repeat(2_000_000) }] },
  { name: 'an answer that is too large', kind: 'unary', wishes: [{ size: 5_000 }], channel: { 'grpc.max_receive_message_length': 1_000 } },
  {
    name: 'a request that is too large',
    kind: 'unary',
    wishes: [{ text: 'z'.repeat(5_000) }],
    channel: { 'grpc.max_send_message_length': 1_000 },
  },
  { name: 'a deadline', kind: 'unary', wishes: [{ hang: true }], call: soon, details: DEADLINE },
  { name: 'a deadline that has passed', kind: 'unary', wishes: [{}], call: () => ({ deadline: 1 }), details: DEADLINE },
  { name: 'a call cancelled at once', kind: 'unary', wishes: [{ hang: true }], cancelAfter: -1 },
  {
    name: 'a stream of answers',
    kind: 'serverStream',
    wishes: [{ count: 20, text: 'm', head: [['x-head', '1']], trailers: [['x-end', '2']] }],
  },
  { name: 'a stream without answers', kind: 'serverStream', wishes: [{ count: 0 }] },
  { name: 'a stream that fails at once', kind: 'serverStream', wishes: [{ count: 0, code: 7, details: 'not you' }] },
  { name: 'a stream that fails late', kind: 'serverStream', wishes: [{ count: 3, code: 8, details: 'enough' }], fewerMessages: true },
  { name: 'a stream cut by its deadline', kind: 'serverStream', wishes: [{ count: 2, hang: true }], call: soon, details: DEADLINE },
  { name: 'a stream that is cancelled', kind: 'serverStream', wishes: [{ count: 3, hang: true }], cancelAfter: 3 },
  { name: 'a stream of large answers', kind: 'serverStream', wishes: [{ count: 4, size: 1_000_000 }] },
  { name: 'a stream of requests', kind: 'clientStream', wishes: [{ text: 'a' }, { text: 'b' }, { text: 'c', trailers: [['x-end', '1']] }] },
  { name: 'a stream of no requests', kind: 'clientStream', wishes: [] },
  { name: 'a stream of requests that fails', kind: 'clientStream', wishes: [{ text: 'a' }, { code: 3, details: 'bad' }] },
  {
    name: 'a stream of requests cut by its deadline',
    kind: 'clientStream',
    wishes: [{ text: 'a' }],
    open: true,
    call: soon,
    details: DEADLINE,
  },
  { name: 'both streams', kind: 'bidi', wishes: [{ text: 'a' }, { text: 'b', count: 2 }, { text: 'c' }] },
  { name: 'both streams, empty', kind: 'bidi', wishes: [] },
  { name: 'both streams, failing', kind: 'bidi', wishes: [{ text: 'a', count: 0, code: 6, details: 'twice' }], open: true },
  { name: 'both streams, cancelled', kind: 'bidi', wishes: [{ text: 'a' }, { text: 'b' }], open: true, cancelAfter: 2 },
];

/** Everything that the application hears, in order. */
function listen(client: WishesClient, { kind, wishes, metadata, call, cancelAfter, open }: Scenario): Promise<unknown[]> {
  const heard: unknown[] = [];
  return new Promise((resolve) => {
    let messages = 0;
    let remaining = 2;
    const hear = (...event: unknown[]): void => void heard.push(event);
    const over = (): void => {
      remaining -= 1;
      if (remaining === 0) setImmediate(() => resolve(heard));
    };
    const message = (answer: Answer | undefined): void => {
      hear('message', answer === undefined ? undefined : summaryOf(answer));
      messages += 1;
      if (messages === cancelAfter) ongoing.cancel();
    };
    const done: grpc.requestCallback<Answer> = (error, answer) => {
      if (error === null) message(answer);
      else hear('error', errorOf(error));
      over();
    };
    const head = metadataOf(metadata);
    const options = call?.() ?? {};
    const ongoing = begin();
    ongoing.on('metadata', (given: grpc.Metadata) => hear('metadata', plain(given)));
    ongoing.on('status', (status: grpc.StatusObject) => {
      hear('status', { ...status, metadata: plain(status.metadata) });
      over();
    });
    if (cancelAfter === -1) ongoing.cancel();

    function begin():
      | grpc.ClientUnaryCall
      | grpc.ClientReadableStream<Answer>
      | grpc.ClientWritableStream<Wish>
      | grpc.ClientDuplexStream<Wish, Answer> {
      if (kind === 'unary' || kind === 'absent') return client[kind](wishes[0]!, head, options, done);
      if (kind === 'clientStream') return send(client.clientStream(head, options, done));
      const stream = kind === 'bidi' ? send(client.bidi(head, options)) : client.serverStream(wishes[0]!, head, options);
      stream.on('data', message);
      stream.on('error', (error: grpc.ServiceError) => hear('error', errorOf(error)));
      stream.on('end', () => {
        hear('end');
        over();
      });
      return stream;
    }

    function send<S extends grpc.ClientWritableStream<Wish>>(stream: S): S {
      for (const wish of wishes) stream.write(wish);
      if (open !== true) stream.end();
      return stream;
    }
  });
}

function summaryOf({ text = '', filler = '', saw }: Answer): object {
  return { text: text.length > 100 ? text.length : text, filler: filler.length, ...saw };
}

/** Save what a date, or the mesh, adds. */
function plain(metadata: grpc.Metadata): Record<string, unknown> {
  const { date: _date, ...rest } = metadata.toJSON();
  return rest;
}

function errorOf(error: grpc.ServiceError): object {
  return {
    code: error.code,
    details: error.details,
    message: error.message,
    metadata: plain(error.metadata),
    isError: error instanceof Error,
  };
}

function withoutDetails(heard: unknown[], form: RegExp): unknown[] {
  return heard.map((event) => {
    const [kind, body] = event as [string, { details?: string; message?: string; code?: number; metadata?: object }];
    if (body?.details === undefined) return event;
    assert.match(body.details, form);
    return [kind, body.code];
  });
}

describe('a call by the mesh, next to one by grpc-js’s own connection,', () => {
  for (const scenario of SCENARIOS)
    it(`is heard the same: ${scenario.name}`, async () => {
      const insecure = grpc.credentials.createInsecure();
      const bare = new Wishes(`127.0.0.1:${wishes.port}`, insecure, scenario.channel);
      const meshed = new Wishes('orders.mesh.internal', insecure, { ...scenario.channel, ...meshOptions(mesh) });
      wishes.received = 0;
      let expected = await listen(bare, scenario);
      wishes.received = 0;
      const before = mesh.begun;
      let heard = await listen(meshed, scenario);
      if (scenario.details !== undefined) {
        expected = withoutDetails(expected, scenario.details);
        heard = withoutDetails(heard, scenario.details);
      }
      if (scenario.fewerMessages === true) {
        const failures = (events: unknown[]): unknown[] => events.filter((event) => (event as string[])[0] !== 'message');
        assert.equal(heard.length - failures(heard).length, scenario.wishes[0]!.count);
        [heard, expected] = [failures(heard), failures(expected)];
      }
      assert.deepEqual(heard, expected);
      assert.ok(mesh.begun > before || /cancelled at once|has passed|request that is too large/.test(scenario.name));
      bare.close();
      meshed.close();
    });
});
