// One question to one server: by UDP, and again by TCP when the answer was cut (RFC 7766 §5). Answers that do not fit the question are
// ignored, so that nobody who guesses gets one in: the port and the id are drawn anew for every try, and so is the case of the letters.
import type { SocketAddress } from '@heddle/core';
import type { Clock, Connection, Datagrams, Network, Random } from '@heddle/runtime';
import { FLAG, HEADER_BYTES, RCODE } from '../wire/codes.ts';
import type { Query } from '../wire/query.ts';
import { opt } from '../wire/response.ts';
import { type Reply, readReply, type Sent } from './reply.ts';

export interface ExchangeWorld {
  readonly datagrams: Datagrams;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ExchangeOptions {
  readonly resolver: SocketAddress;
  readonly query: Query;
  readonly withEdns: boolean;
  /** For UDP, and again for TCP where that is needed. */
  readonly timeoutMs: number;
  readonly udpBytes: number;
  /** The question as it goes out. */
  readonly onSend: (question: Uint8Array) => void;
}

interface Message extends Sent {
  readonly bytes: Buffer;
}

/** Resolves to the answer, or to why there is none, in words. */
export async function ask(world: ExchangeWorld, options: ExchangeOptions): Promise<Reply | string> {
  const message = makeMessage(world.random, options);
  const reply = await byUdp(world, options, message);
  if (typeof reply === 'string' || !reply.isCut) return reply;
  return byTcp(world, options, makeMessage(world.random, options));
}

function makeMessage(random: Random, { query, withEdns, udpBytes, onSend }: ExchangeOptions): Message {
  const { name, type, class: questionClass, bytes: asked } = query.question;
  const dice = random.bytes(2 + asked.length);
  const id = (dice[0]! << 8) | dice[1]!;
  const question = Buffer.from(asked);
  // Type and class are no letters.
  for (let at = 0; at < question.length - 4; at += 1) if (isLetter(question[at]!)) question[at]! ^= dice[2 + at]! & 0x20;
  onSend(question);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG.RD | (query.flags & (FLAG.CD | FLAG.AD)), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(withEdns ? 1 : 0, 10);
  const edns = withEdns ? opt(query.edns?.dnssecOk === true, RCODE.NOERROR, udpBytes) : Buffer.alloc(0);
  return { id, name, type, class: questionClass, bytes: Buffer.concat([header, question, edns]) };
}

/** Lengths of labels are below the letters. */
function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a && byte >= 0x41;
}

function byUdp({ datagrams, clock }: ExchangeWorld, { resolver, timeoutMs }: ExchangeOptions, message: Message): Promise<Reply | string> {
  return new Promise((resolve) => {
    const end = (result: Reply | string): void => {
      timer.cancel();
      talk.close();
      resolve(result);
    };
    const talk = datagrams.talk({
      ...resolver,
      onMessage: (bytes) => {
        const reply = readReply(bytes, message);
        if (reply !== undefined) end(reply);
      },
      onError: (error) => end(error.message),
    });
    const timer = clock.after(timeoutMs, () => end(`no answer within ${Math.round(timeoutMs)} ms`));
    talk.send(message.bytes);
  });
}

function byTcp({ network, clock }: ExchangeWorld, { resolver, timeoutMs }: ExchangeOptions, message: Message): Promise<Reply | string> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    let isOver = false;
    const end = (result: Reply | string): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      connection.destroy();
      resolve(result);
    };
    const connection: Connection = network.connect(
      { ...resolver, timeoutMs },
      {
        onConnected: () => void connection.write(framed(message.bytes)),
        onBytes: (bytes) => {
          received = Buffer.concat([received, bytes]);
          if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
          const reply = readReply(received.subarray(2, 2 + received.readUInt16BE(0)), message);
          end(reply ?? 'the answer by TCP does not fit the question');
        },
        onDrained: () => {},
        onEnd: () => end('the connection ended before the answer'),
        onClose: (error) => end(error?.message ?? 'the connection ended before the answer'),
      },
    );
    const timer = clock.after(timeoutMs, () => end(`no answer by TCP within ${Math.round(timeoutMs)} ms`));
  });
}

/** With its length before it (RFC 1035 §4.2.2). */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(2 + message.length);
  bytes.writeUInt16BE(message.length, 0);
  bytes.set(message, 2);
  return bytes;
}
