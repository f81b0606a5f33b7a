// Joins node:http, https, http2, net and tls to the mesh.
import type http from 'node:http';
import type { Logger } from '@heddle/runtime';
import { stderrLogger } from '../plane/logger.ts';
import type { Mesh } from '../plane/mesh.ts';
import type { Undo } from '../undo.ts';
import { joinAgents } from './join-agents.ts';
import { joinSockets } from './join-sockets.ts';
import { MeshAgent } from './mesh-agent.ts';

export type { ConnectError } from './mesh-errors.ts';
export { MeshAgent } from './mesh-agent.ts';

export interface JoinHttpOptions {
  /** Hears at level info what cannot be joined. Default: lines on standard error, from level warn on. */
  readonly logger?: Logger;
}

const joined = new WeakMap<Mesh, Undo>();

/**
 * From now on `http.request` and all that is built upon it, with whatever agent, and sockets by `net.connect` and `tls.connect`, reach hosts that the
 * mesh serves through the mesh. Others go their usual way. Again: nothing.
 * @returns what takes it back.
 */
export function joinHttp(mesh: Mesh, { logger = stderrLogger('warn') }: JoinHttpOptions = {}): Undo {
  const before = joined.get(mesh);
  if (before !== undefined) return before;
  const undoAgents = joinAgents(mesh);
  const undoSockets = joinSockets(mesh, logger);
  const undo = (): void => {
    if (joined.get(mesh) !== undo) return;
    joined.delete(mesh);
    undoAgents();
    undoSockets();
  };
  joined.set(mesh, undo);
  return undo;
}

/** An agent for `http.request` all of whose requests go through the mesh. Options as of http.Agent; `keepAlive` is true by default. */
export function meshAgent(mesh: Mesh, options?: http.AgentOptions): MeshAgent {
  return new MeshAgent(mesh, options);
}
