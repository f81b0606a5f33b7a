// Asking the control plane for a certificate and believing nothing it answers unchecked: the leaf must be ours, of the right
// identity, and vouched for by a root that came with it over an authenticated connection.
import { controlTarget, identity } from '@heddle/api';
import { formatSpiffeId, lateRenewalStatement, type SpiffeId } from '@heddle/core';
import type { Clock, GrpcClient, GrpcError } from '@heddle/runtime';
import { certificateDer, certificateMatchesKey, createCsr, type KeyPair, readKeyPair, sha256, verifyLeaf } from '@heddle/runtime/node';
import { GRPC_STATUS, grpcStatusName } from '@heddle/wire/grpc';
import { callControl, type ControlAddress, controlChannel } from './control-channel.ts';

export type { ControlAddress };

/** A certificate with its key and the roots to trust, as a workload holds it. */
export interface HeldIdentity {
  readonly id: SpiffeId;
  /** Leaf first. */
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  readonly notAfterMs: number;
  /** By this machine's clock, Unix time. */
  readonly receivedMs: number;
}

/**
 * `bad-token`: its text; `unreachable`; `wrong-pin`: somebody else answers at the address; `not-control`: what answers is no control
 * plane of the token's mesh; `refused`: the control plane says no; `bad-answer`: what it sent cannot be used; `cancelled`.
 */
export type JoinErrorCode = 'bad-token' | 'unreachable' | 'wrong-pin' | 'not-control' | 'refused' | 'bad-answer' | 'cancelled';

export class JoinError extends Error {
  readonly code: JoinErrorCode;
  constructor(code: JoinErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'JoinError';
    this.code = code;
  }

  /** The token is at fault: trying again with it is pointless. */
  get tokenRefused(): boolean {
    return this.code === 'refused' || this.code === 'bad-token';
  }
}

export interface SignCallOptions {
  readonly grpc: GrpcClient;
  readonly control: ControlAddress;
  /** Trusted for this call. */
  readonly rootsPem: string;
  /** The workload's present certificate, which it shows; absent on the first call, which carries a token instead. */
  readonly present?: Pick<HeldIdentity, 'certificatePem' | 'keyPem'>;
  /** Instead of `present`: a certificate that has ended, which cannot be shown any more. */
  readonly ended?: Pick<HeldIdentity, 'certificatePem' | 'keyPem'>;
  readonly joinToken?: string;
  readonly key: KeyPair;
  /** What the answer must certify. */
  readonly expected: SpiffeId;
  readonly clock: Clock;
  /** Connection and answer together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Rejects with JoinError. */
export async function requestCertificate(options: SignCallOptions): Promise<HeldIdentity> {
  const answer = await call(options);
  const { key, expected, clock } = options;
  const receivedMs = clock.wallMs();
  const verdict = verifyLeaf({
    leaf: answer.certificatePem,
    rootsPem: answer.rootsPem,
    nowMs: receivedMs,
    trustDomain: expected.trustDomain,
  });
  const bad = (what: string): JoinError =>
    new JoinError('bad-answer', `The control plane at ${place(options.control)} sent a certificate that cannot be used: ${what}.`);
  if (!verdict.ok) {
    const clockMend = verdict.code === 'not-yet-valid' || verdict.code === 'expired' ? '. Set the clocks of both machines' : '';
    throw bad(`it ${verdict.reason}${clockMend}`);
  }
  if (verdict.uri !== formatSpiffeId(expected)) throw bad(`it is of ${verdict.uri}, not of ${formatSpiffeId(expected)}`);
  if (!certificateMatchesKey(answer.certificatePem, key.spkiDer)) throw bad('it belongs to another key');
  return {
    id: verdict.id,
    certificatePem: answer.certificatePem,
    keyPem: key.keyPem,
    rootsPem: answer.rootsPem,
    notAfterMs: verdict.notAfterMs,
    receivedMs,
  };
}

async function call(options: SignCallOptions): Promise<identity.SignResponse> {
  const { grpc, control, rootsPem, present, ended, key, expected, timeoutMs, signal } = options;
  const { trustDomain } = expected;
  const channel = controlChannel(grpc, control, { rootsPem, trustDomain, ...(present && { identity: present }) });
  const csrDer = Buffer.from(createCsr(key));
  const lateRenewal = ended === undefined ? undefined : proveEnded(ended, csrDer);
  const request = identity.SignRequest.create({ csrDer, joinToken: options.joinToken ?? '', lateRenewal });
  try {
    return await callControl(channel, identity.IdentityService.sign, request, { timeoutMs, ...(signal && { signal }) });
  } catch (error) {
    throw asJoinError(error as GrpcError, control, options.joinToken !== undefined);
  } finally {
    channel.close();
  }
}

/** That we hold the key of the certificate, and ask for this new one. */
function proveEnded({ certificatePem, keyPem }: NonNullable<SignCallOptions['ended']>, csrDer: Uint8Array): identity.LateRenewal {
  const der = certificateDer(certificatePem);
  const signature = readKeyPair(keyPem).sign(lateRenewalStatement(sha256(der), sha256(csrDer)));
  return { certificateDer: Buffer.from(der), signature: Buffer.from(signature) };
}

function asJoinError(error: GrpcError, control: ControlAddress, joining: boolean): JoinError {
  switch (error.code) {
    case GRPC_STATUS.UNAUTHENTICATED:
    case GRPC_STATUS.PERMISSION_DENIED:
    case GRPC_STATUS.INVALID_ARGUMENT:
      return new JoinError(
        'refused',
        `The control plane at ${place(control)} refused ${joining ? 'the workload' : 'to renew the certificate'}: ${error.details}`,
        error,
      );
    case GRPC_STATUS.CANCELLED:
      return new JoinError('cancelled', 'given up', error);
    case GRPC_STATUS.UNAVAILABLE:
    case GRPC_STATUS.DEADLINE_EXCEEDED:
      return unreachable(control, error.details, error);
    default:
      return new JoinError(
        'bad-answer',
        `The control plane at ${place(control)} failed with ${grpcStatusName(error.code)}: ${error.details}. See its log.`,
        error,
      );
  }
}

export function unreachable(control: ControlAddress, why: string, cause: unknown): JoinError {
  return new JoinError(
    'unreachable',
    `The control plane at ${place(control)} cannot be reached: ${why}. Check that \`heddle control\` runs there and that the address, port and firewall are right.`,
    cause,
  );
}

export function place(control: ControlAddress): string {
  return controlTarget(control.address, control.port);
}
