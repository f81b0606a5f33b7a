// What every handler of the REST API is given, and what it gives back.
import type { Logger, Metrics } from '@heddle/runtime';
import type { AdminTokens } from '../admin/admin-tokens.ts';
import type { LoginCodes } from '../admin/login-codes.ts';
import type { Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Authority, Denials, JoinTokens, RotationDesk } from '../ca/index.ts';
import type { EventLog } from '../events/log.ts';
import type { MeshFileDesk } from '../mesh-file/desk.ts';
import type { Registry } from '../registry/registry.ts';
import type { Input, OperationId } from './operations.ts';
import type { ProxySource, TrafficSource } from './sources.ts';
import type { Watches } from './watch/open.ts';

export interface RestContext {
  readonly mesh: { readonly name: string; readonly trustDomain: string };
  readonly version: string;
  readonly startedMs: number;
  readonly registry: Registry;
  readonly meshFile: MeshFileDesk;
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly denials: Denials;
  readonly rotation: RotationDesk;
  readonly adminTokens: AdminTokens;
  readonly logins: LoginCodes;
  readonly audit: AuditLog;
  readonly proxies: ProxySource;
  readonly metrics: Pick<Metrics, 'counter' | 'expose'>;
  readonly traffic: TrafficSource;
  readonly events: EventLog;
  readonly watches: Watches;
  readonly logger: Logger;
  /** Text of the OpenAPI document. */
  readonly document: () => string;
  /** Whether the control plane is on its way down. */
  readonly isStopping: () => boolean;
  /** Tells this run of the control plane from others. */
  readonly epoch: string;
}

export interface Conditions {
  /** From `if-match`: the revision that the resource must be at; from `if-none-match: *`: 0. */
  readonly expectedRevision?: number;
  readonly lastEventId?: string;
  /** The header; empty without one. */
  readonly accept: string;
}

export interface Reply {
  readonly status: number;
  /** Made JSON of. */
  readonly value?: unknown;
  /** JSON already, or what `mediaType` says. */
  readonly text?: string;
  readonly stream?: ReadableStream<Uint8Array>;
  /** Entity tag without its quotes. */
  readonly tag?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Handlers = {
  readonly [Id in OperationId]: (input: Input<Id>, context: RestContext, conditions: Conditions, by: Doer) => Reply | Promise<Reply>;
};
