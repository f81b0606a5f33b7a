// The `nft` program: runs it and says in words what is missing when it cannot do its work.
import { spawn } from 'node:child_process';
import { type InstalledTable, readInstalled, TABLE } from '@heddle/proxy/capture';
import { CliError } from '../errors.ts';

/** A listing of every service of a large mesh. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Where it lies on most systems, which the PATH of users other than root leaves out. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/sbin:/sbin';

/** Throws CliError on systems without nftables. */
export function requireLinux(platform: NodeJS.Platform = process.platform): void {
  if (platform === 'linux') return;
  throw new CliError(
    `calls can be captured on Linux only, and this is ${platform}`,
    'let programs find services by the *_URL variables or by HTTP_PROXY, which `heddle up` and `heddle run` set',
  );
}

/** Undefined when nothing is installed. Throws CliError. */
export async function readTable(): Promise<InstalledTable | undefined> {
  const { code, stdout, stderr } = await nft(['-j', 'list', 'table', 'ip', TABLE]);
  if (code === 0) return readInstalled(JSON.parse(stdout));
  if (/No such file or directory/.test(stderr)) return undefined;
  throw explain(stderr, 'the rules of the kernel cannot be read');
}

/** Runs a script whole or not at all. Throws CliError. */
export async function runScript(script: string): Promise<void> {
  const { code, stderr } = await nft(['-f', '-'], script);
  if (code !== 0) throw explain(stderr, 'the rules cannot be installed');
}

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function nft(args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', args, { env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C' } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.length > OUTPUT_BYTES_MAX) child.kill();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error: NodeJS.ErrnoException) => reject(notRun(error)));
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    // It may end before it has read everything: what it says then counts.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** Why the program did not even start. */
export function notRun(error: NodeJS.ErrnoException): CliError {
  if (error.code === 'ENOENT')
    return new CliError('nft is not installed', 'apt-get install nftables (Debian, Ubuntu), or the package nftables of your system', {
      cause: error,
    });
  return new CliError(`nft cannot be run: ${error.message}`, undefined, { cause: error });
}

/** What the kernel said through nft. */
export function explain(stderr: string, what: string): CliError {
  if (/Operation not permitted|Permission denied|must be root/.test(stderr)) {
    return new CliError(
      `${what}: that needs the privilege CAP_NET_ADMIN`,
      'run it as root, with --state-dir or --admin-token-file; or run `heddle capture apply --dry-run` as yourself and give what it prints to `nft -f -` as root',
    );
  }
  // The kernel answers so when a family, a kind of chain or an expression is not in it, nor in a module that can be loaded.
  if (/Operation not supported|Protocol not supported|No such file or directory/.test(stderr)) {
    return new CliError(
      `${what}: this kernel has no nftables with address translation (${firstLine(stderr)})`,
      'load the modules nf_tables, nft_chain_nat, nft_nat and nft_reject_ipv4 (in a container: on its host), or use a kernel built with NF_TABLES, NFT_NAT and NFT_REJECT_IPV4',
    );
  }
  return new CliError(`${what}: nft said: ${firstLine(stderr)}`, 'see whether `nft list ruleset` works; nft must be 1.0 or newer');
}

function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0] ?? '';
}
