// Replacing the root without a failed request. The new root is added to what everybody trusts; when all have it, certificates come from it; when
// the last certificate of the old one has ended or was renewed, the old one goes. No step is made before it may be, unless somebody forces it.
import { formatSpiffeId } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { Straggler } from '../drain/barrier.ts';
import type { EventSink } from '../events/sink.ts';
import type { TrustProgress } from '../xds-server/trust-followers.ts';
import { AuthorityError, type CaSource, FILES_TAKEN_UP_MS } from './authority-options.ts';
import type { Authority } from './authority-types.ts';
import type { IssuedRecord } from './ledger.ts';
import type { RootRotation, RotationState } from './root-rotation.ts';

/** Steps are taken as soon as this after they may be. */
const LOOK_EVERY_MS = 500;
const NAMES_MAX = 5;

export type RotationStep = 'start' | 'use' | 'finish' | 'abort';

export interface RotationDeskOptions {
  readonly authority: Authority;
  /** How far data planes are with the roots of today. */
  readonly trust: () => TrustProgress;
  /** SPIFFE ids of the workloads that these data planes host. */
  readonly hosted: (nodes: ReadonlySet<string>) => ReadonlySet<string>;
  /** SPIFFE ids whose certificates and roots are in files, as far as that is known. */
  readonly inFiles: () => ReadonlySet<string>;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RootFacts {
  /** base64url SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly pin: string;
  readonly notAfterMs: number;
  /** Valid certificates that lead to it and were not renewed; without those of the control plane itself. */
  readonly certificates: number;
  /** When the last of them ends, Unix time; 0: there is none. */
  readonly lastEndMs: number;
}

export interface AuthorityStatus extends RotationState {
  readonly source: CaSource['kind'];
  /** The one that the control plane shows. */
  readonly root: RootFacts;
  readonly next: RootFacts | undefined;
  /** What is to be done next; undefined: nothing is under way. */
  readonly step: Exclude<RotationStep, 'start' | 'abort'> | undefined;
  /** Why it may not be done yet. */
  readonly obstacles: readonly string[];
  readonly dataPlanes: number;
  readonly acknowledged: number;
  readonly stragglers: readonly Straggler[];
  /** Certificates are issued that cannot be written to the log. */
  readonly isLogFailing: boolean;
}

export class RotationDesk {
  readonly #options: RotationDeskOptions;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #closed = false;
  /** Since when all files hold what the next step needs, as far as was looked; by the wall clock, since records are. */
  #filesReadyMs: number | undefined;

  constructor(options: RotationDeskOptions) {
    this.#options = options;
    this.#goOnLater();
  }

  status(): AuthorityStatus {
    const { authority } = this.#options;
    const { rotation, pin } = authority;
    const state = rotation?.state ?? { phase: 'none', addedMs: 0, usedMs: 0, isAutomatic: false };
    const { dataPlanes, acknowledged, stragglers } = this.#options.trust();
    const step = state.phase === 'added' ? 'use' : state.phase === 'used' ? 'finish' : undefined;
    const next = rotation?.next;
    return {
      ...state,
      source: authority.source,
      root: this.#factsOf(rotation?.pin ?? pin, rotation?.root.facts.notAfterMs ?? authority.rootNotAfterMs),
      next: next === undefined || rotation?.nextPin === undefined ? undefined : this.#factsOf(rotation.nextPin, next.facts.notAfterMs),
      step,
      obstacles: rotation === undefined || step === undefined ? [] : this.#obstacles(step, rotation),
      ...{ dataPlanes, acknowledged, stragglers },
      isLogFailing: authority.ledger.failing,
    };
  }

  /**
   * One step, after those that were asked for before. `isAutomatic`: goes on by itself. Rejects with AuthorityError `REFUSED`, whose message says
   * why and what helps; `force` passes over what stands in the way, but not over the order of the steps.
   */
  step(step: RotationStep, { force, isAutomatic }: { readonly force: boolean; readonly isAutomatic: boolean }): Promise<void> {
    const made = this.#queue.then(() => this.#step(step, force, isAutomatic));
    this.#queue = made.catch(() => undefined);
    return made;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #step(step: RotationStep, force: boolean, isAutomatic: boolean): Promise<void> {
    const rotation = this.#rotation();
    const { phase } = rotation.state;
    if (!force) this.#refuse(step, rotation);
    switch (step) {
      case 'start':
        // Who asks for the whole once more, or for what is under way to go on by itself, gets that.
        if (phase !== 'none' && isAutomatic) await rotation.goOnByItself(true);
        else await rotation.add(isAutomatic);
        break;
      case 'use':
        await rotation.use();
        break;
      case 'finish':
        await rotation.finish();
        break;
      case 'abort':
        await rotation.abort();
    }
    this.#filesReadyMs = undefined;
    this.#tell(step, phase, force, rotation);
    this.#goOnLater();
  }

  #rotation(): RootRotation {
    const { authority } = this.#options;
    if (authority.rotation !== undefined) return authority.rotation;
    const how =
      authority.source === 'files'
        ? 'put the new root into the file of --ca-roots beside the old one, and the new certificate and key into those of --ca-cert and --ca-key; they are used as soon as everybody knows the new root. Then take the old root out of the file'
        : 'put the new root into the file of --ca-roots after the old one; when no certificate is left that was issued before that (`heddle identity list`), have the command use the new one, and take the old root out of the file';
    throw new AuthorityError('REFUSED', `The root of this mesh is kept elsewhere. To replace it, ${how}.`);
  }

  #refuse(step: RotationStep, rotation: RootRotation): void {
    const { phase } = rotation.state;
    if ((step === 'use' && phase === 'added') || (step === 'finish' && phase === 'used')) {
      const obstacles = this.#obstacles(step, rotation);
      if (obstacles.length > 0)
        throw new AuthorityError(
          'REFUSED',
          `Not yet: ${obstacles.join('; ')}. Try again later, have it go on by itself with \`heddle ca rotate --auto\`, or pass over it with --force.`,
        );
    }
    const pin = rotation.nextPin;
    if (step !== 'abort' || phase !== 'added' || pin === undefined) return;
    const { certificates, lastEndMs } = this.#factsOf(pin, 0);
    if (certificates > 0)
      throw new AuthorityError(
        'REFUSED',
        `${plural(certificates, 'certificate')} of the new root ${certificates === 1 ? 'is' : 'are'} valid until ${isoTime(lastEndMs)} at the latest. Try again when they have been renewed, or pass over it with --force.`,
      );
  }

  /** Why the step may not be made. */
  #obstacles(step: 'use' | 'finish', rotation: RootRotation): string[] {
    const trust = this.#options.trust();
    const obstacles: string[] = [];
    if (trust.stragglers.length > 0)
      obstacles.push(
        `${trust.acknowledged} of ${plural(trust.dataPlanes, 'data plane')} have acknowledged the new root, waiting for ${namesOf(trust.stragglers)}`,
      );
    const covered = this.#covered(trust);
    const inFiles = this.#valid((record) => !covered.has(record.id));
    if (step === 'use') {
      // Those who are not told of new roots by xDS learn of them with their next certificate.
      const unaware = inFiles.filter((record) => record.timeMs < rotation.state.addedMs);
      if (unaware.length > 0) obstacles.push(`who keeps the roots in files has not got the new one yet: ${certificatesText(unaware)}`);
      return [...obstacles, ...this.#untilTakenUp(inFiles, unaware.length > 0)];
    }
    const old = this.#valid((record) => record.root === rotation.pin);
    if (old.length > 0) obstacles.push(`certificates of the old root are in use: ${certificatesText(old)}`);
    const forgottenMs = this.#options.authority.ledger.forgottenUntilMs(rotation.pin);
    if (forgottenMs > 0)
      obstacles.push(`certificates of the old root that are not remembered one by one end at ${isoTime(forgottenMs)} at the latest`);
    const isOldInFile = inFiles.some((record) => record.root === rotation.pin);
    return [...obstacles, ...this.#untilTakenUp(inFiles, isOldInFile)];
  }

  /** What is in files is not in use yet. At most one line. */
  #untilTakenUp(inFiles: readonly IssuedRecord[], areOthersDue: boolean): string[] {
    if (areOthersDue || inFiles.length === 0) {
      this.#filesReadyMs = undefined;
      return [];
    }
    const nowMs = this.#options.clock.wallMs();
    this.#filesReadyMs ??= nowMs;
    // A record may be older than the moment at which somebody looked.
    const newestMs = Math.max(...inFiles.map(({ timeMs }) => timeMs));
    const untilMs = Math.min(this.#filesReadyMs, newestMs) + FILES_TAKEN_UP_MS;
    return nowMs >= untilMs ? [] : [`programs that read certificates from files have until ${isoTime(untilMs)} to look at them`];
  }

  /** Identities whose data planes are told of roots, and that are in no file. */
  #covered({ nodes, identities }: TrustProgress): ReadonlySet<string> {
    const covered = new Set([...identities, ...this.#options.hosted(nodes)]);
    for (const id of this.#options.inFiles()) covered.delete(id);
    return covered;
  }

  #valid(isMeant: (record: IssuedRecord) => boolean): IssuedRecord[] {
    return this.#options.authority.ledger.validOfWorkloads().filter(isMeant);
  }

  #factsOf(pin: string, notAfterMs: number): RootFacts {
    const valid = this.#valid(({ root }) => root === pin);
    return { pin, notAfterMs, certificates: valid.length, lastEndMs: Math.max(0, ...valid.map(({ untilMs }) => untilMs)) };
  }

  #tell(step: RotationStep, before: RotationState['phase'], force: boolean, { state, nextPin, pin }: RootRotation): void {
    const { events, logger } = this.#options;
    const forced = force ? ', by force' : '';
    const message = {
      start:
        state.isAutomatic && before !== 'none'
          ? 'the replacement of the root goes on by itself'
          : `a new root is being added to what data planes trust (${nextPin ?? ''})`,
      use: `certificates come from the new root (${nextPin ?? ''}) from now on${forced}`,
      finish: `the old root is gone; the mesh has one root, ${pin}${forced}`,
      abort: before === 'used' ? `certificates come from the old root again${forced}` : `the new root was taken away again${forced}`,
    }[step];
    logger.warn({ step, phase: state.phase }, message);
    events.record('root-rotation', 'mesh', message);
  }

  #goOnLater(): void {
    const { rotation } = this.#options.authority;
    this.#timer?.cancel();
    if (this.#closed || rotation?.state.isAutomatic !== true) return;
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#queue = this.#queue
        .then(() => this.#goOn(rotation))
        .catch((error: unknown) => {
          this.#options.logger.error({ error: (error as Error).message }, 'the replacement of the root cannot go on; trying again');
          this.#goOnLater();
        });
    });
  }

  async #goOn(rotation: RootRotation): Promise<void> {
    if (this.#closed || !rotation.state.isAutomatic) return;
    const step = rotation.state.phase === 'added' ? 'use' : 'finish';
    if (this.#obstacles(step, rotation).length === 0) await this.#step(step, false, true);
    else this.#goOnLater();
  }
}

function certificatesText(records: readonly IssuedRecord[]): string {
  const names = [...new Set(records.map(({ id }) => id))];
  const shown = names.slice(0, NAMES_MAX).join(', ');
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : '';
  const endMs = Math.max(...records.map(({ untilMs }) => untilMs));
  return `${plural(records.length, 'certificate')} of ${shown}${more}, not renewed yet, the last one valid until ${isoTime(endMs)}`;
}

function namesOf(stragglers: readonly Straggler[]): string {
  const named = stragglers.slice(0, NAMES_MAX).map(({ node, reason }) => (reason === 'unacknowledged' ? node : `${node} (${reason})`));
  const more = stragglers.length - named.length;
  return `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function isoTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

/** SPIFFE ids of what these data planes host. */
export function hostedIdentities(
  nodes: Iterable<string>,
  instancesOf: (node: string) => readonly { readonly service: { readonly namespace: string; readonly name: string } }[],
  trustDomain: string,
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const node of nodes)
    for (const { service } of instancesOf(node))
      found.add(formatSpiffeId({ trustDomain, namespace: service.namespace, name: service.name }));
  return found;
}
