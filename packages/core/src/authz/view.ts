// What a decision looks at, and what it is.
import type { JsonObject } from '../authn/unique-json.ts';
import type { RequestView } from '../routing/request.ts';

/** A token whose signature and terms were found right. */
export interface VerifiedToken {
  /** The name of its issuer in the policy. */
  readonly issuer: string;
  readonly claims: JsonObject;
}

/**
 * A request to one service as its own data plane received it. Data planes keep one such object for each connection. `sourceIdentity` is
 * what the peer of the connection has proven, empty when it has proven nothing; `sourceAddress` is not looked at, because a header may say it.
 */
export interface AccessView extends RequestView {
  /** Of the peer of the connection, without a port. */
  readonly peerAddress: string;
  /** Undefined: no token came. One that is not valid never gets here. */
  readonly claims: VerifiedToken | undefined;
  /** A stream of bytes (CONNECT, or no HTTP at all): without method, path, authority and headers. */
  readonly isStream: boolean;
  /** Wall clock: milliseconds since 1970. */
  readonly nowMs: number;
}

/** A rule that fits and only watches, or what a policy that only watches would have refused. */
export interface AuditNote {
  /** Empty: the default of the policy. */
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
}

/** The same object is handed out again and again: nobody changes it. */
export interface Decision {
  readonly allowed: boolean;
  /** Which rule decided; empty: none, but the default of the policy. */
  readonly rule: string;
  /**
   * Of a refusal. TOKEN_REQUIRED: no token came, no rule denies, and with a token a rule may allow it. Undefined: allowed.
   */
  readonly code: 'ACCESS_DENIED' | 'TOKEN_REQUIRED' | undefined;
  /** What decided nothing and is to be logged and counted. Usually empty. */
  readonly audited: readonly AuditNote[];
}
