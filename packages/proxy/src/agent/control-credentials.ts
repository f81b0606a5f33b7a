// With what a certified workload calls the control plane of its mesh.
import { controlChannelCredentials, type ControlCredentials } from '@heddle/api';
import { controlPlaneId, formatSpiffeId } from '@heddle/core';
import type { HeldIdentity } from '../identity/index.ts';

export function controlCredentials(held: HeldIdentity): ControlCredentials {
  const { rootsPem, certificatePem, keyPem, id } = held;
  return controlChannelCredentials({ rootsPem, certificatePem, keyPem, expectedSpiffeId: formatSpiffeId(controlPlaneId(id.trustDomain)) });
}
