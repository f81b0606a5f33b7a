// What a channel's options say about its calls, read once. Options about connections have no meaning where there are none.
import type { FlatHeaders } from '@heddle/dataplane/direct';
import { GRPC_MESSAGE_BYTES_MAX } from '@heddle/wire';
import { ACCEPTED_CODINGS, type Coding, codingOfNumber } from './coding.ts';

/** grpc-js: `ChannelOptions`, of which more may be there. */
export type GrpcOptions = Readonly<Record<string, unknown>>;

export interface CallSettings {
  /** Of `grpc.max_receive_message_length`. Default 4 MiB, as of grpc-js; Infinity for -1. */
  readonly receiveBytesMax: number;
  /** Of `grpc.max_send_message_length`. Default Infinity, as of grpc-js. */
  readonly sendBytesMax: number;
  /** Of `grpc.default_compression_algorithm`: of requests. */
  readonly coding: Coding;
  /** Headers of every call. */
  readonly headers: FlatHeaders;
}

export function readCallSettings(options: GrpcOptions): CallSettings {
  const agent = [options['grpc.primary_user_agent'], 'grpc-node-js heddle', options['grpc.secondary_user_agent']];
  return {
    receiveBytesMax: limitOf(options['grpc.max_receive_message_length'], GRPC_MESSAGE_BYTES_MAX),
    sendBytesMax: limitOf(options['grpc.max_send_message_length'], Infinity),
    coding: codingOfNumber(options['grpc.default_compression_algorithm']) ?? 'identity',
    headers: [
      ...['content-type', 'application/grpc', 'te', 'trailers'],
      ...['user-agent', agent.filter((part) => typeof part === 'string' && part !== '').join(' ')],
      ...['grpc-accept-encoding', ACCEPTED_CODINGS, 'accept-encoding', 'identity'],
    ],
  };
}

function limitOf(value: unknown, otherwise: number): number {
  if (typeof value !== 'number') return otherwise;
  return value < 0 ? Infinity : value;
}
