// What the mesh is told to be, and by whom: the file that the control plane was started with, a file that was applied since, and weights that were
// set since. At a start, and when the file is read again, the file counts if it has changed; else what came after it stays. One change at a time.
import { serviceKey } from '@heddle/core';
import type { MeshConfig } from '@heddle/core';
import type { Problem } from '@heddle/core/config';
import type { Clock, Logger } from '@heddle/runtime';
import { declaredBy, declaredChanges } from '../audit/declared.ts';
import { MESH_FILE, whoIs } from '../audit/entry.ts';
import type { AuditAction, Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { EventSink } from '../events/sink.ts';
import { checkDeclaration, conditionsOf } from '../registry/declaration.ts';
import { RegistryError } from '../registry/errors.ts';
import { MESH_FILE_KEYS } from '../registry/keys.ts';
import type { Registry } from '../registry/registry.ts';
import type { Store } from '../registry/store.ts';
import { differencesOf } from './difference.ts';
import type { Difference } from './difference.ts';
import { notesOf } from './notes.ts';
import { MeshFileError, NO_FILE, fingerprint, readSentFile } from './read.ts';
import type { MeshSource } from './read.ts';
import { readMeshFileRecord, recordParts } from './record.ts';
import type { MeshFileRecord, SentFile } from './record.ts';
import { addSplit, presentSplit, splitOf, splitsOf, withSplits } from './splits.ts';
import type { Split, SplitView, WantedWeight } from './splits.ts';

export interface MeshFileDeskOptions {
  readonly store: Pick<Store, 'list'>;
  readonly registry: Registry;
  readonly audit: AuditLog;
  readonly events: EventSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The file that the control plane was started with, or has read since. */
interface OwnFile {
  readonly mesh: MeshConfig;
  /** Absent: the mesh was not read from a file. */
  readonly source: MeshSource | undefined;
  readonly fingerprint: string;
}

export interface MeshFileStatus {
  readonly revision: number;
  /** `applied`: it was sent since. Splits lie over either. */
  readonly origin: 'file' | 'applied';
  /** Of the control plane's own file, on its machine; empty: there is none. */
  readonly path: string;
  /** Of what holds, without splits; absent: it was not read from a file. */
  readonly text?: string;
  readonly applied?: { readonly timeMs: number; readonly by: string };
  readonly splits: readonly Split[];
  /** What holds otherwise than the control plane's own file says. */
  readonly differences: readonly Difference[];
}

export interface MeshFileChange {
  /** Of the mesh file, then; of the registry, then. */
  readonly revision: number;
  readonly registryRevision: number;
  readonly changes: readonly Difference[];
  /** What is said in the file and is not done by this. */
  readonly notes: readonly string[];
  /** Warnings. */
  readonly problems: readonly Problem[];
}

export interface SplitChange extends Pick<MeshFileChange, 'revision' | 'registryRevision'> {
  readonly split: Split;
  readonly before: Split;
}

export interface ApplyOptions {
  /** Only when the mesh file is at this revision. */
  readonly expectedRevision?: number | undefined;
  /** Nothing is changed: what would be is told. */
  readonly isDryRun?: boolean;
}

const UNTOUCHED: Omit<MeshFileRecord, 'file' | 'revision'> = { splits: [] };

/** Takes in the file, or what came after it. Rejects with RegistryError, AuditError, StoreError. */
export async function openMeshFile(mesh: MeshConfig, source: MeshSource | undefined, options: MeshFileDeskOptions): Promise<MeshFileDesk> {
  const { entries } = await options.store.list(MESH_FILE_KEYS);
  let record: MeshFileRecord | undefined;
  try {
    record = readMeshFileRecord(entries.map(({ value }) => value));
  } catch (error) {
    options.logger.error({ error: (error as Error).message }, 'what is kept of the mesh file cannot be read; the file counts');
  }
  const desk = new MeshFileDesk(mesh, source, record, options);
  await desk.read(mesh, source);
  return desk;
}

export class MeshFileDesk {
  readonly #options: MeshFileDeskOptions;
  #own: OwnFile;
  #record: MeshFileRecord | undefined;
  /** What holds, without and with the splits. */
  #base: MeshConfig;
  #running: MeshConfig;
  #queue: Promise<unknown> = Promise.resolve();

  /** Use `openMeshFile`. */
  constructor(mesh: MeshConfig, source: MeshSource | undefined, record: MeshFileRecord | undefined, options: MeshFileDeskOptions) {
    this.#options = options;
    this.#own = { mesh, source, fingerprint: fingerprint(source, mesh) };
    this.#record = record;
    this.#base = mesh;
    this.#running = mesh;
  }

  /** What holds now. */
  get running(): MeshConfig {
    return this.#running;
  }

  /** The control plane's own file, at the start or again. Throws Error when it is another mesh; else as `openMeshFile`. */
  read(mesh: MeshConfig, source: MeshSource | undefined): Promise<void> {
    return this.#inTurn(async () => {
      this.#checkSameMesh(mesh);
      const own = { mesh, source, fingerprint: fingerprint(source, mesh) };
      const before = this.#record;
      const base = before?.file === own.fingerprint ? await this.#baseOf(own, before) : undefined;
      const isKept = before !== undefined && base !== undefined;
      const record = isKept ? before : { ...UNTOUCHED, file: own.fingerprint, revision: (before?.revision ?? 0) + 1 };
      this.#own = own;
      await this.#take(base ?? mesh, record, MESH_FILE, 'declare-mesh');
      if (before === undefined || !isTouched(before)) return;
      if (isKept) this.#tell('mesh-file-kept', `the file is unchanged since, so what came after it stays: ${touchedText(before)}`);
      else this.#tell('mesh-file-read', `the file counts; what came after it is given up: ${touchedText(before)}`);
    });
  }

  status(): MeshFileStatus {
    const { revision, applied, splits } = this.#known();
    const { source, mesh } = this.#own;
    const text = applied?.text ?? source?.text;
    return {
      revision,
      origin: applied === undefined ? 'file' : 'applied',
      path: source?.path ?? '',
      ...(text !== undefined && { text }),
      ...(applied && { applied: { timeMs: applied.timeMs, by: applied.by } }),
      splits,
      differences: mesh === this.#running ? [] : differencesOf(mesh, this.#running),
    };
  }

  /** Rejects with MeshFileError, RegistryError (CONFLICT, INVALID, LIMIT, UNAVAILABLE), AuditError. */
  apply(sent: SentFile, by: Doer, { expectedRevision, isDryRun = false }: ApplyOptions = {}): Promise<MeshFileChange> {
    return this.#inTurn(async () => {
      const { registry, clock } = this.#options;
      const timeMs = Math.floor(clock.wallMs());
      const { mesh, problems } = await readSentFile(sent, this.#own.source?.path ?? NO_FILE, timeMs);
      this.#checkSameMesh(mesh);
      this.#checkExpected(expectedRevision);
      const changes = differencesOf(this.#running, mesh);
      const told = { changes, notes: notesOf(this.#own.mesh, this.#running, mesh), problems };
      if (isDryRun) {
        const { services, egress, security } = declaredBy(mesh);
        checkDeclaration([...services], egress, security, await conditionsOf(security));
        return { ...told, revision: this.#known().revision, registryRevision: registry.revision };
      }
      const isOwn = fingerprint(sent, mesh) === this.#own.fingerprint && differencesOf(this.#own.mesh, mesh).length === 0;
      const { file, applied, splits, revision } = this.#known();
      const isKnown = splits.length === 0 && (isOwn ? applied === undefined : applied?.text === sent.text && changes.length === 0);
      if (!isKnown) {
        const record = {
          ...UNTOUCHED,
          file,
          revision: revision + 1,
          ...(!isOwn && { applied: { ...sent, timeMs, by: whoIs(by.caller) } }),
        };
        await this.#take(mesh, record, by, 'apply-mesh-file');
        this.#tell(
          'mesh-file-applied',
          `by ${whoIs(by.caller)}: ${changes.length === 0 ? 'nothing of the mesh changes' : countText(changes)}`,
        );
      }
      return { ...told, revision: this.#known().revision, registryRevision: registry.revision };
    });
  }

  /** Rules that split traffic: of one service, of a namespace, or all. */
  splits({ namespace, name }: { readonly namespace?: string | undefined; readonly name?: string | undefined } = {}): SplitView[] {
    const inFile = new Map(this.#base.services.map(({ service }) => [serviceKey(service), service]));
    return this.#running.services.flatMap(({ service }) => {
      const isWanted = (namespace === undefined || namespace === service.namespace) && (name === undefined || name === service.name);
      return isWanted ? splitsOf(service, inFile.get(serviceKey(service)) ?? service) : [];
    });
  }

  /** Weights of a rule that splits traffic already. Rejects with RegistryError (NOT_FOUND, INVALID, CONFLICT, UNAVAILABLE), AuditError. */
  setSplit(key: string, rule: string, wanted: readonly WantedWeight[], by: Doer, expectedRevision?: number): Promise<SplitChange> {
    return this.#inTurn(async () => {
      const find = (mesh: MeshConfig) => mesh.services.find(({ service }) => serviceKey(service) === key)?.service;
      const [service, inFile] = [find(this.#running), find(this.#base)];
      if (service === undefined || inFile === undefined) throw new RegistryError('NOT_FOUND', `there is no service ${key}`);
      this.#checkExpected(expectedRevision);
      const split = splitOf(service, rule, wanted);
      const before = presentSplit(service, rule);
      const known = this.#known();
      const splits = addSplit(known.splits, split, presentSplit(inFile, rule));
      const changes = [before, split].map(({ to }) => JSON.stringify(to));
      if (changes[0] !== changes[1]) {
        const next = { ...known, splits, revision: known.revision + 1 };
        await this.#options.audit.change(by, 'set-split', key, async () => {
          await this.#declare(this.#base, next);
          return { result: undefined, before, after: split };
        });
      }
      return { split, before, revision: this.#known().revision, registryRevision: this.#options.registry.revision };
    });
  }

  /** What the splits lie over. Undefined: what was applied cannot be taken in any more. */
  async #baseOf({ mesh: own, source }: OwnFile, { applied }: MeshFileRecord): Promise<MeshConfig | undefined> {
    if (applied === undefined) return own;
    try {
      const { mesh } = await readSentFile(applied, source?.path ?? NO_FILE, Math.floor(this.#options.clock.wallMs()));
      this.#checkSameMesh(mesh);
      return mesh;
    } catch (error) {
      if (!(error instanceof MeshFileError || error instanceof RegistryError)) throw error;
      this.#options.logger.error({ error: error.message }, 'the mesh file that was applied cannot be taken in any more');
      return undefined;
    }
  }

  /** Noted if it changes anything. */
  async #take(base: MeshConfig, record: MeshFileRecord, by: Doer, action: AuditAction): Promise<void> {
    const { registry, audit } = this.#options;
    const mesh = withSplits(base, record.splits);
    const declared = {
      services: Array.from(registry.snapshot().services.values(), (view) => view.service),
      egress: registry.egress,
      security: registry.security,
      telemetry: registry.telemetry,
    };
    const changes = declaredChanges(declared, declaredBy(mesh));
    if (changes.length === 0 && by === MESH_FILE) return await this.#declare(base, record);
    const origin = this.#record?.applied === undefined ? 'file' : 'applied';
    await audit.change(by, action, mesh.name, async () => {
      const { revision } = registry;
      await this.#declare(base, record);
      const after = { revision: registry.revision, origin: record.applied === undefined ? 'file' : 'applied', changes };
      return { result: undefined, before: { revision, origin }, after };
    });
  }

  async #declare(base: MeshConfig, record: MeshFileRecord): Promise<void> {
    const { registry } = this.#options;
    const mesh = withSplits(base, record.splits);
    const { services, egress, security, telemetry } = declaredBy(mesh);
    await registry.setKeepOnMassExpiry(mesh.discovery.keepOnMassExpiry);
    await registry.declareServices([...services], egress, security, telemetry, recordParts(record));
    this.#base = base;
    this.#running = mesh;
    this.#record = record;
  }

  #known(): MeshFileRecord {
    return this.#record ?? { ...UNTOUCHED, file: this.#own.fingerprint, revision: 0 };
  }

  #checkSameMesh({ name, trustDomain }: MeshConfig): void {
    const { mesh } = this.#own;
    if (name === mesh.name && trustDomain === mesh.trustDomain) return;
    throw new RegistryError(
      'INVALID',
      `the mesh's name and trust domain cannot change while it runs (${mesh.name}, ${mesh.trustDomain}); stop it, choose another state directory, and start again`,
    );
  }

  #checkExpected(expected: number | undefined): void {
    const { revision } = this.#known();
    if (expected === undefined || expected === revision) return;
    throw new RegistryError(
      'CONFLICT',
      `the mesh file is at revision ${revision}, not ${expected}: somebody else has changed it meanwhile`,
      undefined,
      revision,
    );
  }

  #tell(kind: 'mesh-file-applied' | 'mesh-file-kept' | 'mesh-file-read', message: string): void {
    const { events, logger } = this.#options;
    events.record(kind, 'mesh', message);
    logger.info({ kind }, `mesh file: ${message}`);
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => {});
    return result;
  }
}

function isTouched({ applied, splits }: MeshFileRecord): boolean {
  return applied !== undefined || splits.length > 0;
}

/** What came after the file. */
function touchedText({ applied, splits }: MeshFileRecord): string {
  const parts = [
    ...(applied === undefined ? [] : [`what ${applied.by} applied at ${new Date(applied.timeMs).toISOString()}`]),
    ...splits.map(({ service, rule }) => `the split of ${JSON.stringify(rule)} of ${service}`),
  ];
  return parts.join(', ');
}

function countText(changes: readonly Difference[]): string {
  const names = [...new Set(changes.map(({ kind, name, rule }) => [kind, name, rule].filter(Boolean).join(' ')))];
  const shown = names.slice(0, 10).join(', ');
  return `${changes.length} ${changes.length === 1 ? 'change' : 'changes'}: ${shown}${names.length > 10 ? ', …' : ''}`;
}
