// First contact. Nothing is trusted but the token's pin: the chain that the server shows must hold a root with the pinned key
// and a leaf of the control plane under it; then the certificate is asked for on a new connection that trusts this root only.
import { controlPlaneId, encodePem, formatSpiffeId, type JoinToken } from '@heddle/core';
import { CONTROL_SERVER_NAME } from '@heddle/api';
import type { Clock, GrpcClient } from '@heddle/runtime';
import { type KeyPair, presentedChain, spkiPin, verifyLeaf } from '@heddle/runtime/node';
import { type ControlAddress, type HeldIdentity, JoinError, place, requestCertificate, unreachable } from './sign-call.ts';

export interface JoinOptions {
  readonly grpc: GrpcClient;
  readonly control: ControlAddress;
  readonly token: JoinToken;
  /** The token's text, as it is sent once the control plane has proven who it is. */
  readonly tokenText: string;
  /** Kept over repeated tries: the control plane answers the same token and key again when an answer was lost. */
  readonly key: KeyPair;
  readonly clock: Clock;
  /** For each of the two connections. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Rejects with JoinError. */
export async function join(options: JoinOptions): Promise<HeldIdentity> {
  const { grpc, token, tokenText, control, key, clock, timeoutMs, signal } = options;
  const { rootPem, trustDomain } = await findPinnedRoot(options);
  const expected = { trustDomain, namespace: token.namespace, name: token.service };
  const held = await requestCertificate({
    grpc,
    control,
    rootsPem: rootPem,
    joinToken: tokenText,
    key,
    expected,
    clock,
    timeoutMs,
    signal,
  });
  // The answer may bring further roots (a rotation under way), but the one that was pinned must be among those that vouch for us.
  const vouched = verifyLeaf({ leaf: held.certificatePem, rootsPem: rootPem, nowMs: clock.wallMs() });
  if (!vouched.ok)
    throw new JoinError(
      'bad-answer',
      `The control plane at ${place(control)} sent a certificate that ${vouched.reason}: the root that the token pins has no part in it.`,
    );
  return held;
}

/** The root that the token pins, when the control plane under it answers at the address. Rejects with JoinError. */
export async function findPinnedRoot(options: JoinOptions): Promise<{ rootPem: string; trustDomain: string }> {
  const { token, control, clock } = options;
  const chain = await shownChain(options);
  const root = chain.find((certificate) => pinOf(certificate) === token.pin);
  if (root === undefined) {
    throw new JoinError(
      'wrong-pin',
      `The control plane at ${place(control)} is not the one the token was made for: it does not show the root that the token pins. Check the address; if the mesh was set up anew, make a new token there with \`heddle token create --service ${token.service}\`.`,
    );
  }
  const rootPem = encodePem('CERTIFICATE', root);
  const verdict = verifyLeaf({ leaf: chain[0] as Uint8Array, intermediates: chain.slice(1), rootsPem: rootPem, nowMs: clock.wallMs() });
  if (!verdict.ok) {
    const clockMend = verdict.code === 'not-yet-valid' || verdict.code === 'expired' ? ' Set the clocks of both machines.' : '';
    throw new JoinError(
      'not-control',
      `What answers at ${place(control)} cannot be trusted: its certificate ${verdict.reason}.${clockMend}`,
    );
  }
  const expectedUri = formatSpiffeId(controlPlaneId(verdict.id.trustDomain));
  if (verdict.uri !== expectedUri) {
    throw new JoinError(
      'not-control',
      `What answers at ${place(control)} is ${verdict.uri}, not the control plane (${expectedUri}). Check address and port.`,
    );
  }
  return { rootPem, trustDomain: verdict.id.trustDomain };
}

async function shownChain({ control, timeoutMs, signal }: JoinOptions): Promise<Uint8Array[]> {
  try {
    return await presentedChain({
      address: control.address,
      port: control.port,
      timeoutMs,
      alpn: ['h2'],
      serverName: CONTROL_SERVER_NAME,
      signal,
    });
  } catch (error) {
    if (signal?.aborted === true) throw new JoinError('cancelled', 'given up', error);
    throw unreachable(control, (error as Error).message, error);
  }
}

function pinOf(certificate: Uint8Array): string | undefined {
  try {
    return spkiPin(certificate);
  } catch {
    return undefined; // A certificate that our reader refuses is none that a token pins.
  }
}
