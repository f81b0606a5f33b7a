// A TLS ClientHello (RFC 8446 §4.1.2) as common clients send it; whether its keys mean anything does not matter to those who only read it.
import type { Dice } from './dice.ts';

const SUITES = Buffer.from([0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f]);

/** In one record or in several, each a part. */
export function clientHello(dice: Dice, serverName: string, alpn: readonly string[]): Buffer[] {
  const extensions = Buffer.concat([
    extension(0, vector(2, Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(serverName))]))),
    extension(10, vector(2, Buffer.from([0x00, 0x1d, 0x00, 0x17]))),
    extension(13, vector(2, Buffer.from([0x04, 0x03, 0x08, 0x04, 0x08, 0x07]))),
    extension(16, vector(2, Buffer.concat(alpn.map((name) => vector(1, Buffer.from(name)))))),
    extension(43, vector(1, Buffer.from([0x03, 0x04]))),
    extension(51, vector(2, Buffer.concat([Buffer.from([0x00, 0x1d]), vector(2, dice.bytes(32))]))),
    ...(dice.chance(0.2) ? [extension(21, Buffer.alloc(dice.size(2_000)))] : []),
  ]);
  const body = Buffer.concat([
    Buffer.from([0x03, 0x03]),
    dice.bytes(32),
    vector(1, dice.bytes(32)),
    vector(2, SUITES),
    vector(1, Buffer.from([0])),
    vector(2, extensions),
  ]);
  const handshake = Buffer.concat([Buffer.from([1]), vector(3, body)]);
  const records: Buffer[] = [];
  const step = dice.chance(0.3) ? dice.int(1, handshake.length) : handshake.length;
  for (let at = 0; at < handshake.length; at += step)
    records.push(Buffer.concat([Buffer.from([0x16, 0x03, 0x01]), vector(2, handshake.subarray(at, at + step))]));
  return records;
}

function vector(lengthBytes: number, content: Buffer): Buffer {
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(content.length, 0, lengthBytes);
  return Buffer.concat([length, content]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 0xff]), vector(2, content)]);
}
