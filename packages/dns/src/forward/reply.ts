// What another server has answered: checked against what was asked, and kept as the bytes that it is, so that records of types that nobody
// here knows pass through unchanged. Only times to live are found and the hop-by-hop record (OPT) is taken off.
import { FLAG, HEADER_BYTES, RCODE, TYPE } from '../wire/codes.ts';
import { readName, skipName } from '../wire/name.ts';

export interface Reply {
  /** Without its OPT record. */
  readonly message: Buffer;
  readonly rcode: number;
  readonly isCut: boolean;
  /** Where times to live stand. */
  readonly ttlOffsets: readonly number[];
  /** Where the name that was asked for is written out once more: with the case of letters in which it was sent. */
  readonly nameOffsets: readonly number[];
  /** How long it may be kept (RFC 2181 §8, RFC 2308 §5); 0: not at all. */
  readonly ttlSeconds: number;
  /** The server understands EDNS0. */
  readonly hasEdns: boolean;
}

/** As it was sent. */
export interface Sent {
  readonly id: number;
  /** Key of the name (see wire/name.ts). */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

const NO_RECORDS: Pick<Reply, 'ttlOffsets' | 'nameOffsets' | 'ttlSeconds'> = { ttlOffsets: [], nameOffsets: [], ttlSeconds: 0 };
/** A day; longer ones are for zones that nobody here changes, and restarts forget them anyway. */
const POSITIVE_TTL_SECONDS_MAX = 86_400;
/** RFC 2308 §5 asks for one to three hours at most; a name that was just made should not be missed for so long. */
const NEGATIVE_TTL_SECONDS_MAX = 300;

/** Undefined when it is no answer to that, or damaged: whoever sent it, it is ignored. */
export function readReply(message: Buffer, sent: Sent): Reply | undefined {
  if (message.length < HEADER_BYTES || message.readUInt16BE(0) !== sent.id) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & FLAG.QR) === 0 || ((flags >> 11) & 0xf) !== 0) return undefined;
  const isCut = (flags & FLAG.TC) !== 0;
  const questions = message.readUInt16BE(4);
  // An error about a message that the server did not understand may come without the question.
  if (questions === 0 && (flags & 0xf) === RCODE.FORMERR)
    return { message: message.subarray(0, HEADER_BYTES), rcode: RCODE.FORMERR, isCut: false, ...NO_RECORDS, hasEdns: false };
  const name = questions === 1 ? readName(message, HEADER_BYTES) : undefined;
  if (name === undefined || name.end + 4 > message.length || name.key !== sent.name) return undefined;
  if (message.readUInt16BE(name.end) !== sent.type || message.readUInt16BE(name.end + 2) !== sent.class) return undefined;
  const records = readRecords(message, name.end + 4, name.key);
  // A message that was cut may end anywhere.
  if (records === undefined) return isCut ? cut(message, flags, name.end + 4) : undefined;
  const { optOffset, ttlOffsets, nameOffsets, ttlSeconds, extendedRcode, additionalLeft } = records;
  const kept = Buffer.from(message.subarray(0, optOffset ?? records.end));
  if (optOffset !== undefined) kept.writeUInt16BE(additionalLeft, 10);
  const rcode = (flags & 0xf) | (extendedRcode << 4);
  const mayKeep = !isCut && (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN);
  return { message: kept, rcode, isCut, ttlOffsets, nameOffsets, ttlSeconds: mayKeep ? ttlSeconds : 0, hasEdns: optOffset !== undefined };
}

function cut(message: Buffer, flags: number, end: number): Reply {
  const kept = Buffer.from(message.subarray(0, end));
  kept.fill(0, 6, HEADER_BYTES);
  return { message: kept, rcode: flags & 0xf, isCut: true, ...NO_RECORDS, hasEdns: false };
}

interface RecordsRead {
  readonly end: number;
  readonly ttlOffsets: readonly number[];
  readonly nameOffsets: readonly number[];
  readonly ttlSeconds: number;
  readonly optOffset: number | undefined;
  readonly extendedRcode: number;
  /** Records of the additional section before OPT; what is after it goes with it, as pointers into it would lead astray. */
  readonly additionalLeft: number;
}

function readRecords(message: Buffer, from: number, asked: string): RecordsRead | undefined {
  const counts = [message.readUInt16BE(6), message.readUInt16BE(8), message.readUInt16BE(10)] as const;
  const ttlOffsets: number[] = [];
  const nameOffsets: number[] = [];
  let at = from;
  let least = POSITIVE_TTL_SECONDS_MAX;
  let soaTtl: number | undefined;
  for (const [section, count] of counts.entries()) {
    for (let index = 0; index < count; index += 1) {
      const end = skipName(message, at);
      if (end === undefined || end + 10 > message.length) return undefined;
      const next = end + 10 + message.readUInt16BE(end + 8);
      if (next > message.length) return undefined;
      const type = message.readUInt16BE(end);
      if (type === TYPE.OPT && section === 2) {
        const ttlSeconds = lifetime(counts[0], least, soaTtl);
        return {
          end: next,
          ttlOffsets,
          nameOffsets,
          ttlSeconds,
          optOffset: at,
          extendedRcode: message.readUInt8(end + 4),
          additionalLeft: index,
        };
      }
      // RFC 2181 §8: with the highest bit set it is 0.
      const ttl = message.readInt32BE(end + 4);
      least = Math.min(least, Math.max(0, ttl));
      // RFC 2308 §5: the lesser of the SOA's own time and its last field.
      if (section === 1 && type === TYPE.SOA && next - end >= 10 + 22) soaTtl = Math.max(0, Math.min(ttl, message.readInt32BE(next - 4)));
      ttlOffsets.push(end + 4);
      if (readName(message, at)?.key === asked) nameOffsets.push(at);
      at = next;
    }
  }
  return {
    end: at,
    ttlOffsets,
    nameOffsets,
    ttlSeconds: lifetime(counts[0], least, soaTtl),
    optOffset: undefined,
    extendedRcode: 0,
    additionalLeft: counts[2],
  };
}

function lifetime(answers: number, least: number, soaTtl: number | undefined): number {
  if (soaTtl !== undefined) return Math.min(soaTtl, least, NEGATIVE_TTL_SECONDS_MAX);
  // RFC 2308 §5: without an SOA it is not known for how long there is nothing.
  return answers === 0 ? 0 : least;
}
