// The data plane of the instance, in this process: everything that is heavy is loaded from here, once it is needed.
import type { Logger } from '@heddle/runtime';
import type { InsideServers } from '@heddle/runtime/inside';
import { readSettings } from '../plane/options.ts';
import { ProcessMesh } from '../plane/start.ts';

export interface OwnOptions {
  readonly servers: InsideServers;
  readonly logger: Logger;
}

/** @throws MeshError `BAD_OPTIONS` */
export function own({ servers, logger }: OwnOptions): ProcessMesh {
  const { env } = process;
  const settings = { ...readSettings({}, env, String(process.pid)), logger };
  const mesh = new ProcessMesh(settings, servers);
  // It works once, and processes that this one starts have no use for it.
  delete env['HEDDLE_JOIN_TOKEN'];
  // It has nothing left to do: callers are told before it is gone.
  if (settings.isCalled) process.once('beforeExit', () => void mesh.stop());
  void mesh.openDoor().then(
    (url) => {
      env['HEDDLE_DOOR'] = url;
    },
    (error: unknown) =>
      logger.warn({ reason: (error as Error).message }, 'programs that this one starts have no way into the mesh (HEDDLE_DOOR)'),
  );
  return mesh;
}
