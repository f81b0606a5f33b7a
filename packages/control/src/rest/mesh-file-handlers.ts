// Operations on the mesh file that holds, and on weights of splits.
import type { Split } from '../mesh-file/splits.ts';
import type { Handlers } from './handler.ts';
import { time } from './present.ts';

type MeshFileOperation = 'getMeshFile' | 'applyMeshFile' | 'listSplits' | 'setSplit';

export const meshFileHandlers: Pick<Handlers, MeshFileOperation> = {
  getMeshFile: (_, { meshFile }) => {
    const { applied, splits, ...status } = meshFile.status();
    const value = {
      ...status,
      ...(applied && { applied: { time: time(applied.timeMs), by: applied.by } }),
      splits: splits.map(present),
    };
    return { status: 200, value, tag: String(status.revision) };
  },
  applyMeshFile: async ({ query, body, text }, { meshFile }, { expectedRevision }, by) => {
    const sent = 'text' in body ? body : { text, files: {} };
    const { revision, registryRevision, ...change } = await meshFile.apply(sent, by, {
      expectedRevision,
      isDryRun: query.dryRun !== 'false',
    });
    return { status: 200, value: { revision: registryRevision, fileRevision: revision, ...change }, tag: String(revision) };
  },
  listSplits: ({ query }, { meshFile }) => {
    const splits = meshFile.splits({ namespace: query.namespace, name: query.service });
    return { status: 200, value: { items: splits.map((split) => ({ ...present(split), ...(split.inFile && { inFile: split.inFile }) })) } };
  },
  setSplit: async ({ path, body }, { meshFile }, { expectedRevision }, by) => {
    const key = `${path.namespace}/${path.service}`;
    const { split, revision, registryRevision } = await meshFile.setSplit(key, path.route, body.weights, by, expectedRevision);
    return { status: 200, value: { revision: registryRevision, fileRevision: revision, ...present(split) }, tag: String(revision) };
  },
};

function present({ service, rule, to }: Split): object {
  return { service, route: rule, weights: to };
}
