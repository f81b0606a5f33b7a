// Writes responses. Names of records are compressed against the question and against one another (RFC 1035 §4.1.4), which lets twice as
// many addresses into a datagram; record data comes from dns-packet and stays uncompressed (RFC 3597 §4).
import dnsPacket from 'dns-packet';
import type { Answer } from 'dns-packet';
import { DO_BIT, type ExtendedError, FLAG, HEADER_BYTES, MESSAGE_BYTES_MAX, TYPE } from './codes.ts';
import { ancestors } from './name.ts';
import type { Edns, Header, Question } from './query.ts';

/** What a record says, by type. Names are keys (see name.ts), never the root. */
export type RecordData =
  | { readonly type: 'A' | 'AAAA' | 'NS' | 'PTR'; readonly data: string }
  | {
      readonly type: 'SRV';
      readonly data: { readonly priority: number; readonly weight: number; readonly port: number; readonly target: string };
    }
  | {
      readonly type: 'SOA';
      readonly data: {
        readonly mname: string;
        readonly rname: string;
        readonly serial: number;
        readonly refresh: number;
        readonly retry: number;
        readonly expire: number;
        readonly minimum: number;
      };
    }
  | { readonly type: 'HINFO'; readonly data: { readonly cpu: string; readonly os: string } };

export type ResourceRecord = RecordData & { readonly name: string; readonly ttlSeconds: number };

export interface ResponseParts {
  readonly rcode: number;
  readonly isAuthoritative?: boolean;
  readonly answers?: readonly ResourceRecord[];
  readonly authority?: readonly ResourceRecord[];
  /** Left out where they do not fit, without a word (RFC 2181 §9). */
  readonly additional?: readonly ResourceRecord[];
  readonly error?: ExtendedError | undefined;
  /** Nothing but the header and the question, marked as cut: come again by TCP. */
  readonly isCut?: boolean;
}

export interface ResponseOptions {
  /** The most that the message may have. */
  readonly bytesMax: number;
  /** Whether other names than those of the mesh are looked up too. */
  readonly isRecursive: boolean;
  /** What we say that we take by UDP. */
  readonly udpBytes: number;
}

/** Said of a query, where it could be read. */
export interface Asked extends Header {
  readonly question: Question | undefined;
  readonly edns: Edns | undefined;
}

const POINTER_OFFSET_MAX = 0x3fff;
const OPT_BYTES = 11;
const EXTENDED_ERROR_OPTION = 15;
/** From a record's type to its target: type, class, TTL, length, priority, weight and port (RFC 2782). */
const SRV_TARGET_OFFSET = 16;

export function writeResponse(asked: Asked, parts: ResponseParts, options: ResponseOptions): Buffer {
  const optBytes = asked.edns === undefined ? Buffer.alloc(0) : opt(asked.edns.dnssecOk, parts.rcode, options.udpBytes, parts.error);
  const writer = new Writer(asked.question, Math.min(options.bytesMax, MESSAGE_BYTES_MAX) - optBytes.length);
  let isCut = parts.isCut === true;
  const counts = [0, 0, 0];
  if (!isCut) {
    for (const [section, records] of [parts.answers ?? [], parts.authority ?? [], parts.additional ?? []].entries()) {
      for (const record of records) {
        if (!writer.add(record)) {
          isCut = section < 2;
          break;
        }
        counts[section]! += 1;
      }
      if (isCut) break;
    }
  }
  const flags =
    FLAG.QR |
    (asked.flags & (0x7800 | FLAG.RD | FLAG.CD)) |
    (parts.isAuthoritative === true ? FLAG.AA : 0) |
    (isCut ? FLAG.TC : 0) |
    (options.isRecursive ? FLAG.RA : 0) |
    (parts.rcode & 0xf);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(asked.id, 0);
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(asked.question === undefined ? 0 : 1, 4);
  for (const [section, count] of counts.entries()) header.writeUInt16BE(count, 6 + 2 * section);
  if (optBytes.length > 0) header.writeUInt16BE(counts[2]! + 1, 10);
  return Buffer.concat([header, ...writer.pieces, optBytes]);
}

/** The OPT record (RFC 6891 §6.1.2), with an extended error (RFC 8914 §2) where there is one. */
export function opt(dnssecOk: boolean, rcode: number, udpBytes: number, error?: ExtendedError): Buffer {
  const text = Buffer.from(error?.text ?? '');
  const bytes = Buffer.alloc(OPT_BYTES + (error === undefined ? 0 : 6 + text.length));
  bytes.writeUInt16BE(TYPE.OPT, 1);
  bytes.writeUInt16BE(udpBytes, 3);
  bytes.writeUInt8(rcode >> 4, 5);
  bytes.writeUInt16BE(dnssecOk ? DO_BIT : 0, 7);
  if (error === undefined) return bytes;
  bytes.writeUInt16BE(6 + text.length, 9);
  bytes.writeUInt16BE(EXTENDED_ERROR_OPTION, 11);
  bytes.writeUInt16BE(2 + text.length, 13);
  bytes.writeUInt16BE(error.code, 15);
  text.copy(bytes, 17);
  return bytes;
}

class Writer {
  readonly pieces: Buffer[] = [];
  readonly #bytesMax: number;
  /** Name → where it stands in the message. */
  readonly #offsets = new Map<string, number>();
  #at = HEADER_BYTES;

  constructor(question: Question | undefined, bytesMax: number) {
    this.#bytesMax = bytesMax;
    if (question === undefined) return;
    this.#note(question.name, this.#at);
    this.#push(Buffer.from(question.bytes));
  }

  /** False, and nothing is added, when it does not fit. */
  add(record: ResourceRecord): boolean {
    const { name, ttlSeconds } = record;
    const owner = this.#name(name);
    const rest = behindName(record, ttlSeconds);
    if (this.#at + owner.length + rest.length > this.#bytesMax) return false;
    this.#note(name, this.#at);
    this.#push(owner);
    // Addresses of the target follow in the additional section: they may point into the data.
    if (record.type === 'SRV') this.#note(record.data.target, this.#at + SRV_TARGET_OFFSET);
    this.#push(rest);
    return true;
  }

  #name(name: string): Buffer {
    let written = '';
    let left = name;
    for (;;) {
      const offset = this.#offsets.get(left);
      if (offset !== undefined) return Buffer.concat([labels(written), Buffer.from([0xc0 | (offset >> 8), offset & 0xff])]);
      const dot = left.indexOf('.');
      const label = dot === -1 ? left : left.slice(0, dot);
      written += written === '' ? label : `.${label}`;
      if (dot === -1) return Buffer.concat([labels(written), Buffer.from([0])]);
      left = left.slice(dot + 1);
    }
  }

  /** Remembers the name and its endings, which stand behind one another where it is written out. */
  #note(name: string, at: number): void {
    if (name === '' || name.includes('\\') || this.#offsets.has(name)) return;
    let offset = at;
    let current = name;
    for (const next of [...ancestors(name), undefined]) {
      if (this.#offsets.has(current) || offset > POINTER_OFFSET_MAX) return;
      this.#offsets.set(current, offset);
      if (next === undefined) return;
      offset += current.length - next.length;
      current = next;
    }
  }

  #push(bytes: Buffer): void {
    this.pieces.push(bytes);
    this.#at += bytes.length;
  }
}

function labels(name: string): Buffer {
  return name === ''
    ? Buffer.alloc(0)
    : Buffer.concat(name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')));
}

/** Type, class, TTL, length and data. dns-packet writes a record of the root in a message of its own; what is before the type is left away. */
function behindName({ type, data }: RecordData, ttlSeconds: number): Buffer {
  const record = { type, data, name: '.', ttl: ttlSeconds, class: 'IN' } as Answer;
  return dnsPacket.encode({ type: 'response', answers: [record] }).subarray(HEADER_BYTES + 1);
}
