// The parts of grpc-js's types that calls and channels are made of. Types alone: the library itself is the application's, in its own copy.
import type { ChannelInterface, experimental, InterceptingListener, Metadata, StatusObject } from '@grpc/grpc-js';

export type GrpcCall = experimental.CallStream;
export type MessageContext = Parameters<GrpcCall['sendMessageWithContext']>[0];
export type WriteCallback = NonNullable<MessageContext['callback']>;
export type AuthContext = ReturnType<GrpcCall['getAuthContext']>;
export type CallDeadline = Parameters<ChannelInterface['createCall']>[1];
/** A call that is being served, and on whose behalf another is made. */
export type ParentCall = NonNullable<Parameters<ChannelInterface['createCall']>[3]>;
export type ChannelRef = ReturnType<ChannelInterface['getChannelzRef']>;
export type { InterceptingListener, Metadata, StatusObject };

/** Of the copy of grpc-js that made a call: what it is answered with must be of the same. */
export interface MetadataClass {
  new (): Metadata;
  fromHttp2Headers(headers: Record<string, string | string[]>): Metadata;
}

/** Bits of `propagate_flags` that say what a call takes over from its parent. */
export const PROPAGATE = { deadline: 1, cancellation: 8 } as const;
export const PROPAGATE_ALL = 0xffff;

/** Bit of a message's flags: do not compress this one. */
export const NO_COMPRESS = 2;
