// What a call and the channel that makes it know of one another.
import type { CallCredentials } from '@grpc/grpc-js';
import type { Mesh } from '../plane/mesh.ts';
import type { Coding } from './coding.ts';
import type { CallSettings } from './settings.ts';

/** A call that cannot begin before the mesh is ready. */
export interface WaitingCall {
  meshCame(): void;
  meshFailed(error: unknown): void;
  cancelWithStatus(code: number, details: string): void;
}

/** What calls need of the channel that they are made by. */
export interface CallHost {
  readonly mesh: Mesh;
  readonly settings: CallSettings;
  /** What requests are compressed with, as far as the called side is known to take it. */
  readonly requestCoding: Coding;
  nextCallNumber(): number;
  /** Those of the channel and of the call; undefined where neither has any. */
  credentialsWith(credentials: CallCredentials | undefined): CallCredentials | undefined;
  /** Tells the call when the mesh has become ready, or why it has not. */
  whenReady(call: WaitingCall): void;
  /** @param codings value of `grpc-accept-encoding` */
  serverAccepts(codings: string): void;
}
