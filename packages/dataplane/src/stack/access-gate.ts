// What an access decision asks of others: which token came with a request (authn/, for `VirtualHost.tokens`) and which one goes out with a call
// (authn/, for `VirtualHost.attach`). Both are loaded when the first policy that needs them arrives, answer at once where they can, and else call
// back; who waits is bounded here. The order of a decision is in access-decision.ts.
import type { ErrorCode, OutboundToken, RequestView, TokenPolicy, VerifiedToken } from '@heddle/core';
import type { Context } from './context.ts';
import type { OwnHeader } from './header-rewrite.ts';

export { lookalikes } from '@heddle/core';

/** An answer that is not there yet. */
export interface Later<T> {
  readonly kind: 'later';
  /**
   * Called once. `done` is called once, and never before this call has returned. Nothing is thrown.
   * @returns stops waiting: `done` is not called any more. May be called again, and after `done`.
   */
  wait(done: (answer: T) => void): () => void;
}

/** What is done to a request that is passed on. Names in lower case. */
export interface HeaderEffect {
  /** What was received under these names is not passed on. One of few lists that live as long as the gate: what is made of it is kept by it. */
  readonly drop: readonly string[];
  /** Written behind the others, in place of what the application might have been told by the caller. */
  readonly set: readonly OwnHeader[];
}

export type TokenAnswer =
  /** No token of any issuer came. */
  | { readonly kind: 'none' }
  /** `headers`: those made of claims; and the token is dropped that is not to be passed on. */
  | { readonly kind: 'valid'; readonly token: VerifiedToken; readonly headers: HeaderEffect }
  /** `error`: for `www-authenticate` (RFC 6750 §3.1). `reason`: for the log, without anything of the token that is secret. */
  | { readonly kind: 'invalid'; readonly error: 'invalid_request' | 'invalid_token'; readonly reason: string }
  /** It could not be found out: keys or introspection were not to be had. `reason`: for the log. */
  | { readonly kind: 'unavailable'; readonly reason: string };

/** Of one TokenPolicy. */
export interface TokenGate {
  /** What every request gets, with or without a token: the names of claim headers are dropped (and what reads like them, see `lookalikes`). */
  readonly always: HeaderEffect;
  /** `request` is valid during the call. @param wallMs Unix time. */
  check(request: RequestView, wallMs: number): TokenAnswer | Later<TokenAnswer>;
}

/** What the data plane has of authn/ for requests that come in. */
export interface TokenGates {
  /** Must not wait: keys are asked for when they are needed, or in the background. The same gate for policies that say the same. */
  gateFor(policy: TokenPolicy): TokenGate;
  /** After a configuration was applied: what belongs to none of these is let go. */
  retain(policies: readonly TokenPolicy[]): void;
  close(): void;
}

/** A token that goes out with calls. */
export interface SuppliedToken {
  readonly kind: 'token';
  /** Tokens are dropped that the application has sent to be exchanged. */
  readonly headers: HeaderEffect;
  /** The called side does not take it (401; gRPC: UNAUTHENTICATED). It is renewed before its time, though not without a pause. */
  refused(): void;
  /** What has taken its place since, or will; undefined: nothing. */
  readonly successor: SuppliedToken | Later<SupplyAnswer> | undefined;
}

export type SupplyAnswer =
  | SuppliedToken
  /** A token is to be exchanged, and the application has sent none: the call goes out as it is. */
  | { readonly kind: 'none' }
  /** The call is refused by this. `detail`: for the caller, who is an application of this machine; `reason`: for the log. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly detail: string; readonly reason: string };

/** Of one OutboundToken. */
export interface TokenSupply {
  /** `request` is valid during the call: of `token-exchange`, the token that is exchanged is in it. */
  tokenFor(request: RequestView, wallMs: number): SupplyAnswer | Later<SupplyAnswer>;
}

export interface TokenSupplies {
  /** The same for tokens that say the same. Must not wait. */
  supplyFor(token: OutboundToken): TokenSupply;
  retain(tokens: readonly OutboundToken[]): void;
  close(): void;
}

/** What `authn/index.ts` exports; imported when a policy needs it. */
export interface AuthnDoor {
  createTokenGates(context: Context): TokenGates;
  createTokenSupplies(context: Context): TokenSupplies;
}

export const NO_EFFECT: HeaderEffect = { drop: [], set: [] };
