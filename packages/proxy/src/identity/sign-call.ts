// Asking the control plane for a certificate and believing nothing it answers unchecked: the leaf must be ours, of the right
// identity, and vouched for by a root that came with it over an authenticated connection.
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { controlChannelCredentials, controlChannelOptions, controlTarget, endControlClient, identity } from '@heddle/api';
import { controlPlaneId, formatSpiffeId, lateRenewalStatement, type SpiffeId } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { certificateDer, certificateMatchesKey, createCsr, type KeyPair, readKeyPair, sha256, verifyLeaf } from '@heddle/runtime/node';

export interface ControlAddress {
  readonly address: string;
  readonly port: number;
}

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

function call(options: SignCallOptions): Promise<identity.SignResponse> {
  const { control, rootsPem, present, ended, key, expected, clock, signal } = options;
  const credentials = controlChannelCredentials({
    rootsPem,
    certificatePem: present?.certificatePem,
    keyPem: present?.keyPem,
    expectedSpiffeId: formatSpiffeId(controlPlaneId(expected.trustDomain)),
  });
  const client = new identity.IdentityClient(controlTarget(control.address, control.port), credentials, controlChannelOptions());
  const csrDer = Buffer.from(createCsr(key));
  const lateRenewal = ended === undefined ? undefined : proveEnded(ended, csrDer);
  const request = identity.SignRequest.create({ csrDer, joinToken: options.joinToken ?? '', lateRenewal });
  return new Promise<identity.SignResponse>((resolve, reject) => {
    const ongoing = client.sign(request, new Metadata(), { deadline: clock.wallMs() + options.timeoutMs }, (error, response) => {
      signal?.removeEventListener('abort', abort);
      endControlClient(client, credentials);
      if (error === null) resolve(response);
      else reject(asJoinError(error, control, options.joinToken !== undefined));
    });
    const abort = (): void => ongoing.cancel();
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

/** That we hold the key of the certificate, and ask for this new one. */
function proveEnded({ certificatePem, keyPem }: NonNullable<SignCallOptions['ended']>, csrDer: Uint8Array): identity.LateRenewal {
  const der = certificateDer(certificatePem);
  const signature = readKeyPair(keyPem).sign(lateRenewalStatement(sha256(der), sha256(csrDer)));
  return { certificateDer: Buffer.from(der), signature: Buffer.from(signature) };
}

function asJoinError(error: ServiceError, control: ControlAddress, joining: boolean): JoinError {
  switch (error.code) {
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
    case status.INVALID_ARGUMENT:
      return new JoinError(
        'refused',
        `The control plane at ${place(control)} refused ${joining ? 'the workload' : 'to renew the certificate'}: ${error.details}`,
        error,
      );
    case status.CANCELLED:
      return new JoinError('cancelled', 'given up', error);
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
      return unreachable(control, error.details, error);
    default:
      return new JoinError(
        'bad-answer',
        `The control plane at ${place(control)} failed with ${status[error.code]}: ${error.details}. See its log.`,
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
