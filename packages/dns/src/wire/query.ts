// Reads a query, or says what is to be done with what is none: answered with an error, or dropped. Never throws, whatever the bytes are.
import { CLASS, FLAG, HEADER_BYTES, OPCODE_QUERY, PLAIN_UDP_BYTES, RCODE, type Rcode, TYPE } from './codes.ts';
import { readName, skipName } from './name.ts';

export interface Question {
  /** See name.ts. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** As it was asked, for the answer: the case of letters is the client's own (and some check it). */
  readonly bytes: Uint8Array;
}

/** What the client says by EDNS0 (RFC 6891). */
export interface Edns {
  /** The largest datagram that it takes; at least 512. */
  readonly udpBytes: number;
  readonly version: number;
  /** It wants signatures (RFC 3225). */
  readonly dnssecOk: boolean;
}

export interface Header {
  readonly id: number;
  /** 16 bits; of a response, the lowest four are its rcode. */
  readonly flags: number;
}

export interface Query extends Header {
  readonly kind: 'query';
  readonly question: Question;
  readonly edns: Edns | undefined;
}

/** It is answered with this error and nothing else. */
export interface Fault extends Header {
  readonly kind: 'fault';
  readonly rcode: Rcode;
  readonly question: Question | undefined;
  readonly edns: Edns | undefined;
}

/** `response`: whoever answered a response could be made to answer another server for ever. */
export type Dropped = { readonly kind: 'drop'; readonly reason: 'short' | 'response' };

interface Records {
  readonly edns: Edns | undefined;
  readonly isBad: boolean;
}

export function readQuery(message: Buffer): Query | Fault | Dropped {
  if (message.length < HEADER_BYTES) return { kind: 'drop', reason: 'short' };
  const header = { id: message.readUInt16BE(0), flags: message.readUInt16BE(2) };
  if ((header.flags & FLAG.QR) !== 0) return { kind: 'drop', reason: 'response' };
  const fault = (rcode: Rcode, question?: Question, edns?: Edns): Fault => ({ kind: 'fault', ...header, rcode, question, edns });
  // Other operations have other sections (RFC 2136 §2): nothing more is read.
  if (((header.flags >> 11) & 0xf) !== OPCODE_QUERY) return fault(RCODE.NOTIMP);
  // RFC 9619 §4: exactly one.
  if (message.readUInt16BE(4) !== 1) return fault(RCODE.FORMERR);
  const question = readQuestion(message);
  if (question === undefined) return fault(RCODE.FORMERR);
  const { edns, isBad } = readRecords(message, HEADER_BYTES + question.bytes.length);
  if (isBad) return fault(RCODE.FORMERR, question, edns);
  if (edns !== undefined && edns.version !== 0) return fault(RCODE.BADVERS, question, edns);
  // OPT is no question.
  if (question.type === TYPE.OPT) return fault(RCODE.FORMERR, question, edns);
  // Zones are not given away; the mesh has other ways to list its services.
  if (question.type === TYPE.AXFR || question.type === TYPE.IXFR) return fault(RCODE.REFUSED, question, edns);
  if (question.class !== CLASS.IN && question.class !== CLASS.ANY) return fault(RCODE.REFUSED, question, edns);
  return { kind: 'query', ...header, question, edns };
}

function readQuestion(message: Buffer): Question | undefined {
  const name = readName(message, HEADER_BYTES);
  if (name === undefined || name.end + 4 > message.length) return undefined;
  return {
    name: name.key,
    type: message.readUInt16BE(name.end),
    class: message.readUInt16BE(name.end + 2),
    bytes: message.subarray(HEADER_BYTES, name.end + 4),
  };
}

/** What follows the question: only the OPT record says something to us, but all must be well formed. */
function readRecords(message: Buffer, from: number): Records {
  const counts = [message.readUInt16BE(6), message.readUInt16BE(8), message.readUInt16BE(10)];
  let at = from;
  let edns: Edns | undefined;
  for (const [section, count] of counts.entries()) {
    for (let index = 0; index < count; index += 1) {
      const end = skipName(message, at);
      if (end === undefined || end + 10 > message.length) return { edns, isBad: true };
      const next = end + 10 + message.readUInt16BE(end + 8);
      if (next > message.length) return { edns, isBad: true };
      if (message.readUInt16BE(end) === TYPE.OPT) {
        // RFC 6891 §6.1.1: one, of the root, in the additional section.
        if (edns !== undefined || section !== 2 || message[at] !== 0) return { edns, isBad: true };
        edns = readEdns(message, end);
      }
      at = next;
    }
  }
  // Bytes behind the last record are nobody's.
  return { edns, isBad: at !== message.length };
}

function readEdns(message: Buffer, at: number): Edns {
  return {
    udpBytes: Math.max(PLAIN_UDP_BYTES, message.readUInt16BE(at + 2)),
    version: message.readUInt8(at + 5),
    dnssecOk: (message.readUInt8(at + 6) & 0x80) !== 0,
  };
}
