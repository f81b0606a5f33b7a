// Codings of messages: `grpc-encoding` names one, and each message says for itself whether it is used. Everything runs in zlib's own threads.
import { deflate, gunzip, gzip, inflate } from 'node:zlib';
import { GRPC_STATUS } from '@heddle/wire';

/** In the order of grpc-js's numbers for `grpc.default_compression_algorithm`. */
const CODINGS = ['identity', 'deflate', 'gzip'] as const;
export type Coding = (typeof CODINGS)[number];

/** Value of `grpc-accept-encoding`. */
export const ACCEPTED_CODINGS = 'identity,deflate,gzip';

export interface CodingFault {
  readonly code: number;
  readonly details: string;
}

export type OnCoded = (fault: CodingFault | undefined, message: Buffer) => void;

const NOTHING = Buffer.alloc(0);

/** The coding of a number of grpc-js; undefined for others. */
export function codingOfNumber(number: unknown): Coding | undefined {
  return typeof number === 'number' ? CODINGS[number] : undefined;
}

export function encodeMessage(coding: Coding, message: Buffer, done: OnCoded): void {
  const encode = coding === 'gzip' ? gzip : deflate;
  encode(message, (error, bytes) => {
    if (error === null) done(undefined, bytes);
    else done({ code: GRPC_STATUS.INTERNAL, details: `Failed to compress a message: ${error.message}` }, NOTHING);
  });
}

/** @param bytesMax what the message may grow to; Infinity for no limit */
export function decodeMessage(coding: string, message: Buffer, bytesMax: number, done: OnCoded): void {
  const decode = coding === 'gzip' ? gunzip : coding === 'deflate' ? inflate : undefined;
  if (decode === undefined) {
    const details =
      coding === 'identity'
        ? 'Received compressed message but "grpc-encoding" header was identity'
        : `Received message compressed with unsupported compression method ${coding}`;
    process.nextTick(done, { code: GRPC_STATUS.INTERNAL, details }, NOTHING);
    return;
  }
  decode(message, Number.isFinite(bytesMax) ? { maxOutputLength: Math.max(1, bytesMax) } : {}, (error, bytes) => {
    if (error === null) done(undefined, bytes);
    else done(faultOf(error, coding, bytesMax), NOTHING);
  });
}

function faultOf(error: NodeJS.ErrnoException, coding: string, bytesMax: number): CodingFault {
  if (error.code === 'ERR_BUFFER_TOO_LARGE')
    return { code: GRPC_STATUS.RESOURCE_EXHAUSTED, details: `Received message that decompresses to a size larger than ${bytesMax}` };
  return { code: GRPC_STATUS.INTERNAL, details: `Failed to decompress ${coding}-encoded message` };
}
