// `heddle identity watch`: joins the mesh as a service and keeps its certificate, key and the roots in files, for programs that hold no
// identity of Heddle's: Envoy, gRPC's xDS clients, databases. The key is made here and goes nowhere else.
import { resolve } from 'node:path';
import { formatSpiffeId, parseJoinToken } from '@heddle/core';
import { type HeldIdentity, IdentityKeeper, type IdentityStore, type JoinErrorCode } from '@heddle/dataplane/identity';
import type { Logger } from '@heddle/runtime';
import { createLogger, createMetrics, type LogLevel, nodeClock, nodeGrpc, nodeRandom } from '@heddle/runtime/node';
import { type ControlClient, openControl } from '../control-client.ts';
import { CliError, type ExitCode, splitMend } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { listenForStop } from '../signals.ts';
import { connectableAddress, requireStateDirectory } from '../state-directory.ts';
import { pause } from '../up/poll.ts';
import { IdentityFiles } from './identity-files.ts';
import { TrustWatch } from './identity-trust.ts';
import { XdsSocket } from './identity-xds-socket.ts';
import { readToken } from './proxy-admin-token.ts';

export interface IdentityWatchOptions {
  readonly service: string;
  readonly namespace: string;
  readonly out: string;
  readonly control?: HostPort;
  readonly joinTokenFile?: string;
  readonly once: boolean;
  readonly renew: boolean;
  /** A Unix socket that leads to the control plane with the service's certificate. */
  readonly xdsSocket?: string;
  readonly logLevel: LogLevel;
  readonly logFormat?: 'json' | 'pretty';
  readonly stateDir?: string;
}

/** New certificates and a stop are heard of at once; this is for what went wrong. */
const LOOK_EVERY_MS = 1_000;
/** A directory that cannot be written is tried again: a disk may have room again. */
const WRITE_AGAIN_MS = 5_000;
/** Between two tokens that the operator's right makes for a workload which has lost its certificate. */
const TOKEN_AGAIN_MS = 30_000;
/** A certificate that is this much of its life old is renewed by the keeper at once: later than its half life with any jitter. */
const RENEWED_AT = 0.56;
/** Trying again with the same token, or at the same address, is pointless. */
const REFUSALS: readonly (JoinErrorCode | undefined)[] = ['refused', 'bad-token', 'wrong-pin', 'not-control'];

/** `print`: where the outcome of `--once` goes. */
export async function watchIdentity(
  options: IdentityWatchOptions,
  print = (text: string): unknown => process.stdout.write(text),
): Promise<ExitCode> {
  const { once, logFormat } = options;
  // Who waits for the end gets the outcome, in words; what is tried on the way there is for the log of a service.
  const level = once && options.logLevel === 'info' ? 'silent' : options.logLevel;
  const logger = createLogger({ level, name: 'identity', ...(logFormat === undefined ? {} : { format: logFormat }) });
  // Wrong usage is told before anything is made.
  const token = givenToken(options);
  const operator = options.control === undefined ? openControl(requireStateDirectory(options.stateDir)) : undefined;
  const control = operator === undefined ? options.control : { host: connectableAddress(operator.info.address), port: operator.info.port };
  if (control === undefined) throw new Error('neither an address nor a state directory');
  const files = new IdentityFiles(resolve(options.out));
  const watch = new Watch(options, control, files, operator, logger);
  try {
    await files.prepare();
    if (options.xdsSocket !== undefined) await watch.openSocket(options.xdsSocket, control);
    return await watch.run(token, print);
  } finally {
    await watch.close();
    operator?.close();
  }
}

/** Of the file or the environment; undefined where there is none. Throws CliError when it is not one for this service. */
function givenToken({ service, namespace, joinTokenFile }: IdentityWatchOptions): string | undefined {
  // An empty variable is how an environment says that there is none.
  const text = joinTokenFile === undefined ? process.env['HEDDLE_JOIN_TOKEN'] || undefined : readToken(joinTokenFile);
  if (text === undefined) return undefined;
  const where = joinTokenFile ?? 'HEDDLE_JOIN_TOKEN';
  const mend = `make one where the control plane runs: \`heddle token create --service ${service} --namespace ${namespace}\``;
  const parsed = parseJoinToken(text);
  if (!parsed.ok) throw new CliError(`${where}: ${splitMend(parsed.reason).message}`, mend);
  if (parsed.token.service !== service || parsed.token.namespace !== namespace)
    throw new CliError(
      `the token in ${where} is for ${parsed.token.namespace}/${parsed.token.service}, not for ${namespace}/${service}`,
      mend,
    );
  return text;
}

class Watch {
  readonly #options: IdentityWatchOptions;
  readonly #files: IdentityFiles;
  readonly #operator: ControlClient | undefined;
  readonly #logger: Logger;
  readonly #keeper: IdentityKeeper;
  /** Undefined with `--once`. */
  readonly #trust: TrustWatch | undefined;
  /** Found in the directory. */
  #kept: HeldIdentity | undefined;
  /** To be written. */
  #due: HeldIdentity | undefined;
  #socket: XdsSocket | undefined;
  #written: HeldIdentity | undefined;
  #writeError: Error | undefined;
  #writeAgainMs = 0;
  #wake = new AbortController();
  #tokenAgainMs = 0;

  constructor(options: IdentityWatchOptions, control: HostPort, files: IdentityFiles, operator: ControlClient | undefined, logger: Logger) {
    this.#options = options;
    this.#files = files;
    this.#operator = operator;
    this.#logger = logger;
    const { namespace, service, once } = options;
    const trust = once ? undefined : new TrustWatch({ control, grpc: nodeGrpc, clock: nodeClock, random: nodeRandom, logger });
    this.#trust = trust;
    this.#keeper = new IdentityKeeper({
      workload: { namespace, service, instance: 'identity-watch' },
      control: { address: control.host, port: control.port },
      grpc: nodeGrpc,
      store: this.#store(),
      clock: nodeClock,
      random: nodeRandom,
      logger,
      metrics: createMetrics(),
      onIdentity: (held) => {
        this.#socket?.setIdentity(held);
        trust?.use(held);
        if (held === this.#kept) return;
        this.#due = held;
        this.#wake.abort();
      },
      trusted: () => trust?.roots,
    });
  }

  /** Before `run`: it serves with the first certificate that there is. */
  async openSocket(path: string, control: HostPort): Promise<void> {
    this.#socket = await XdsSocket.open(path, control, this.#logger);
  }

  /** Resolves when told to stop, or with `--once` when the files are fresh. Throws CliError when they never will be. */
  async run(token: string | undefined, print: (text: string) => unknown): Promise<ExitCode> {
    using stop = listenForStop();
    let stopped = false;
    void stop.asked.then(() => {
      stopped = true;
      this.#wake.abort();
    });
    if (token !== undefined) this.#keeper.offerToken(token);
    await this.#keeper.start();
    if (this.#kept === undefined && token === undefined && this.#operator === undefined) throw this.#noToken();
    for (; !stopped; await pause(LOOK_EVERY_MS, this.#wake.signal)) {
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      await this.#offerOperatorsToken();
      await this.#write();
      if (this.#options.once && this.#isFresh()) return this.#tell(print);
      this.#failIfHopeless();
    }
    return 0;
  }

  async close(): Promise<void> {
    this.#keeper.close();
    this.#trust?.close();
    await this.#socket?.close();
  }

  /** What the directory holds is the state; it is written by `#write`, which is to be told about failures. */
  #store(): IdentityStore {
    return {
      load: async (workload, nowMs) => {
        try {
          const kept = await this.#files.load(workload, nowMs);
          if (kept === undefined) return undefined;
          const { notAfterMs } = kept;
          // As if so much of its life were over that it is to be renewed.
          const receivedMs = this.#options.renew ? nowMs - ((notAfterMs - nowMs) * RENEWED_AT) / (1 - RENEWED_AT) : kept.receivedMs;
          this.#kept = { ...kept, receivedMs };
          return this.#kept;
        } catch (error) {
          this.#logger.warn(
            { directory: this.#files.directory, error: (error as Error).message },
            'the certificate that is there cannot be used; a new one is asked for',
          );
          return undefined;
        }
      },
      save: async () => {},
    };
  }

  #isFresh(): boolean {
    if (this.#written !== undefined) return true;
    const kept = this.#kept;
    if (kept === undefined || this.#due !== undefined) return false;
    return nodeClock.wallMs() < kept.receivedMs + (kept.notAfterMs - kept.receivedMs) * (RENEWED_AT - 0.005);
  }

  #tell(print: (text: string) => unknown): ExitCode {
    const held = this.#written ?? this.#kept;
    if (held !== undefined)
      print(
        `${formatSpiffeId(held.id)} until ${new Date(held.notAfterMs).toISOString()}, in ${this.#files.directory}${this.#written === undefined ? ' (still good)' : ''}\n`,
      );
    return 0;
  }

  async #write(): Promise<void> {
    const due = this.#due;
    if (due === undefined || nodeClock.nowMs() < this.#writeAgainMs) return;
    try {
      await this.#files.write(due, nodeClock.wallMs());
      this.#written = due;
      this.#writeError = undefined;
      if (this.#due === due) this.#due = undefined;
      this.#logger.info({ directory: this.#files.directory, endsAt: new Date(due.notAfterMs).toISOString() }, 'files written');
    } catch (error) {
      this.#writeError = error as Error;
      this.#writeAgainMs = nodeClock.nowMs() + WRITE_AGAIN_MS;
      this.#logger.error({ error: this.#writeError.message }, 'ALARM: the new certificate cannot be written; trying again');
    }
  }

  /** Who may make tokens needs none: also when the certificate has ended, because the machine slept for example. */
  async #offerOperatorsToken(): Promise<void> {
    const { health } = this.#keeper.status;
    if (this.#operator === undefined || (health !== 'none' && health !== 'expired')) return;
    if (nodeClock.nowMs() < this.#tokenAgainMs) return;
    this.#tokenAgainMs = nodeClock.nowMs() + TOKEN_AGAIN_MS;
    const { namespace, service, once } = this.#options;
    try {
      this.#keeper.offerToken((await this.#operator.createToken(namespace, service)).token);
    } catch (error) {
      if (once || this.#kept === undefined) throw error;
      this.#logger.warn({ error: (error as Error).message }, 'no join token could be made; trying again');
    }
  }

  #failIfHopeless(): void {
    const { error, reason, health } = this.#keeper.status;
    const holds = health === 'good' || health === 'overdue';
    // Who can make tokens tries again with another one.
    const isRefused = REFUSALS.includes(error) && !holds && this.#operator === undefined;
    if (isRefused || (this.#options.once && error !== undefined)) {
      const { message, mend } = splitMend(reason);
      throw new CliError(message, mend ?? `make a new token with \`heddle token create --service ${this.#options.service}\``);
    }
    if (this.#options.once && this.#writeError !== undefined)
      throw new CliError(`the certificate cannot be written: ${this.#writeError.message}`, 'name another directory with --out', {
        cause: this.#writeError,
      });
  }

  #noToken(): CliError {
    const { service, namespace } = this.#options;
    return new CliError(
      'there is no join token, and no certificate in the directory yet',
      `set HEDDLE_JOIN_TOKEN, or name a file with --join-token-file; one is made where the control plane runs with \`heddle token create --service ${service} --namespace ${namespace}\``,
      { exitCode: 2 },
    );
  }
}
