// heddle.admin.v1: the mesh file that holds, weights of splits, and how far data planes are with what follows from them.
import type { ServerWritableStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { admin } from '@heddle/api';
import type { AdminServer } from '@heddle/api/grpc-js';
import { serviceKey } from '@heddle/core';
import type { Problem } from '@heddle/core/config';
import type { Doer } from '../audit/entry.ts';
import { drainTimeoutMs } from '../drain/message.ts';
import type { MeshFileDesk } from '../mesh-file/desk.ts';
import type { Difference } from '../mesh-file/difference.ts';
import { MeshFileError } from '../mesh-file/read.ts';
import type { SplitView } from '../mesh-file/splits.ts';
import { RegistryError } from '../registry/errors.ts';
import { unary } from '../server/handlers.ts';
import type { SyncDesk } from '../xds-server/sync-desk.ts';
import { tellProgress } from './progress.ts';
import type { ProgressOptions } from './progress.ts';

export interface MeshFileServerOptions extends ProgressOptions {
  readonly meshFile: MeshFileDesk;
  readonly syncs: SyncDesk;
}

const WEIGHT_MAX = 1_000_000;

export function meshFileHandlers(
  options: MeshFileServerOptions,
): Pick<AdminServer, 'getMeshFile' | 'applyMeshFile' | 'listSplits' | 'setSplit' | 'followSync'> {
  const { meshFile, syncs, logger } = options;
  return {
    getMeshFile: unary(logger, () => getMeshFile(meshFile)),
    applyMeshFile: unary(logger, (request: admin.ApplyMeshFileRequest, _, by) => applyMeshFile(request, meshFile, by)),
    listSplits: unary(logger, ({ namespace, service }: admin.ListSplitsRequest) => ({
      splits: meshFile.splits({ namespace: namespace || undefined, name: service || undefined }).map(splitToMessage),
    })),
    setSplit: unary(logger, (request: admin.SetSplitRequest, _, by) => setSplit(request, meshFile, by)),
    followSync: (call: ServerWritableStream<admin.FollowSyncRequest, admin.FollowSyncResponse>) =>
      void tellProgress(call, options, (onStep) => syncs.begin(drainTimeoutMs(call.request.timeoutMs, 'timeout_ms'), onStep)),
  };
}

function getMeshFile(meshFile: MeshFileDesk): admin.GetMeshFileResponse {
  const { revision, origin, path, text = '', applied, splits, differences } = meshFile.status();
  return {
    ...{ revision, origin, path, text, appliedMs: applied?.timeMs ?? 0, appliedBy: applied?.by ?? '' },
    splits: splits.map(splitToMessage),
    differences: differences.map(differenceToMessage),
  };
}

async function applyMeshFile(
  { text, files, dryRun, expectedRevision }: admin.ApplyMeshFileRequest,
  meshFile: MeshFileDesk,
  by: Doer,
): Promise<admin.ApplyMeshFileResponse> {
  try {
    const change = await meshFile.apply({ text, files }, by, { expectedRevision, isDryRun: dryRun });
    return {
      isValid: true,
      fileRevision: change.revision,
      revision: change.registryRevision,
      changes: change.changes.map(differenceToMessage),
      notes: [...change.notes],
      problems: change.problems.map(problemToMessage),
    };
  } catch (error) {
    if (!(error instanceof MeshFileError)) throw error;
    return { isValid: false, fileRevision: 0, revision: 0, changes: [], notes: [], problems: error.problems.map(problemToMessage) };
  }
}

async function setSplit(
  { namespace, service, route, weights, expectedRevision }: admin.SetSplitRequest,
  meshFile: MeshFileDesk,
  by: Doer,
): Promise<admin.SetSplitResponse> {
  const key = serviceKey({ namespace: discovery.namespaceOrDefault(namespace), name: discovery.nameFromMessage(service, 'service') });
  const wanted = weights.map(({ service: to, labels, weight }) => {
    if (weight > WEIGHT_MAX) throw new RegistryError('INVALID', `weights: at most ${WEIGHT_MAX}, not ${weight}`);
    return { service: to === '' ? undefined : to, labels: Object.keys(labels).length === 0 ? undefined : labels, weight };
  });
  const { split, before, revision, registryRevision } = await meshFile.setSplit(key, route, wanted, by, expectedRevision);
  return { split: splitToMessage(split), before: splitToMessage(before), fileRevision: revision, revision: registryRevision };
}

function splitToMessage({ service, rule, to, inFile }: SplitView): admin.SplitMessage {
  return {
    service,
    route: rule,
    weights: to.map(({ service: ref, labels, weight }, index) => ({
      ...{ service: serviceKey(ref), labels: { ...labels }, weight },
      weightInFile: inFile?.[index],
    })),
  };
}

function differenceToMessage({ rule = '', fields, ...rest }: Difference): admin.DifferenceMessage {
  const json = (value: unknown): string => (value === undefined ? '' : JSON.stringify(value));
  return { ...rest, rule, fields: fields.map(({ path, before, after }) => ({ path, before: json(before), after: json(after) })) };
}

function problemToMessage({ severity, line, column, where, reason, mend }: Problem): admin.ApplyMeshFileResponse['problems'][number] {
  return { severity, line, column, where, reason, mend };
}
