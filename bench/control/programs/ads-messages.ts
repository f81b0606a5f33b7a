// The few protobuf messages of delta xDS that a data plane without a data path needs, by hand: a thousand of them share one processor, and what
// they cost must not be taken for what the control plane costs. Field numbers are those of envoy/service/discovery/v3/discovery.proto.

export interface Response {
  readonly version: string;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly names: readonly string[];
}

export interface Request {
  readonly node?: string;
  readonly typeUrl: string;
  readonly subscribe?: readonly string[];
  readonly nonce?: string;
}

/** As one gRPC message, uncompressed. */
export function encodeRequest({ node, typeUrl, subscribe = [], nonce }: Request): Buffer {
  const parts: Buffer[] = [];
  if (node !== undefined) parts.push(field(1, Buffer.concat([text(1, node), text(6, 'bench')])));
  parts.push(text(2, typeUrl), ...subscribe.map((name) => text(3, name)));
  if (nonce !== undefined) parts.push(text(6, nonce));
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function text(number: number, value: string): Buffer {
  return field(number, Buffer.from(value));
}

function field(number: number, bytes: Buffer): Buffer {
  const head: number[] = [(number << 3) | 2];
  for (let rest = bytes.length; ; rest >>>= 7) {
    if (rest < 128) {
      head.push(rest);
      break;
    }
    head.push((rest & 127) | 128);
  }
  return Buffer.concat([Buffer.from(head), bytes]);
}

export function decodeResponse(bytes: Buffer): Response {
  const names: string[] = [];
  const texts = new Map<number, string>();
  eachField(bytes, (number, start, end) => {
    if (number !== 2) texts.set(number, bytes.toString('latin1', start, end));
    else
      eachField(bytes.subarray(start, end), (inner, from, to) => {
        if (inner === 3) names.push(bytes.toString('latin1', start + from, start + to));
      });
  });
  return { version: texts.get(1) ?? '', typeUrl: texts.get(4) ?? '', nonce: texts.get(5) ?? '', names };
}

/** All fields of these messages are length-delimited. */
function eachField(bytes: Buffer, found: (number: number, start: number, end: number) => void): void {
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    at += 1;
    if ((tag & 7) !== 2) throw new Error(`wire type ${tag & 7} is not expected in a DeltaDiscoveryResponse`);
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at]!;
      at += 1;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    found(tag >> 3, at, at + length);
    at += length;
  }
}
