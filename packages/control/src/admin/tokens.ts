// Join tokens as the operator asks for them, by gRPC and by REST.
import { SYSTEM_NAMESPACE, serviceKey } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import type { Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { JoinTokens } from '../ca/index.ts';
import type { EventSink } from '../events/sink.ts';
import { RegistryError } from '../registry/errors.ts';
import type { Registry } from '../registry/registry.ts';

export interface TokenDesk {
  readonly registry: Registry;
  readonly tokens: JoinTokens;
  readonly events: EventSink;
  readonly audit: AuditLog;
  readonly logger: Logger;
}

/** Throws RegistryError NOT_FOUND for a service that is not declared, JoinTokenRequestError, StoreError. `ttlMs` 0: the default. */
export async function createJoinToken(
  service: ServiceRef,
  ttlMs: number,
  { registry, tokens, events, audit, logger }: TokenDesk,
  by: Doer,
): Promise<{ readonly token: string; readonly notAfterMs: number }> {
  if (service.namespace !== SYSTEM_NAMESPACE && registry.service(serviceKey(service)) === undefined)
    throw new RegistryError('NOT_FOUND', `there is no service ${serviceKey(service)}; add it to the mesh file first, or correct the name`);
  const created = await audit.change(by, 'create-join-token', serviceKey(service), async () => {
    const result = await tokens.create({ namespace: service.namespace, service: service.name, ...(ttlMs === 0 ? {} : { ttlMs }) });
    return { result, after: { service: serviceKey(service), notAfter: new Date(result.notAfterMs).toISOString() } };
  });
  logger.info({ service: serviceKey(service), notAfterMs: created.notAfterMs }, 'join token created');
  events.record(
    'token-created',
    serviceKey(service),
    `a join token was made; it can be used once, until ${new Date(created.notAfterMs).toISOString()}`,
  );
  return created;
}
