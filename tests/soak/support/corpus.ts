// Messages that are right, as lists of parts: what common clients and servers of each protocol say. Faults are put into them elsewhere.
import { BlockWriter, HpackEncoder } from '../../../packages/wire/src/hpack/index.ts';
import { CLIENT_PREFACE, FLAG, FRAME, SETTING } from '../../../packages/wire/src/http2/frame.ts';
import {
  data,
  type Fields,
  frame,
  goaway,
  rstStream,
  settings,
  SETTINGS_ACK,
  uint32,
  windowUpdate,
} from '../../../packages/wire/src/http2/testing/frames.ts';
import { clientHello } from './client-hello.ts';
import type { Dice } from './dice.ts';
import type { Message } from './mutate.ts';

export const SERVER_NAME = 'web.test';
const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'QUERY'] as const;
const PATHS = ['/', '/echo', '/orders/17?x=1&y=%20', '/bytes/20000', '/bytes/1', '/a/../b//c', '*', `/${'long/'.repeat(100)}`] as const;
const FIELDS: Fields = [
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'],
  ['accept', '*/*'],
  ['accept-encoding', 'gzip, deflate, br'],
  ['cookie', 'session=0123456789abcdef; theme=dark'],
  ['cookie', 'a=b'],
  ['x-forwarded-for', '10.0.0.1, 10.0.0.2'],
  ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ['authorization', 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc'],
  ['range', 'bytes=0-99'],
  ['via', '1.1 cache'],
  ['x-empty', ''],
  ['x-latin', 'caf\u00e9'],
  ['content-type', 'application/json'],
];

/** HTTP/1.1 requests that follow one another on a connection. */
export function http1Requests(dice: Dice): Message {
  const parts: Buffer[] = [];
  for (let count = dice.size(8); count >= 0; count--) parts.push(...http1Request(dice));
  return parts;
}

function http1Request(dice: Dice): Buffer[] {
  const method = dice.pick(METHODS);
  const version = dice.chance(0.05) ? '1.0' : '1.1';
  const target = dice.chance(0.1) ? `http://${SERVER_NAME}/echo` : dice.pick(PATHS);
  const lines = [
    `${method} ${target} HTTP/${version}`,
    `Host: ${SERVER_NAME}`,
    ...someFields(dice).map(([name, value]) => `${name}: ${value}`),
  ];
  if (dice.chance(0.1)) lines.push('Connection: close');
  if (dice.chance(0.05)) lines.push('Connection: keep-alive, x-empty');
  if (dice.chance(0.05)) lines.push('Expect: 100-continue');
  const body = method === 'GET' || method === 'HEAD' ? undefined : dice.bytes(dice.size(40_000));
  if (body === undefined) return head(lines);
  if (dice.chance(0.5)) return [...head([...lines, `Content-Length: ${body.length}`]), body];
  return [...head([...lines, 'Transfer-Encoding: chunked', ...(dice.chance(0.3) ? ['Trailer: x-sum'] : [])]), ...chunks(dice, body)];
}

function head(lines: readonly string[]): Buffer[] {
  return [...lines.map((line) => Buffer.from(`${line}\r\n`, 'latin1')), Buffer.from('\r\n')];
}

function chunks(dice: Dice, body: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, 1 + dice.size(8_000));
    parts.push(
      Buffer.from(`${size.toString(16)}${dice.chance(0.1) ? ';name="value"' : ''}\r\n`),
      body.subarray(at, at + size),
      Buffer.from('\r\n'),
    );
    at += size;
  }
  parts.push(Buffer.from('0\r\n'));
  if (dice.chance(0.3)) parts.push(Buffer.from('x-sum: 17\r\n'));
  return [...parts, Buffer.from('\r\n')];
}

function someFields(dice: Dice): Fields {
  return FIELDS.filter(() => dice.chance(0.3));
}

/** An upgrade, and frames (RFC 6455 §5.2) that do not wait for its answer. */
export function webSocket(dice: Dice): Message {
  const key = dice.bytes(16).toString('base64');
  const lines = [
    'GET /socket HTTP/1.1',
    `Host: ${SERVER_NAME}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
  ];
  const parts = head(lines);
  for (let count = dice.size(6); count >= 0; count--) {
    const payload = dice.bytes(dice.size(125));
    parts.push(Buffer.concat([Buffer.from([0x80 | dice.pick([1, 2, 8, 9]), 0x80 | payload.length]), dice.bytes(4), payload]));
  }
  return parts;
}

/** An upgrade to HTTP/2 (RFC 7540 §3.2), and the connection that follows. */
export function h2cUpgrade(dice: Dice): Message {
  const values = settings([SETTING.maxConcurrentStreams, 100], [SETTING.initialWindowSize, 65_535]).subarray(9);
  const lines = [
    'GET /echo HTTP/1.1',
    `Host: ${SERVER_NAME}`,
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    `HTTP2-Settings: ${values.toString('base64url')}`,
  ];
  return [...head(lines), ...http2Session(dice, false, 3)];
}

export function connectRequest(dice: Dice): Message {
  return [...head([`CONNECT ${SERVER_NAME}:443 HTTP/1.1`, `Host: ${SERVER_NAME}:443`]), ...clientHello(dice, SERVER_NAME, ['h2'])];
}

export function http2Greeting(dice: Dice): Buffer[] {
  const values = (
    [
      [SETTING.headerTableSize, dice.pick([0, 64, 4_096, 65_536])],
      [SETTING.enablePush, 0],
      [SETTING.maxConcurrentStreams, dice.pick([0, 1, 100])],
      [SETTING.initialWindowSize, dice.pick([0, 1, 65_535, 1 << 20])],
      [SETTING.maxFrameSize, dice.pick([16_384, 65_536])],
      [SETTING.maxHeaderListSize, 65_536],
    ] as const
  ).filter(() => dice.chance(0.5));
  return [CLIENT_PREFACE, settings(...values)];
}

/** A whole connection of a client: requests, gRPC calls, tunnels, and what else is said in between. */
export function http2Session(dice: Dice, grpc: boolean, firstStream = 1): Message {
  const encoder = new HpackEncoder(dice.chance(0.5) ? { indexing: 'never' } : {});
  const parts = http2Greeting(dice);
  if (dice.chance(0.5)) parts.push(SETTINGS_ACK);
  for (let stream = firstStream, count = dice.size(12); count >= 0; count--, stream += 2) {
    parts.push(...(grpc ? grpcCall(dice, encoder, stream) : http2Request(dice, encoder, stream)));
    if (dice.chance(0.3)) parts.push(otherFrame(dice, stream));
  }
  return parts;
}

function http2Request(dice: Dice, encoder: HpackEncoder, stream: number): Buffer[] {
  if (dice.chance(0.05)) {
    const fields: Fields = [
      [':method', 'CONNECT'],
      [':authority', `${SERVER_NAME}:443`],
    ];
    return [...headersFrames(dice, encoder, stream, fields, false), data(stream, dice.bytes(dice.size(500)), dice.chance(0.5))];
  }
  if (dice.chance(0.05)) {
    const fields: Fields = [[':method', 'CONNECT'], [':protocol', 'websocket'], ...pseudo('/socket'), ['sec-websocket-version', '13']];
    return [...headersFrames(dice, encoder, stream, fields, false), data(stream, dice.bytes(dice.size(500)))];
  }
  const method = dice.pick(METHODS);
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const body = hasBody ? dice.bytes(dice.size(30_000)) : Buffer.alloc(0);
  const length: Fields = hasBody && dice.chance(0.5) ? [['content-length', String(body.length)]] : [];
  const fields: Fields = [[':method', method], ...pseudo(dice.pick(PATHS)), ...someFields(dice), ...length];
  if (!hasBody) return headersFrames(dice, encoder, stream, fields, true);
  const hasTrailers = dice.chance(0.2);
  return [
    ...headersFrames(dice, encoder, stream, fields, false),
    ...dataFrames(dice, stream, body, !hasTrailers),
    ...(hasTrailers ? headersFrames(dice, encoder, stream, [['x-sum', '17']], true) : []),
  ];
}

function pseudo(path: string): Fields {
  return [
    [':scheme', 'http'],
    [':authority', SERVER_NAME],
    [':path', path],
  ];
}

function grpcCall(dice: Dice, encoder: HpackEncoder, stream: number): Buffer[] {
  const fields: Fields = [
    [':method', 'POST'],
    ...pseudo('/shop.Orders/Get'),
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ['grpc-timeout', dice.pick(['1S', '100m', '99999999H', '1n'])],
    ['grpc-encoding', 'identity'],
  ];
  const messages = Buffer.concat(Array.from({ length: dice.size(4) + 1 }, () => grpcMessage(dice.bytes(dice.size(3_000)))));
  return [...headersFrames(dice, encoder, stream, fields, false), ...dataFrames(dice, stream, messages, true)];
}

export function grpcMessage(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0]), uint32(content.length), content]);
}

/** In one frame, or with CONTINUATION, padding or a priority. */
export function headersFrames(dice: Dice, encoder: HpackEncoder, stream: number, fields: Fields, endStream: boolean): Buffer[] {
  const into = new BlockWriter();
  encoder.begin(into);
  for (const [name, value] of fields) encoder.field(name, value);
  const block = into.copy();
  const end = endStream ? FLAG.endStream : 0;
  if (dice.chance(0.1)) {
    const at = dice.int(0, block.length);
    const rest = frame(FRAME.continuation, FLAG.endHeaders, stream, block.subarray(at));
    return [frame(FRAME.headers, end, stream, block.subarray(0, at)), rest];
  }
  if (dice.chance(0.1)) {
    const padding = dice.int(0, 20);
    const content = Buffer.concat([Buffer.from([padding, 0, 0, 0, 0, 16]), block, Buffer.alloc(padding)]);
    return [frame(FRAME.headers, end | FLAG.endHeaders | FLAG.padded | FLAG.priority, stream, content)];
  }
  return [frame(FRAME.headers, end | FLAG.endHeaders, stream, block)];
}

export function dataFrames(dice: Dice, stream: number, body: Buffer, endStream: boolean): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  do {
    const size = Math.min(body.length - at, dice.chance(0.5) ? 16_384 : dice.size(16_000));
    const isLast = at + size === body.length;
    const end = isLast && endStream ? FLAG.endStream : 0;
    const content = body.subarray(at, at + size);
    const padding = dice.chance(0.1) ? dice.int(0, 50) : -1;
    if (padding === -1) parts.push(frame(FRAME.data, end, stream, content));
    else parts.push(frame(FRAME.data, end | FLAG.padded, stream, Buffer.concat([Buffer.from([padding]), content, Buffer.alloc(padding)])));
    at += size;
  } while (at < body.length);
  return parts;
}

/** What may stand between the frames of requests. */
export function otherFrame(dice: Dice, stream: number): Buffer {
  switch (dice.int(0, 7)) {
    case 0:
      return frame(FRAME.ping, dice.chance(0.2) ? FLAG.ack : 0, 0, dice.bytes(8));
    case 1:
      return rstStream(stream, dice.int(0, 13));
    case 2:
      return windowUpdate(dice.chance(0.5) ? 0 : stream, dice.int(1, 100_000));
    case 3:
      return frame(FRAME.priority, 0, stream, Buffer.from([0, 0, 0, 0, 16]));
    case 4:
      return settings([SETTING.initialWindowSize, dice.pick([0, 1, 65_535, 1 << 24])]);
    case 5:
      return settings([SETTING.headerTableSize, dice.pick([0, 100, 4_096])]);
    case 6:
      return goaway(dice.chance(0.5) ? stream : 0, dice.int(0, 13), 'bye');
    default:
      return frame(dice.int(10, 255), dice.int(0, 255), stream, dice.bytes(dice.size(100)));
  }
}

/** The same frame or request again and again, which is right once. */
export function flood(dice: Dice): Message {
  const encoder = new HpackEncoder({ indexing: 'never' });
  const parts = http2Greeting(dice);
  const count = dice.size(2_000);
  const kind = dice.int(0, 5);
  for (let index = 0; index <= count; index++) {
    const stream = 2 * index + 1;
    if (kind === 0) parts.push(...headersFrames(dice, encoder, stream, [[':method', 'GET'], ...pseudo('/')], true), rstStream(stream, 8));
    else if (kind === 1) parts.push(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
    else if (kind === 2) parts.push(settings());
    else if (kind === 3) parts.push(frame(index === 0 ? FRAME.headers : FRAME.continuation, 0, 1, Buffer.alloc(dice.size(100))));
    else if (kind === 4) parts.push(frame(FRAME.data, 0, 1, Buffer.alloc(0)));
    else parts.push(...headersFrames(dice, encoder, stream, [[':method', 'GET'], ...pseudo('/bytes/20000')], true));
  }
  return parts;
}

/** Responses of HTTP/1.1, with what comes before and after them. */
export function http1Response(dice: Dice): Message {
  const parts: Buffer[] = [];
  if (dice.chance(0.1)) parts.push(...head(['HTTP/1.1 100 Continue']));
  if (dice.chance(0.1)) parts.push(...head(['HTTP/1.1 103 Early Hints', 'link: </a.css>; rel=preload']));
  const status = dice.pick([
    '200 OK',
    '200 OK',
    '204 No Content',
    '304 Not Modified',
    '404 Not Found',
    '500 Oops',
    '101 Switching Protocols',
    '299 ',
  ]);
  const lines = [`HTTP/1.1 ${status}`, ...someFields(dice).map(([name, value]) => `${name}: ${value}`)];
  if (status.startsWith('101')) return [...parts, ...head([...lines, 'connection: upgrade', 'upgrade: websocket']), dice.bytes(50)];
  const body = /^(204|304)/.test(status) ? Buffer.alloc(0) : dice.bytes(dice.size(100_000));
  if (dice.chance(0.1)) lines.push('connection: close');
  if (dice.chance(0.1)) lines.push('keep-alive: timeout=1');
  if (dice.chance(0.1)) lines.push('x-heddle-error: CONNECT_FAILED');
  switch (dice.int(0, 2)) {
    case 0:
      return [...parts, ...head([...lines, `content-length: ${body.length}`]), body];
    case 1:
      return [...parts, ...head([...lines, 'transfer-encoding: chunked']), ...chunks(dice, body)];
    default:
      return [...parts, ...head(lines), body];
  }
}

/** Frames with which a server of HTTP/2 answers a stream. */
export function http2Response(dice: Dice, encoder: HpackEncoder, stream: number): Message {
  const parts: Buffer[] = [];
  if (dice.chance(0.1)) parts.push(...headersFrames(dice, encoder, stream, [[':status', '103']], false));
  const body = dice.bytes(dice.size(60_000));
  const length: Fields = dice.chance(0.3) ? [['content-length', String(body.length)]] : [];
  const isGrpc = dice.chance(0.3);
  const fields: Fields = [
    [':status', dice.pick(['200', '200', '404', '500'])],
    ...(isGrpc ? ([['content-type', 'application/grpc']] as const) : someFields(dice)),
    ...length,
  ];
  parts.push(...headersFrames(dice, encoder, stream, fields, false), ...dataFrames(dice, stream, body, !isGrpc));
  if (isGrpc) parts.push(...headersFrames(dice, encoder, stream, [['grpc-status', '0']], true));
  if (dice.chance(0.2)) parts.push(otherFrame(dice, stream));
  return parts;
}

/** Everything a client may begin with. */
export function anyClientMessage(dice: Dice): Message {
  return dice.weighted<(dice: Dice) => Message>([
    [6, http1Requests],
    [6, (d) => http2Session(d, false)],
    [2, (d) => http2Session(d, true)],
    [1, webSocket],
    [1, h2cUpgrade],
    [1, connectRequest],
    [1, (d) => clientHello(d, SERVER_NAME, ['h2', 'http/1.1'])],
  ])(dice);
}

/** Reads the frames that a client sends, as far as a server needs that answers whatever is asked. */
export class FrameReader {
  private rest: Buffer = Buffer.alloc(0);
  private prefaceLeft = CLIENT_PREFACE.length;

  /** Streams on which a request began. */
  read(bytes: Buffer): number[] {
    let all = Buffer.concat([this.rest, bytes]);
    const preface = Math.min(this.prefaceLeft, all.length);
    this.prefaceLeft -= preface;
    all = all.subarray(preface);
    const begun: number[] = [];
    while (all.length >= 9) {
      const end = 9 + all.readUIntBE(0, 3);
      if (all.length < end) break;
      if (all[3] === FRAME.headers) begun.push(all.readUInt32BE(5) & 0x7fffffff);
      all = all.subarray(end);
    }
    this.rest = all;
    return begun;
  }
}
