// An authority elsewhere, behind a command: the request goes to its standard input, the certificate with its chain comes from its standard
// output. What comes is believed in nothing: key, identity, names, life and way to the root are looked at before it is given out.
import { spawn } from 'node:child_process';
import { encodePem, ipBytes } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { certificateMatchesKey, INTERMEDIATES_MAX, pathToRoot, pinOfKey, readChain, verifyLeaf } from '@heddle/runtime/node';
import { AuthorityError, type AuthorityOptions, type CaSource, CLOCK_SKEW_MS } from './authority-options.ts';
import { PASSPHRASE_VARIABLE } from './passphrase.ts';
import type { LeafRequest, SignedLeaf, Signer } from './signer.ts';

/** Authorities behind a network answer within a second or two; data planes wait some seconds for theirs. */
const TIMEOUT_MS = 10_000;
/** Commands at once: each is a process of its own. */
const RUNNING_MAX = 4;
/** Requests that wait for one of these; data planes ask again later. */
const WAITING_MAX = 1_000;
/** A chain of eight certificates has some 12 kB. */
const OUTPUT_BYTES_MAX = 65_536;
/** For the log. */
const ERROR_BYTES_MAX = 4_096;

type CommandSource = Extract<CaSource, { kind: 'command' }>;

export interface CommandSignerOptions extends Pick<AuthorityOptions, 'clock' | 'logger' | 'trustDomain'> {
  readonly source: CommandSource;
  /** As they are at each request: the file of roots may change. */
  readonly trusted: { readonly rootsPem: string };
}

export class CommandSigner implements Signer {
  /** Known from what it signs alone. */
  readonly rootPin = undefined;
  readonly #options: CommandSignerOptions;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #intermediates: readonly Uint8Array[] = [];

  constructor(options: CommandSignerOptions) {
    this.#options = options;
  }

  get notAfterMs(): number {
    return Math.max(...readChain(this.#options.trusted.rootsPem).map(({ facts }) => facts.notAfterMs));
  }

  get intermediates(): readonly Uint8Array[] {
    return this.#intermediates;
  }

  async issue(request: LeafRequest): Promise<SignedLeaf> {
    await this.#enter();
    try {
      const output = await this.#run(request);
      const signed = checkOutput(output, request, this.#options);
      this.#intermediates = signed.intermediates;
      return signed;
    } catch (error) {
      // What a command writes is for the log of this machine, not for whoever asks for a certificate.
      this.#options.logger.error(
        { identity: request.uri, error: (error as Error).message },
        'the command of --ca-command gave no certificate',
      );
      throw new AuthorityError(
        'SIGNER_FAILED',
        'the authority behind the control plane gave no certificate; the log of the control plane says why',
        error,
      );
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running >= RUNNING_MAX) {
      if (this.#waiting.length >= WAITING_MAX)
        throw new AuthorityError(
          'SIGNER_FAILED',
          `${WAITING_MAX} requests wait for the authority behind the control plane already; try again`,
        );
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
  }

  #run(request: LeafRequest): Promise<string> {
    const { source, clock, logger } = this.#options;
    const { timeoutMs = TIMEOUT_MS } = source;
    return runCommand({
      command: source.command,
      environment: environmentOf(request, this.#options.trustDomain),
      input: encodePem('CERTIFICATE REQUEST', request.csrDer),
      timeoutMs,
      clock,
      logger,
    });
  }
}

function environmentOf({ uri, nowMs, notAfterMs, dns, ips }: LeafRequest, trustDomain: string): Record<string, string | undefined> {
  return {
    ...process.env,
    [PASSPHRASE_VARIABLE]: undefined,
    HEDDLE_CA_SPIFFE_ID: uri,
    HEDDLE_CA_TRUST_DOMAIN: trustDomain,
    HEDDLE_CA_LIFE_SECONDS: String(Math.max(1, Math.floor((notAfterMs - nowMs) / 1_000))),
    HEDDLE_CA_NOT_AFTER: new Date(notAfterMs).toISOString(),
    HEDDLE_CA_DNS: dns.join(','),
    HEDDLE_CA_IPS: ips.join(','),
  };
}

interface CommandRun {
  readonly command: string;
  readonly environment: Record<string, string | undefined>;
  readonly input: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Its standard output. Rejects with an Error that says what went wrong, and what it wrote about it. */
function runCommand({ command, environment, input, timeoutMs, clock, logger }: CommandRun): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that what the shell started ends with it.
    const child = spawn('/bin/sh', ['-c', command], { env: environment, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    const out: Buffer[] = [];
    let outBytes = 0;
    let complaint = '';
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        logger.debug({ error: (error as Error).message }, 'a command had ended before it was killed');
      }
    };
    const settle = (finish: () => void): void => {
      timer.cancel();
      finish();
    };
    const give = (why: string): void =>
      settle(() => {
        kill();
        reject(new Error(`${why}${complaint === '' ? '' : `; it wrote: ${complaint.trim()}`}`));
      });
    const timer: Timer = clock.after(timeoutMs, () => give(`it did not end within ${timeoutMs} ms`));
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > OUTPUT_BYTES_MAX) give(`it wrote more than ${OUTPUT_BYTES_MAX} bytes`);
      else out.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(0, ERROR_BYTES_MAX);
    });
    child.stdin.on('error', () => {}); // It need not read everything; its exit code counts.
    child.on('error', (error) => give(`it cannot be started: ${error.message}`));
    child.on('close', (code, signal) => {
      if (code !== 0) give(`it ended with ${signal ?? `exit code ${code}`}`);
      else settle(() => resolve(Buffer.concat(out).toString('utf8')));
    });
    child.stdin.end(input);
  });
}

interface CheckedLeaf extends SignedLeaf {
  readonly intermediates: readonly Uint8Array[];
}

/** Throws an Error that says why it cannot be given out. */
function checkOutput(
  output: string,
  request: LeafRequest,
  { trusted, trustDomain, source, clock }: Pick<CommandSignerOptions, 'trusted' | 'trustDomain' | 'source' | 'clock'>,
): CheckedLeaf {
  const { rootsPem } = trusted;
  const chain = readChain(output);
  const leaf = chain[0];
  if (leaf === undefined) throw new Error('it wrote no certificate in PEM');
  if (chain.length > INTERMEDIATES_MAX + 2) throw new Error(`it wrote ${chain.length} certificates`);
  const above = chain.slice(1).map(({ der }) => der);
  const verdict = verifyLeaf({ leaf: leaf.der, intermediates: above, rootsPem, nowMs: clock.wallMs(), trustDomain });
  if (!verdict.ok)
    throw new Error(
      `the certificate that it wrote ${verdict.reason}${verdict.code === 'not-issued' ? ` (those in ${source.rootsFile}, --ca-roots)` : ''}`,
    );
  if (verdict.uri !== request.uri) throw new Error(`it certified ${verdict.uri} where ${request.uri} was asked for`);
  if (!certificateMatchesKey(leaf.der, request.spkiDer)) throw new Error('it certified another key than that of the request');
  if (verdict.notAfterMs > request.notAfterMs + CLOCK_SKEW_MS)
    throw new Error(
      `its certificate ends at ${new Date(verdict.notAfterMs).toISOString()}, and it was asked for one that ends at ${new Date(request.notAfterMs).toISOString()} at the latest (HEDDLE_CA_NOT_AFTER)`,
    );
  const surplus = leaf.facts.dns.find((name) => !request.dns.includes(name));
  if (surplus !== undefined) throw new Error(`its certificate is also for the host name ${surplus}, which was not asked for`);
  const asked = request.ips.map(ipBytes);
  const isAsked = (ip: Uint8Array): boolean => asked.some((other) => other !== undefined && Buffer.compare(ip, other) === 0);
  if (!leaf.facts.ips.every(isAsked)) throw new Error('its certificate is also for an address that was not asked for');
  const path = pathToRoot({ leafDer: leaf.der, intermediates: above, rootsPem }) ?? [];
  const root = path.at(-1);
  if (root === undefined) throw new Error('its certificate leads to no root');
  const between = path.slice(0, -1).map(({ der }) => der);
  return {
    certificatePem: [leaf.der, ...between].map((der) => encodePem('CERTIFICATE', der)).join(''),
    rootPem: encodePem('CERTIFICATE', root.der),
    rootPin: pinOfKey(root.facts.spkiDer),
    intermediates: between,
  };
}
