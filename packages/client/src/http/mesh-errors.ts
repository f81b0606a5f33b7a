// What keeps a connection from being made, in the style of Node's sockets.
import { constants } from 'node:os';

export interface ConnectError extends Error {
  code: string;
  errno: number;
  syscall: string;
  host: string;
  port: number;
  /** The mesh's code: of the error table, or of MeshError. */
  meshCode: string;
}

/** @param detail why, in words */
export function connectError(host: string, port: number, meshCode: string, detail: string, cause?: unknown): ConnectError {
  const error = new Error(`connect ECONNREFUSED ${host}:${port}: ${meshCode}: ${detail}`, cause === undefined ? undefined : { cause });
  return Object.assign(error, {
    code: 'ECONNREFUSED',
    errno: -constants.errno.ECONNREFUSED,
    syscall: 'connect',
    host,
    port,
    meshCode,
  });
}

/** Of what `ready` was rejected with. */
export function notReadyError(host: string, port: number, reason: unknown): ConnectError {
  const { code = 'NOT_READY', message = String(reason) } = reason as { code?: string; message?: string };
  return connectError(host, port, code, message, reason);
}
