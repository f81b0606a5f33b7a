// Joins fetch, WebSocket, EventSource and undici to the mesh.
import type { Logger } from '@heddle/runtime';
import { stderrLogger } from '../plane/logger.ts';
import type { Mesh } from '../plane/mesh.ts';
import type { Undo } from '../undo.ts';
import { hasJoinedSockets, joinSockets } from '../http/join-sockets.ts';
import { MeshDispatcher, type MeshDispatcherOptions } from './dispatcher.ts';
import type { Dispatching } from './types.ts';

export { MeshDispatcher, type MeshDispatcherOptions } from './dispatcher.ts';
export type { Controller, DispatchHandler, Dispatching, DispatchOptions, ResponseHeaders } from './types.ts';
export { DispatchError, type DispatchErrorCode } from './undici-errors.ts';

export interface JoinFetchOptions {
  /** Hears at level info what cannot be joined. Default: lines on standard error, from level warn on. */
  readonly logger?: Logger;
}

/** Where undici, inside Node or installed, keeps its global dispatcher: of its versions 8, and 5 to 7. */
const PLACES = [Symbol.for('undici.globalDispatcher.2'), Symbol.for('undici.globalDispatcher.1')] as const;

type Places = Record<symbol, Dispatching | undefined>;

const joined = new WeakMap<Mesh, Undo>();

/**
 * From now on `fetch`, `WebSocket`, `EventSource` and undici's functions reach hosts that the mesh serves through the mesh, unless they are given a
 * dispatcher of their own. Others go their usual way. Again: nothing.
 * @returns what takes it back; a global dispatcher that somebody has set since stays.
 */
export function joinFetch(mesh: Mesh, { logger = stderrLogger('warn') }: JoinFetchOptions = {}): Undo {
  const before = joined.get(mesh);
  if (before !== undefined) return before;
  const undoSockets = joinSockets(mesh, logger);
  const places = globals();
  const undos = PLACES.map((place) => joinAt(mesh, places, place));
  const undo = (): void => {
    if (joined.get(mesh) !== undo) return;
    joined.delete(mesh);
    for (const each of undos) each();
    undoSockets();
  };
  joined.set(mesh, undo);
  return undo;
}

/** A dispatcher for one `fetch(url, { dispatcher })`, for undici's functions, or for its `setGlobalDispatcher`. */
export function meshDispatcher(mesh: Mesh, options: MeshDispatcherOptions = {}): MeshDispatcher {
  const places = globals();
  const others = options.others ?? places[PLACES[0]] ?? places[PLACES[1]];
  if (others === undefined) throw new TypeError('there is no global dispatcher: give `others`');
  return new MeshDispatcher(mesh, { ...options, others }, () => hasJoinedSockets(mesh));
}

function joinAt(mesh: Mesh, places: Places, place: symbol): Undo {
  const others = places[place];
  if (others === undefined) return () => {};
  const dispatcher = new MeshDispatcher(mesh, { others }, () => hasJoinedSockets(mesh));
  places[place] = dispatcher;
  return () => {
    if (places[place] === dispatcher) places[place] = others;
    // Who holds it, or has built upon it, goes on without the mesh.
    dispatcher.leaveMesh();
  };
}

function globals(): Places {
  // Looking at one of its classes makes Node load its undici, which sets the global dispatcher if there is none.
  void globalThis.Headers;
  return globalThis as unknown as Places;
}
