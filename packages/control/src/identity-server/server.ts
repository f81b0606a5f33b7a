// heddle.identity.v1: certificates for workloads. What it decides is in `ca/issuer.ts`.
import { status } from '@grpc/grpc-js';
import type { Server } from '@grpc/grpc-js';
import { identity } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import { issueCertificate } from '../ca/index.ts';
import type { Authority, JoinTokens } from '../ca/index.ts';
import { unary } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';

export interface IdentityServerOptions {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly logger: Logger;
}

export function addIdentityService(server: Server, { authority, tokens, logger }: IdentityServerOptions): void {
  const handlers: identity.IdentityServer = {
    sign: unary(logger, async (request: identity.SignRequest, caller) => {
      const peerId = caller.kind === 'anonymous' ? undefined : caller.id;
      const outcome = await issueCertificate(authority, tokens, { csrDer: request.csrDer, joinToken: request.joinToken, peerId });
      if (!outcome.ok) {
        logger.warn({ reason: outcome.message }, 'no certificate issued');
        throw new CallError(status[outcome.status], outcome.message);
      }
      const { certificatePem, spiffeId, notBeforeMs, notAfterMs } = outcome.certificate;
      logger.info({ identity: spiffeId, notAfterMs, renewal: request.joinToken === '' }, 'certificate issued');
      return { certificatePem, rootsPem: outcome.rootsPem, spiffeId, notBeforeMs, notAfterMs };
    }),
  };
  server.addService(identity.IdentityService, handlers);
}
