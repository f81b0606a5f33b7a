// Hands the answer of another server on: with the client's id, its spelling of the name and our flags, and times to live less by what has
// passed. Everything else stays byte for byte.
import { FLAG, HEADER_BYTES, RCODE } from '../wire/codes.ts';
import type { Query } from '../wire/query.ts';
import { opt, type ResponseOptions } from '../wire/response.ts';
import type { Looked } from './forwarder.ts';

export function relay(query: Query, looked: Extract<Looked, { kind: 'reply' }>, options: ResponseOptions): Buffer {
  const { reply, ageSeconds, ttlSeconds, error } = looked;
  const { question, edns, flags } = query;
  // Codes above 15 are said by EDNS0 alone.
  const rcode = reply.rcode > 0xf && edns === undefined ? RCODE.SERVFAIL : reply.rcode;
  const optBytes = edns === undefined ? Buffer.alloc(0) : opt(edns.dnssecOk, rcode, options.udpBytes, error);
  const end = HEADER_BYTES + question.bytes.length;
  const fits = reply.message.length + optBytes.length <= options.bytesMax;
  const hasQuestion = reply.message.length >= end;
  const message = Buffer.alloc(fits ? Math.max(end, reply.message.length) : end);
  reply.message.copy(message);
  message.set(question.bytes, HEADER_BYTES);
  // Less type and class.
  if (fits) for (const offset of reply.nameOffsets) message.set(question.bytes.subarray(0, -4), offset);
  const wantsAuthenticated = edns?.dnssecOk === true || (flags & FLAG.AD) !== 0;
  const kept = message.readUInt16BE(2) & (wantsAuthenticated ? FLAG.TC | FLAG.AD : FLAG.TC);
  message.writeUInt16BE(query.id, 0);
  message.writeUInt16BE(FLAG.QR | FLAG.RA | (flags & (FLAG.RD | FLAG.CD)) | kept | (fits ? 0 : FLAG.TC) | (rcode & 0xf), 2);
  message.writeUInt16BE(1, 4);
  if (!fits || !hasQuestion) message.fill(0, 6, HEADER_BYTES);
  else for (const offset of reply.ttlOffsets) message.writeInt32BE(ttl(message.readInt32BE(offset), ageSeconds, ttlSeconds), offset);
  if (edns !== undefined) message.writeUInt16BE(message.readUInt16BE(10) + 1, 10);
  return Buffer.concat([message, optBytes]);
}

/** RFC 2181 §8: with the highest bit set it is 0. */
function ttl(original: number, ageSeconds: number, instead: number | undefined): number {
  return instead ?? Math.max(0, original - ageSeconds);
}
