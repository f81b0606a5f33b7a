// heddle.identity.v1: certificates for workloads. What it decides is in `ca/issuer.ts`.
import { status } from '@grpc/grpc-js';
import type { Server } from '@grpc/grpc-js';
import { identity } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import { issueCertificate } from '../ca/index.ts';
import type { Authority, JoinTokens, LateRenewals } from '../ca/index.ts';
import type { EventSink } from '../events/sink.ts';
import { unary } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';

export interface IdentityServerOptions {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly lateRenewals: LateRenewals;
  readonly events: EventSink;
  /** Life of the certificates. Default: the authority's. */
  readonly ttlMs?: number;
  readonly logger: Logger;
}

export function addIdentityService(server: Server, options: IdentityServerOptions): void {
  const { authority, tokens, lateRenewals, events, ttlMs, logger } = options;
  const handlers: identity.IdentityServer = {
    sign: unary(logger, async (request: identity.SignRequest, caller) => {
      const peerId = caller.kind === 'anonymous' ? undefined : caller.id;
      const { csrDer, joinToken, lateRenewal: late } = request;
      const outcome = await issueCertificate(authority, tokens, lateRenewals, { csrDer, joinToken, peerId, late, ttlMs });
      if (!outcome.ok) {
        logger.warn({ reason: outcome.message }, 'no certificate issued');
        throw new CallError(status[outcome.status], outcome.message);
      }
      const { certificatePem, spiffeId, notBeforeMs, notAfterMs } = outcome.certificate;
      if (outcome.endedMs !== undefined) {
        const message = `renewed with a certificate that had ended at ${new Date(outcome.endedMs).toISOString()}`;
        logger.warn({ identity: spiffeId }, message);
        events.record('identity-renewed-late', spiffeId, message);
      }
      logger.info({ identity: spiffeId, notAfterMs, renewal: request.joinToken === '' }, 'certificate issued');
      return { certificatePem, rootsPem: outcome.rootsPem, spiffeId, notBeforeMs, notAfterMs };
    }),
  };
  server.addService(identity.IdentityService, handlers);
}
