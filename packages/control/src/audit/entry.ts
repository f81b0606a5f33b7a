// What the audit log says about one change, or one attempt that was refused.
import type { Caller } from '../server/caller.ts';

export const AUDIT_ACTIONS = [
  /** A call that is refused before anything is looked at; its subject is the method. */
  'call',
  /** A connection that is not of the mesh. */
  'connect',
  'create-join-token',
  'revoke-join-token',
  'create-admin-token',
  'revoke-admin-token',
  /** With which a browser logs in once. */
  'create-login-code',
  'register-instance',
  'deregister-instance',
  'report-health',
  'drain-instance',
  'undrain-instance',
  /** Somebody looks at live requests. */
  'tap',
  /** The mesh file was read: at the start, or again. */
  'declare-mesh',
  /** A mesh file was sent in place of the control plane's own. */
  'apply-mesh-file',
  /** Weights of one rule were changed. */
  'set-split',
  'rotate-root',
  'deny-identity',
  'allow-identity',
  /** It could not be written, and can again. */
  'resume',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** Who does something, and from where: address and port of the other end, empty where it is the process itself. */
export interface Doer {
  readonly caller: Caller | 'process';
  readonly from: string;
}

/** The control plane itself, because its mesh file says so. */
export const MESH_FILE: Doer = { caller: 'process', from: '' };

/** As the log names them. */
export function whoIs(caller: Caller | 'process'): string {
  if (caller === 'process') return 'mesh file';
  return caller.kind === 'anonymous' ? 'nobody' : caller.uri;
}

export interface AuditEntry {
  /** One more than the entry before, over restarts. */
  readonly id: number;
  /** Unix time in milliseconds. */
  readonly timeMs: number;
  /** By which proof: a SPIFFE id, `operator token`, `admin token <name>`, `login <name> at <issuer>`, `mesh file`, or `nobody`. */
  readonly who: string;
  /** Of an administrator; else empty. */
  readonly role: string;
  readonly from: string;
  readonly action: AuditAction;
  /** What it was about: a service, an instance, a method, a token by its name. */
  readonly subject: string;
  readonly outcome: 'done' | 'refused';
  /** What was and what is; JSON without secrets. Absent: there was none. */
  readonly before?: unknown;
  readonly after?: unknown;
  /** Why it was refused. */
  readonly reason?: string;
}

export interface AuditFilter {
  /** Entries after this id. */
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
  /** A part of `who`. */
  readonly who?: string | undefined;
  readonly action?: string | undefined;
  /** It, or what is below it: `default/orders` also means `default/orders/orders-1`. */
  readonly subject?: string | undefined;
  readonly outcome?: string | undefined;
  readonly sinceMs?: number | undefined;
}
