// The API of the data plane for whoever looks after it, `heddle explain` for example: only where the environment asks for it.
import { readFileSync } from 'node:fs';
import { type AdminServer, startAdminServer, type AdminServerOptions } from '@heddle/dataplane/admin';
import { MeshError } from '../errors.ts';

export interface AdminPlace {
  /** On the loopback. */
  readonly port: number;
  /** File that holds its bearer token. */
  readonly tokenFile: string;
}

const LOOPBACK = '127.0.0.1';

/** Rejects with MeshError `BAD_OPTIONS`, or NetworkError when the port cannot be had. */
export async function openAdmin(
  { port, tokenFile }: AdminPlace,
  options: Omit<AdminServerOptions, 'listen' | 'token' | 'isBackground'>,
): Promise<AdminServer> {
  const listen = { address: LOOPBACK, port };
  return await startAdminServer({ ...options, listen, token: tokenOf(tokenFile), isBackground: true });
}

function tokenOf(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new MeshError('BAD_OPTIONS', `the admin token (HEDDLE_ADMIN_TOKEN_FILE) cannot be read: ${(error as Error).message}`, error);
  }
  if (token === '') throw new MeshError('BAD_OPTIONS', `${file} (HEDDLE_ADMIN_TOKEN_FILE) holds no token`);
  return token;
}
