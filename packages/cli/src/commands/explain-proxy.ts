// The proxy that is asked: that of `heddle up` in the state directory, or another one of this machine. Its token is in the state directory.
import { readdirSync, readFileSync } from 'node:fs';
import { CliError } from '../errors.ts';
import { machineName } from '../machine.ts';
import type { HostPort } from '../options.ts';
import { readStateFile, requireStateDirectory } from '../state-directory.ts';
import { readUpInfo } from '../up/lock.ts';
import { callAdmin } from './proxy-admin-call.ts';

export interface AskedProxy {
  /** Of its admin API. Absent: that of `heddle up`, else port 15020. */
  readonly proxy?: HostPort;
  readonly adminTokenFile?: string;
  /** Names its token in the state directory. */
  readonly node?: string;
  readonly stateDir?: string;
}

interface Place extends HostPort {
  readonly token: string;
}

const LOOPBACK = '127.0.0.1';
const ADMIN_PORT = 15_020;
/** Proxies with workers ask these first, and wait for them up to 2 s. */
const TIMEOUT_MS = 10_000;
/** 200 instances of each of some clusters, as several workers see them, are about a megabyte. */
const ANSWER_CHARS_MAX = 64 * 1024 * 1024;
const TOKEN_FILE = /^proxy-(.+)\.token$/;

/** Throws CliError; with exit code 2 where the question is at fault. */
export async function askProxy(choice: AskedProxy, question: object): Promise<unknown> {
  const place = locate(choice);
  const where = `the proxy at ${place.host}:${place.port}`;
  const { status, text } = await callAdmin({
    ...place,
    path: '/explain',
    body: question,
    timeoutMs: TIMEOUT_MS,
    charsMax: ANSWER_CHARS_MAX,
  }).catch((error: NodeJS.ErrnoException) => {
    throw unreachable(error, place);
  });
  const answer = readJson(text);
  if (status === 200 && answer !== undefined) return answer;
  const said = (answer as { readonly error?: string } | undefined)?.error ?? '';
  if (status === 400) throw new CliError(said, undefined, { exitCode: 2 });
  if (status === 401)
    throw new CliError(`${where} refuses the token`, 'name that of this proxy: --node with --state-dir, or --admin-token-file');
  if (status === 404) throw new CliError(`${where} cannot explain: it is of an older version`, 'restart it with this one');
  throw new CliError(
    `${where} answered with ${status}${said === '' ? '' : `: ${said}`}`,
    'if it is the admin API of a proxy, see its log; else name the right one with --proxy',
  );
}

/** Whether a proxy of this name, or of this machine, was started with the state directory. */
export function hasProxyHere({ node, stateDir }: AskedProxy): boolean {
  const directory = requireStateDirectory(stateDir);
  return readStateFile(directory, `proxy-${node ?? knownNode(directory)}.token`) !== undefined;
}

function locate({ proxy, adminTokenFile, node, stateDir }: AskedProxy): Place {
  if (proxy !== undefined && !/^(?:localhost|127\.[\d.]+|::1)$/.test(proxy.host))
    // The token is not encrypted on its way.
    throw new CliError(
      `${proxy.host} is another machine, and admin APIs listen on the loopback only`,
      'run the command there, or through a tunnel of ssh (-L)',
      { exitCode: 2 },
    );
  const { host, port } = proxy ?? { host: LOOPBACK, port: ADMIN_PORT };
  if (adminTokenFile !== undefined) return { host, port, token: readToken(adminTokenFile) };
  const directory = requireStateDirectory(stateDir);
  const token = readStateFile(directory, `proxy-${node ?? knownNode(directory)}.token`);
  if (token === undefined)
    throw new CliError(
      `no proxy named ${node ?? machineName()} was started with ${directory}`,
      'name the proxy with --node (of `heddle run`: the instance), or its token with --admin-token-file',
    );
  return { host, port: proxy === undefined ? (readUpInfo(directory)?.adminPort ?? port) : port, token };
}

/** That of this machine, unless there is but one with another name. */
function knownNode(directory: string): string {
  const nodes = readdirSync(directory).flatMap((name) => TOKEN_FILE.exec(name)?.[1] ?? []);
  const own = machineName();
  const [only, another] = nodes;
  return nodes.includes(own) || only === undefined || another !== undefined ? own : only;
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(
      `the token file ${file} cannot be read: ${(error as Error).message}`,
      'it is the one of `heddle proxy --admin-token-file`',
      { cause: error },
    );
  }
}

function unreachable(error: NodeJS.ErrnoException, { host, port }: Place): CliError {
  if (error.code === 'ECONNREFUSED')
    return new CliError(
      `no proxy runs here: nothing listens on ${host}:${port}`,
      'start one with `heddle up`, `heddle run` or `heddle proxy`, or name the address of its admin API with --proxy',
      { cause: error },
    );
  return new CliError(`the proxy at ${host}:${port} gives no answer: ${error.message}`, 'see its log', { cause: error });
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
