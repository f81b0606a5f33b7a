// For tests: frames written and read by hand, without the codec, so that every fault can be made and every answer seen.

import { BlockWriter, FieldList, HpackDecoder, HpackEncoder } from '../../hpack/index.ts';
import { FLAG, FRAME } from '../frame.ts';

export type Fields = readonly (readonly [name: string, value: string])[];

/** A frame as it stands in bytes. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array | readonly number[] = []): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, 9);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A header block that needs nothing from the dynamic table and leaves nothing there. */
export function block(fields: Fields): Buffer {
  const into = new BlockWriter();
  const encoder = new HpackEncoder({ indexing: 'never' });
  encoder.begin(into);
  for (const [name, value] of fields) encoder.field(name, value);
  return into.copy();
}

export function headers(streamId: number, fields: Fields, endStream: boolean = true): Buffer {
  return frame(FRAME.headers, FLAG.endHeaders | (endStream ? FLAG.endStream : 0), streamId, block(fields));
}

export function data(streamId: number, content: string | Buffer, endStream: boolean = false): Buffer {
  return frame(FRAME.data, endStream ? FLAG.endStream : 0, streamId, Buffer.from(content));
}

export function settings(...values: readonly (readonly [id: number, value: number])[]): Buffer {
  return frame(
    FRAME.settings,
    0,
    0,
    Buffer.concat(values.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 0xff]), uint32(value)]))),
  );
}

export const SETTINGS_ACK = frame(FRAME.settings, FLAG.ack, 0);

export function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(FRAME.windowUpdate, 0, streamId, uint32(increment));
}

export function rstStream(streamId: number, errorCode: number): Buffer {
  return frame(FRAME.rstStream, 0, streamId, uint32(errorCode));
}

export function goaway(lastStreamId: number, errorCode: number, debug: string = ''): Buffer {
  return frame(FRAME.goaway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(errorCode), Buffer.from(debug)]));
}

export const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'orders.mesh.internal'],
  [':path', '/'],
];

export const POST: Fields = [[':method', 'POST'], ...GET.slice(1)];

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Cuts what a connection has sent into frames. */
export function framesOf(bytes: Buffer): SeenFrame[] {
  const frames: SeenFrame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    if (at + 9 + length > bytes.length) throw new Error(`The output ends in the middle of a frame of ${length} bytes.`);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, streamId: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return frames;
}

const NAMES = Object.fromEntries(Object.entries(FRAME).map(([name, type]) => [type, name]));

/** What a connection sends, as short texts: `rstStream 1 error 1`, `goaway 0 last 1 error 1`, `headers 1 end [:status 200]`… */
export class Wiretap {
  private readonly decoder = new HpackDecoder();
  private readonly list = new FieldList();

  /** Settings, their acknowledgements and the window of the connection are left out unless `all`. */
  read(bytes: Buffer, all: boolean = false): string[] {
    const texts: string[] = [];
    for (const seen of framesOf(bytes)) {
      const isGreeting = seen.type === FRAME.settings || (seen.type === FRAME.windowUpdate && seen.streamId === 0);
      const text = this.describe(seen);
      if (all || !isGreeting) texts.push(text);
    }
    return texts;
  }

  private describe({ type, flags, streamId, payload }: SeenFrame): string {
    const start = `${NAMES[type] ?? type} ${streamId}`;
    const end = (flags & FLAG.endStream) !== 0 ? ' end' : '';
    switch (type) {
      case FRAME.headers:
        if ((flags & FLAG.endHeaders) === 0) return `${start}${end} …`;
        if (this.decoder.decode(payload, 0, payload.length, this.list) !== undefined) return `${start}${end} undecodable`;
        return `${start}${end} [${[...this.list].map((field) => field.join(' ')).join(', ')}]`;
      case FRAME.data:
        return `${start}${end} ${payload.length}`;
      case FRAME.rstStream:
        return `${start} error ${payload.readUInt32BE()}`;
      case FRAME.goaway:
        return `${start} last ${payload.readUInt32BE()} error ${payload.readUInt32BE(4)}`;
      case FRAME.windowUpdate:
        return `${start} ${payload.readUInt32BE()}`;
      case FRAME.settings:
      case FRAME.ping:
        return (flags & FLAG.ack) !== 0 ? `${start} ack` : start;
      default:
        return start;
    }
  }
}
