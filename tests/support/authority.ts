// What an operator asks of the certificate authority of a control plane that runs, wherever it runs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import { type admin, controlTarget } from '@heddle/api';
import { AdminClient, controlChannelCredentials, controlChannelOptions, operatorMetadata } from '@heddle/api/grpc-js';
import { controlPlaneId, formatSpiffeId } from '@heddle/core';
import type { ControlRef } from './planes.ts';

/** The control plane with all roots that it is trusted by now: they change while a root is replaced. */
export function withRootsOf<T extends ControlRef>(running: T, stateDir: string): T {
  return { ...running, rootsPem: readFileSync(join(stateDir, 'ca', 'roots.pem'), 'utf8') };
}

/** Calls one method as the operator. Rejects with ServiceError. */
export async function adminCall<T>(
  running: ControlRef,
  call: (
    client: AdminClient,
    metadata: ReturnType<typeof operatorMetadata>,
    done: (error: ServiceError | null, response: T) => void,
  ) => void,
): Promise<T> {
  const credentials = controlChannelCredentials({
    rootsPem: running.rootsPem,
    expectedSpiffeId: formatSpiffeId(controlPlaneId(running.trustDomain)),
  });
  const client = new AdminClient(controlTarget(running.address, running.port), credentials, controlChannelOptions());
  try {
    return await new Promise<T>((resolve, reject) => {
      call(client, operatorMetadata(running.operatorToken), (error, response) => (error === null ? resolve(response) : reject(error)));
    });
  } finally {
    client.close();
  }
}

export async function authorityOf(running: ControlRef): Promise<admin.AuthorityMessage> {
  const { authority } = await adminCall<admin.GetAuthorityResponse>(running, (client, metadata, done) =>
    client.getAuthority({}, metadata, done),
  );
  return authority as admin.AuthorityMessage;
}

export async function rotate(
  running: ControlRef,
  step: string,
  { force = false, automatic = false }: { readonly force?: boolean; readonly automatic?: boolean } = {},
): Promise<admin.AuthorityMessage> {
  const { authority } = await adminCall<admin.RotateRootResponse>(running, (client, metadata, done) =>
    client.rotateRoot({ step, force, automatic }, metadata, done),
  );
  return authority as admin.AuthorityMessage;
}

export function identitiesOf(running: ControlRef): Promise<admin.ListIdentitiesResponse> {
  return adminCall(running, (client, metadata, done) => client.listIdentities({}, metadata, done));
}
