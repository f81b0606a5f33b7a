// How the load reaches the control plane: the operator by the token, workloads by a certificate that a join token got them.
import type { ServiceError } from '@grpc/grpc-js';
import { type admin, controlTarget, type identity } from '@heddle/api';
import { AdminClient, controlChannelCredentials, controlChannelOptions, IdentityClient, operatorMetadata } from '@heddle/api/grpc-js';
import { createCsr, generateKeyPair } from '@heddle/runtime/node';

export interface Access {
  readonly address: string;
  readonly port: number;
  readonly trustDomain: string;
  readonly rootsPem: string;
  readonly token: string;
}

export function operatorChannel(access: Access): { target: string; credentials: ReturnType<typeof controlChannelCredentials> } {
  const expectedSpiffeId = `spiffe://${access.trustDomain}/ns/heddle-system/svc/control`;
  const { rootsPem, address, port } = access;
  return { target: controlTarget(address, port), credentials: controlChannelCredentials({ rootsPem, expectedSpiffeId }) };
}

export interface Certificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** A certificate for each service, in order. */
export async function join(access: Access, services: readonly string[]): Promise<Certificate[]> {
  const { target, credentials } = operatorChannel(access);
  const operator = new AdminClient(target, credentials, controlChannelOptions());
  const stranger = new IdentityClient(target, credentials, controlChannelOptions());
  const metadata = operatorMetadata(access.token);
  const joinOne = async (service: string): Promise<Certificate> => {
    const { token } = await unary<admin.CreateTokenResponse>((done) =>
      operator.createToken({ namespace: 'default', service, ttlMs: 60_000 }, metadata, done),
    );
    const key = generateKeyPair();
    const { certificatePem } = await unary<identity.SignResponse>((done) =>
      stranger.sign({ csrDer: Buffer.from(createCsr(key)), joinToken: token, lateRenewal: undefined }, done),
    );
    return { certificatePem, keyPem: key.keyPem };
  };
  const certificates = await inParallel(services, 32, joinOne);
  operator.close();
  stranger.close();
  return certificates;
}

function unary<Response>(call: (done: (error: ServiceError | null, response: Response) => void) => unknown): Promise<Response> {
  return new Promise((resolve, reject) => call((error, response) => (error === null ? resolve(response) : reject(error))));
}

export async function inParallel<T, U>(items: readonly T[], width: number, run: (item: T, index: number) => Promise<U>): Promise<U[]> {
  const results: U[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await run(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
