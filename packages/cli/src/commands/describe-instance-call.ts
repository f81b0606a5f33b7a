// The call that gives one instance with the evidence that its verdict was made from.
import type { ServiceError } from '@grpc/grpc-js';
import { type admin, controlTarget, discovery } from '@heddle/api';
import { AdminClient, controlChannelCredentials, controlChannelOptions, operatorMetadata } from '@heddle/api/grpc-js';
import { controlPlaneId, formatSpiffeId } from '@heddle/core';
import type { Instance } from '@heddle/core';
import { explainCall } from '../control-client.ts';
import { connectableAddress, readStateFile, type ControlInfo } from '../state-directory.ts';

export interface Evidence {
  /** As it is now. */
  readonly instance: Instance;
  /** The worst first. */
  readonly reasons: readonly admin.VerdictReasonMessage[];
}

const DEADLINE_MS = 5_000;

/** @param directory state directory of the control plane `info`. Throws CliError. */
export async function evidenceOf(
  { service, id }: Pick<Instance, 'service' | 'id'>,
  directory: string,
  info: ControlInfo,
): Promise<Evidence> {
  const rootsPem = readStateFile(directory, 'ca', 'roots.pem') ?? readStateFile(directory, 'ca', 'root.pem') ?? '';
  const token = readStateFile(directory, 'operator.token') ?? '';
  const credentials = controlChannelCredentials({ rootsPem, expectedSpiffeId: formatSpiffeId(controlPlaneId(info.trustDomain)) });
  const client = new AdminClient(controlTarget(connectableAddress(info.address), info.port), credentials, controlChannelOptions());
  const request = { namespace: service.namespace, service: service.name, instance: id };
  try {
    const { instance, reasons } = await new Promise<admin.GetInstanceResponse>((resolve, reject) => {
      const done = (error: ServiceError | null, response: admin.GetInstanceResponse): void =>
        error === null ? resolve(response) : reject(explainCall(error, info));
      client.getInstance(request, operatorMetadata(token), { deadline: Date.now() + DEADLINE_MS }, done);
    });
    return { instance: discovery.instanceFromMessage(instance!), reasons };
  } finally {
    client.close();
  }
}
