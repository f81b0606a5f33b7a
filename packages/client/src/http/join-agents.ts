// Every http.Agent keeps its pool, its limits and its events: only where it opens a connection to a host of the mesh, that leads into the mesh. These
// two methods of the prototype are what all agents have in common, the application's own ones and those of libraries.
import http from 'node:http';
import type { Duplex } from 'node:stream';
import { nodeClock } from '@heddle/runtime/process';
import type { Mesh } from '../plane/mesh.ts';
import type { Undo } from '../undo.ts';
import { type AgentConnectOptions, connectToMesh, MeshAgent } from './mesh-agent.ts';

type OnSocket = (error: Error | null, socket?: Duplex) => void;
type RequestOptions = AgentConnectOptions & { readonly socketPath?: string | null };

interface AgentMethods {
  addRequest: (this: http.Agent, request: http.ClientRequest, options: RequestOptions | string, ...rest: unknown[]) => void;
  createSocket: (this: http.Agent, request: http.ClientRequest, options: RequestOptions, done: OnSocket) => void;
}

/** Of agents that make their way to the server themselves, as those for HTTP proxies do. */
interface OwnWay {
  connect?: unknown;
}

export function joinAgents(mesh: Mesh): Undo {
  const prototype = http.Agent.prototype as unknown as AgentMethods;
  const { addRequest, createSocket } = prototype;
  const shared = new MeshAgent(mesh);
  let isOn = true;

  const isMesh = (request: http.ClientRequest, options: RequestOptions | string): options is RequestOptions => {
    if (!isOn || typeof options !== 'object' || options === null || options.socketPath || request.protocol !== 'http:') return false;
    return mesh.serves(authorityOf(options));
  };

  function addMeshRequest(this: http.Agent, request: http.ClientRequest, options: RequestOptions | string, ...rest: unknown[]): void {
    if (!isMesh(request, options)) return addRequest.call(this, request, options, ...rest);
    const goesItsWay =
      typeof (this as OwnWay).connect === 'function' && (this as unknown as AgentMethods).createSocket !== createMeshSocket;
    if (!mesh.isReady && (request as { timeout?: number }).timeout) timeOutUntilSocket(request);
    addRequest.call(goesItsWay ? shared : this, request, options, ...rest);
  }

  function createMeshSocket(this: http.Agent, request: http.ClientRequest, options: RequestOptions, done: OnSocket): void {
    if (this instanceof MeshAgent || !isMesh(request, options)) return createSocket.call(this, request, options, done);
    // The method calls it before it returns.
    const own = Object.getOwnPropertyDescriptor(this, 'createConnection');
    Object.defineProperty(this, 'createConnection', {
      value: (connect: AgentConnectOptions, onConnection: OnSocket) => connectToMesh(mesh, connect, onConnection, request),
      configurable: true,
    });
    try {
      createSocket.call(this, request, options, done);
    } finally {
      if (own === undefined) delete (this as { createConnection?: unknown }).createConnection;
      else Object.defineProperty(this, 'createConnection', own);
    }
  }

  prototype.addRequest = addMeshRequest;
  prototype.createSocket = createMeshSocket;
  return () => {
    isOn = false;
    if (prototype.addRequest === addMeshRequest) prototype.addRequest = addRequest;
    if (prototype.createSocket === createMeshSocket) prototype.createSocket = createSocket;
    shared.destroy();
  };
}

export function authorityOf({ host, port }: AgentConnectOptions): string {
  const name = host ?? 'localhost';
  return port === undefined || port === null || Number(port) === 80 ? name : `${name}:${port}`;
}

/** As with a socket that is being connected: the time counts from now on. */
function timeOutUntilSocket(request: http.ClientRequest): void {
  const timer = nodeClock.after((request as unknown as { timeout: number }).timeout, () => request.emit('timeout'));
  const stop = (): void => timer.cancel();
  request.once('socket', stop).once('close', stop);
}
