// Instances that are broken: they answer with noise, with what is nearly right, too much, too little, too late or not at all.
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { HpackEncoder } from '../../../packages/wire/src/hpack/index.ts';
import { goaway, rstStream, settings, SETTINGS_ACK, windowUpdate } from '../../../packages/wire/src/http2/testing/frames.ts';
import { FrameReader, http1Response, http2Response, otherFrame } from './corpus.ts';
import { Dice } from './dice.ts';
import { type Message, mutate } from './mutate.ts';

export interface HostileUpstream {
  readonly port: number;
  /** Connections so far; each has its own dice. */
  readonly accepted: () => number;
  close(): void;
}

type Behaviour = 'right' | 'mutated' | 'noise' | 'silent' | 'close' | 'reset' | 'twice' | 'slow';

const BEHAVIOURS: readonly (readonly [number, Behaviour])[] = [
  [6, 'right'],
  [10, 'mutated'],
  [2, 'noise'],
  [1, 'silent'],
  [2, 'close'],
  [2, 'reset'],
  [1, 'twice'],
  [1, 'slow'],
];
/** Time until the rest of a response that is cut in two. */
const SLOW_MS = 300;

/** @param salt tells the sequences of several upstreams of one run apart. */
async function listen(seed: number, salt: number, begin: (socket: Socket, dice: Dice) => void): Promise<HostileUpstream> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server: Server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('end', () => socket.end());
    begin(socket, new Dice(seed, salt, accepted++));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => accepted,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export function hostileHttp1(seed: number): Promise<HostileUpstream> {
  return listen(seed, 101, (socket, dice) => {
    if (dice.chance(0.03)) return void socket.resetAndDestroy();
    // Before anybody asked.
    if (dice.chance(0.03)) socket.write(dice.bytes(dice.size(200)));
    socket.on('data', () => answer(socket, dice, () => http1Response(dice)));
  });
}

export function hostileHttp2(seed: number): Promise<HostileUpstream> {
  return listen(seed, 102, (socket, dice) => {
    if (dice.chance(0.03)) return void socket.resetAndDestroy();
    const encoder = new HpackEncoder({});
    const reader = new FrameReader();
    const greeting = [settings([3, dice.pick([0, 1, 100])], [4, dice.pick([0, 1, 65_535, 1 << 20])], [8, dice.int(0, 1)]), SETTINGS_ACK];
    if (dice.chance(0.1))
      send(
        socket,
        mutate(greeting, dice, () => greeting),
      );
    else if (!dice.chance(0.05)) send(socket, greeting);
    socket.on('data', (bytes: Buffer) => {
      for (const stream of reader.read(bytes)) answer(socket, dice, () => framesFor(dice, encoder, stream));
      if (dice.chance(0.5)) send(socket, [windowUpdate(0, dice.int(1, 1 << 20))]);
    });
  });
}

function framesFor(dice: Dice, encoder: HpackEncoder, stream: number): Message {
  if (dice.chance(0.05)) return [rstStream(stream, dice.int(0, 13))];
  if (dice.chance(0.03)) return [goaway(dice.chance(0.5) ? stream : Math.max(0, stream - 2), dice.int(0, 13))];
  if (dice.chance(0.05)) return [otherFrame(dice, stream), ...http2Response(dice, encoder, stream)];
  return http2Response(dice, encoder, dice.chance(0.03) ? stream + 2 : stream);
}

/** Bytes of no protocol, before, after and instead of an answer. */
export function hostileRaw(seed: number): Promise<HostileUpstream> {
  return listen(seed, 103, (socket, dice) => {
    if (dice.chance(0.1)) return void socket.resetAndDestroy();
    if (dice.chance(0.5)) socket.write(dice.bytes(dice.size(100_000)));
    socket.on('data', () => {
      if (dice.chance(0.5)) socket.write(dice.bytes(dice.size(100_000)));
      const fate = dice.int(0, 9);
      if (fate < 2) socket.end();
      else if (fate < 4) socket.resetAndDestroy();
    });
  });
}

function answer(socket: Socket, dice: Dice, response: () => Message): void {
  if (socket.destroyed) return;
  const behaviour = dice.weighted(BEHAVIOURS);
  switch (behaviour) {
    case 'right':
      return send(socket, response());
    case 'mutated':
      return send(socket, mutate(response(), dice, response));
    case 'noise':
      return send(socket, [dice.bytes(dice.size(50_000))]);
    case 'silent':
      return;
    case 'close':
      send(socket, cutShort(response(), dice));
      socket.end();
      return;
    case 'reset':
      send(socket, cutShort(response(), dice));
      socket.resetAndDestroy();
      return;
    case 'twice':
      send(socket, response());
      return send(socket, response());
    case 'slow': {
      const bytes = Buffer.concat(response());
      const at = dice.int(0, bytes.length);
      send(socket, [bytes.subarray(0, at)]);
      const timer = setTimeout(() => send(socket, [bytes.subarray(at)]), SLOW_MS);
      socket.once('close', () => clearTimeout(timer));
    }
  }
}

function cutShort(message: Message, dice: Dice): Message {
  const bytes = Buffer.concat(message);
  return [bytes.subarray(0, dice.int(0, bytes.length))];
}

function send(socket: Socket, message: Message): void {
  if (!socket.destroyed && socket.writable) socket.write(Buffer.concat(message));
}
