// The proxy of this machine, asked which workloads it hosts on which ports and which services there are.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { readVirtualServices, readWorkloads } from '@heddle/proxy/capture';
import { CliError } from '../errors.ts';
import { machineName } from '../machine.ts';
import { readStateFile, requireStateDirectory } from '../state-directory.ts';
import { readUpInfo } from '../up/lock.ts';
import { callAdmin } from './proxy-admin-call.ts';

export interface ProxyChoice {
  readonly adminPort?: number;
  readonly adminTokenFile?: string;
  /** Name of the proxy in the mesh: names its token in the state directory. */
  readonly node?: string;
  readonly stateDir?: string;
}

export interface ProxyFacts {
  readonly workloads: ReturnType<typeof readWorkloads>;
  readonly services: ReturnType<typeof readVirtualServices>;
}

const LOOPBACK = '127.0.0.1';
const ADMIN_PORT = 15_020;
const TIMEOUT_MS = 5_000;
/** The configuration of a proxy in a mesh of ten thousand services is about a fifth of it. */
const ANSWER_CHARS_MAX = 256 * 1024 * 1024;

/** Throws CliError or CaptureError. */
export async function askProxy(choice: ProxyChoice): Promise<ProxyFacts> {
  const { port, token } = locate(choice);
  const workloads = readWorkloads(await get(port, token, '/workloads'));
  return { workloads, services: readVirtualServices(await get(port, token, '/config_dump')) };
}

function locate({ adminPort, adminTokenFile, node, stateDir }: ProxyChoice): { port: number; token: string } {
  if (adminTokenFile !== undefined) return { port: adminPort ?? ADMIN_PORT, token: readToken(adminTokenFile) };
  const directory = stateDirectory(stateDir);
  const name = node ?? machineName();
  const file = `proxy-${name}.token`;
  const token = readStateFile(directory, file);
  if (token === undefined) {
    throw new CliError(
      `no proxy named ${name} was started with ${directory}: it holds no ${file}`,
      'name the proxy with --node (of `heddle run`: the instance), or its token with --admin-token-file',
    );
  }
  return { port: adminPort ?? readUpInfo(directory)?.adminPort ?? ADMIN_PORT, token };
}

/** Root may use the mesh of another user, but only one that was named: what is found by itself could be anybody's. */
function stateDirectory(given: string | undefined): string {
  const root = process.getuid?.() === 0;
  if (root && given !== undefined) return resolve(given);
  try {
    return requireStateDirectory(given);
  } catch (error) {
    if (!root || !(error instanceof CliError)) throw error;
    throw new CliError(
      error.message,
      'name the state directory of the mesh with --state-dir, or the token of the proxy with --admin-token-file',
      {
        cause: error,
      },
    );
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(
      `the token file ${file} cannot be read: ${(error as Error).message}`,
      'it is the one of `heddle proxy --admin-token-file`',
      {
        cause: error,
      },
    );
  }
}

async function get(port: number, token: string, path: string): Promise<unknown> {
  const where = `the proxy on port ${port}`;
  let answer: { status: number; text: string };
  try {
    answer = await callAdmin({ host: LOOPBACK, port, token, path, timeoutMs: TIMEOUT_MS, charsMax: ANSWER_CHARS_MAX });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') {
      throw new CliError(
        `no proxy runs on this machine: nothing listens on ${LOOPBACK}:${port}`,
        'start one with `heddle up`, `heddle run` or `heddle proxy`, or name the port of its admin API with --admin-port',
        { cause: error },
      );
    }
    throw new CliError(`${where} gives no answer to ${path}: ${(error as Error).message}`, 'see its log', { cause: error });
  }
  const { status, text } = answer;
  if (status === 401)
    throw new CliError(`${where} refuses the token`, 'name the token file of that proxy: --admin-token-file, or --node with --state-dir');
  if (status === 404) {
    throw new CliError(
      `${where} hosts no workloads: it was started with --static`,
      'virtual addresses belong to a mesh: use a proxy that has a control plane',
    );
  }
  if (status !== 200) throw new CliError(`${where} answered ${path} with ${status}`, 'see its log');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(`port ${port} is not the admin API of a proxy: it does not answer in JSON`, 'name the port with --admin-port', {
      cause: error,
    });
  }
}
