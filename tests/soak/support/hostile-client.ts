// One client that means harm, or is merely broken: what it does is planned from the dice alone, then carried out on a socket.
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { setImmediate as afterEvents, setTimeout as delay } from 'node:timers/promises';
import { anyClientMessage, flood, http1Requests, http2Greeting, SERVER_NAME } from './corpus.ts';
import type { Dice } from './dice.ts';
import { type Message, mutate } from './mutate.ts';

/** A port of the proxy, and what it expects there. */
export interface Target {
  readonly name: string;
  readonly port: number;
  readonly tls: boolean;
  /** Most of what comes here is right, so that it reaches an instance that is not. */
  readonly isHonestDoor: boolean;
}

/** `close`: both directions at once. `half`: our direction, then wait. `wait`: for the proxy to close, for a while. `hang`: longer. */
type Ending = 'close' | 'reset' | 'half' | 'wait' | 'hang';

export interface Plan {
  readonly kind: string;
  readonly target: Target;
  /** By TLS, agreeing on this; undefined: the bytes go out as they are. */
  readonly alpn: readonly string[] | undefined;
  readonly chunks: readonly Buffer[];
  readonly gapMs: number;
  readonly ending: Ending;
  readonly isReading: boolean;
}

const WAIT_MS = 1_500;
/** Longer than the proxy gives a head or a handshake. */
const HANG_MS = 11_000;
/** Bytes sent singly, and in drips. */
const SINGLE_BYTES_MAX = 300;
const DRIPS_MAX = 40;
const NOISE_BYTES_MAX = 60_000;

export function planClient(dice: Dice, targets: readonly Target[]): Plan {
  const target = dice.pick(targets);
  const [kind, message] = content(dice, target);
  const alpn = target.tls && !dice.chance(0.1) ? dice.pick([['h2'], ['http/1.1'], ['h2', 'http/1.1'], []]) : undefined;
  const isDrip = dice.chance(0.02);
  const ending = dice.weighted<Ending>([
    [30, 'close'],
    [20, 'reset'],
    [20, 'half'],
    [28, 'wait'],
    [1, 'hang'],
  ]);
  return {
    kind,
    target,
    alpn,
    chunks: delivered(message, dice, isDrip),
    gapMs: isDrip ? dice.int(5, 100) : 0,
    ending,
    isReading: dice.chance(0.9),
  };
}

function content(dice: Dice, { isHonestDoor }: Target): [string, Message] {
  const kind = dice.weighted([
    [isHonestDoor ? 2 : 1, 'noise'],
    [2, 'noise after HTTP/1.1'],
    [2, 'noise after HTTP/2'],
    [isHonestDoor ? 12 : 5, 'mutated'],
    [isHonestDoor ? 3 : 12, 'right'],
    [1, 'flood'],
    [1, 'nothing'],
  ]);
  switch (kind) {
    case 'noise':
      return [kind, [dice.bytes(dice.size(NOISE_BYTES_MAX))]];
    case 'noise after HTTP/1.1': {
      const start = http1Requests(dice);
      return [kind, [...start.slice(0, dice.int(1, start.length)), dice.bytes(dice.size(NOISE_BYTES_MAX))]];
    }
    case 'noise after HTTP/2':
      return [kind, [...http2Greeting(dice), dice.bytes(dice.size(NOISE_BYTES_MAX))]];
    case 'mutated':
      return [kind, mutate(anyClientMessage(dice), dice, () => anyClientMessage(dice))];
    case 'flood':
      return [kind, flood(dice)];
    case 'right':
      return [kind, anyClientMessage(dice)];
    default:
      return [kind, []];
  }
}

/** As the network might cut it. */
function delivered(message: Message, dice: Dice, isDrip: boolean): Buffer[] {
  const bytes = Buffer.concat(message);
  if (isDrip) return cutAt(bytes.subarray(0, DRIPS_MAX), () => 1, bytes.subarray(DRIPS_MAX, dice.int(DRIPS_MAX, DRIPS_MAX + 1_000)));
  return dice.weighted<() => Buffer[]>([
    [5, () => [bytes]],
    [3, () => [...message].slice(0, 500)],
    [2, () => cutAt(bytes, () => 1 + dice.size(5_000), Buffer.alloc(0))],
    [1, () => cutAt(bytes.subarray(0, SINGLE_BYTES_MAX), () => 1, bytes.subarray(SINGLE_BYTES_MAX))],
  ])();
}

function cutAt(bytes: Buffer, size: () => number, rest: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = size();
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return rest.length === 0 ? chunks : [...chunks, rest];
}

/** Resolves when the connection is closed. Never rejects. */
export async function runClient(plan: Plan): Promise<void> {
  const { target, alpn, chunks, gapMs, ending, isReading } = plan;
  const raw = connect({ port: target.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const closed = new Promise<void>((resolve) => raw.once('close', () => resolve()));
  raw.on('error', ignore);
  try {
    const socket: Socket | undefined = alpn === undefined ? raw : await secured(raw, alpn);
    if (socket === undefined) return;
    if (isReading) socket.on('data', ignore).on('end', ignore);
    for (const chunk of chunks) {
      if (socket.destroyed || !socket.writable) break;
      socket.write(chunk);
      await (gapMs > 0 ? delay(gapMs) : afterEvents());
    }
    if (ending === 'half' || ending === 'close') socket.end();
    if (ending === 'reset') raw.resetAndDestroy();
    const waitMs = ending === 'hang' ? HANG_MS : ending === 'close' ? 100 : WAIT_MS;
    const timeout = new AbortController();
    await Promise.race([closed, delay(waitMs, undefined, { signal: timeout.signal }).catch(ignore)]);
    timeout.abort();
  } finally {
    raw.destroy();
    await closed;
  }
}

function secured(raw: Socket, alpn: readonly string[]): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const options = { socket: raw, servername: SERVER_NAME, rejectUnauthorized: false };
    const socket = connectTls(alpn.length === 0 ? options : { ...options, ALPNProtocols: [...alpn] });
    socket.on('error', ignore);
    socket.once('secureConnect', () => resolve(socket));
    raw.once('close', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
}

function ignore(): void {}
