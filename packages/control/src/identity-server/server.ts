// heddle.identity.v1: certificates for workloads. What it decides is in `ca/issuer.ts`.
import { status } from '@grpc/grpc-js';
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { identity } from '@heddle/api';
import type { IdentityServer } from '@heddle/api/grpc-js';
import { readCertificate } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import { issueCertificate } from '../ca/index.ts';
import type { Issuer, SignOutcome } from '../ca/index.ts';
import type { EventSink } from '../events/sink.ts';
import type { Caller } from '../server/caller.ts';
import { callerOf } from '../server/access.ts';
import { PacedWriter, unary } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';
import type { TrustWatchers } from './trust-watchers.ts';

export interface IdentityServerOptions extends Issuer {
  readonly events: EventSink;
  /** Life of the certificates. Default: the authority's. */
  readonly ttlMs?: number;
  readonly streams: OpenStreams;
  readonly watchers: TrustWatchers;
  readonly logger: Logger;
}

/** Renewal begins at half of a certificate's life; from here on it was late. */
const LATE_FROM = 0.75;

export function addIdentityService(server: Server, options: IdentityServerOptions): void {
  const handlers: IdentityServer = {
    sign: (call, callback) =>
      unary(options.logger, (request: identity.SignRequest, caller) =>
        sign(request, caller, call.getAuthContext().sslPeerCertificate?.raw, options),
      )(call, callback),
    watchTrust: (call) => watchTrust(call, options),
  };
  server.addService(identity.IdentityService, handlers);
}

/** `certificate`: DER of the client's, if it showed one. */
async function sign(
  request: identity.SignRequest,
  caller: Caller,
  certificate: Uint8Array | undefined,
  options: IdentityServerOptions,
): Promise<identity.SignResponse> {
  const { events, ttlMs, logger } = options;
  const peerId = caller.kind === 'anonymous' ? undefined : caller.id;
  const peerSerial = certificate === undefined ? undefined : readCertificate(certificate).serial;
  const { csrDer, joinToken, lateRenewal: late } = request;
  const outcome = await issueCertificate(options, { csrDer, joinToken, peerId, peerSerial, late, ttlMs });
  if (!outcome.ok) {
    logger.warn({ reason: outcome.message }, 'no certificate issued');
    throw new CallError(status[outcome.status], outcome.message);
  }
  const { certificatePem, spiffeId, notBeforeMs, notAfterMs } = outcome.certificate;
  const lateness = latenessOf(outcome);
  if (lateness !== undefined) {
    logger.warn({ identity: spiffeId }, lateness);
    events.record('identity-renewed-late', spiffeId, lateness);
  }
  logger.info({ identity: spiffeId, notAfterMs, why: outcome.why }, 'certificate issued');
  return { certificatePem, rootsPem: outcome.rootsPem, spiffeId, notBeforeMs, notAfterMs };
}

/** A slow reader gets the newest alone. */
function watchTrust(
  call: ServerWritableStream<identity.WatchTrustRequest, identity.WatchTrustResponse>,
  { authority, streams, watchers }: IdentityServerOptions,
): void {
  let told: string | undefined;
  const writer = new PacedWriter<identity.WatchTrustResponse>(
    call as unknown as ServerWritableStream<never, identity.WatchTrustResponse>,
    () => {
      const { rootsPem } = authority;
      if (rootsPem === told) return undefined;
      told = rootsPem;
      return { rootsPem };
    },
  );
  const subscription = authority.onChange(() => writer.poke());
  const caller = callerOf(call.metadata);
  const gone = caller.kind === 'anonymous' ? (): void => {} : watchers.opened(caller.uri);
  const stop = (): void => {
    subscription.close();
    gone();
  };
  call.on('cancelled', stop);
  call.on('close', stop);
  streams.add(call, writer);
  writer.poke();
}

/** Undefined: it was in time. */
function latenessOf({ endedMs, lifeOver }: Extract<SignOutcome, { ok: true }>): string | undefined {
  if (endedMs !== undefined) return `renewed with a certificate that had ended at ${new Date(endedMs).toISOString()}`;
  if (lifeOver === undefined || lifeOver < LATE_FROM) return undefined;
  return `renewed when ${Math.round(lifeOver * 100)} % of its certificate's life was over; half of it is planned`;
}
