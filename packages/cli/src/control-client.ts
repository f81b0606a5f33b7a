// The operator's way to the control plane: gRPC over TLS that trusts the mesh's own root only, with the operator's token. Every
// call has a deadline; what goes wrong is told in words that say what to do.
import {
  status as Status,
  type CallOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { type admin, controlTarget, csds, discovery } from '@heddle/api';
import {
  AdminClient,
  controlChannelCredentials,
  controlChannelOptions,
  DiscoveryClient,
  fetchClientStatus,
  operatorMetadata,
} from '@heddle/api/grpc-js';
import { controlPlaneId, formatSpiffeId, type Instance, type ServiceRef } from '@heddle/core';
import { CliError } from './errors.ts';
import type { Traffic } from './top/model.ts';
import { connectableAddress, readControlInfo, readStateFile, type ControlInfo } from './state-directory.ts';

const DEADLINE_MS = 5_000;
/** A mesh file of 1,000 services is read, compared and written by then. */
const APPLY_DEADLINE_MS = 30_000;

/** A token of `heddle token create --admin`, or of a login; in place of the operator's. */
const TOKEN_VARIABLE = 'HEDDLE_TOKEN';

const DRAIN_OUTCOMES: Readonly<Record<number, DrainReport['outcome']>> = {
  [discovery.DrainOutcome.DRAIN_OUTCOME_COMPLETE]: 'complete',
  [discovery.DrainOutcome.DRAIN_OUTCOME_TIMED_OUT]: 'timed-out',
  [discovery.DrainOutcome.DRAIN_OUTCOME_RETURNED]: 'returned',
};

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  done: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

export interface JoinTokenGrant {
  readonly token: string;
  /** Unix time. */
  readonly notAfterMs: number;
}

/** Who may still choose an instance that is draining. */
export interface DrainReport {
  readonly outcome: 'waiting' | 'complete' | 'timed-out' | 'returned';
  readonly dataPlanes: number;
  readonly acknowledged: number;
  readonly gone: number;
  /** The first 100. */
  readonly stragglers: readonly { readonly node: string; readonly reason: string }[];
}

/** The certificate authority, and how far the replacement of its root is. */
export interface AuthorityView extends Omit<admin.AuthorityMessage, 'root'> {
  readonly root: admin.RootMessage;
}

/** One thing that `changes` says: the registry or the proxies are not what they were. */
export type Changes = ClientReadableStream<admin.ChangesResponse>;

export interface EventFilter {
  /** `<namespace>/<service>` with its instances, one instance, or a data plane. */
  readonly subject?: string;
  readonly kind?: string;
}

export class ControlClient {
  readonly info: ControlInfo;
  readonly #admin: AdminClient;
  readonly #discovery: DiscoveryClient;
  readonly #metadata: Metadata;

  constructor(info: ControlInfo, rootsPem: string, token: string) {
    const credentials = controlChannelCredentials({ rootsPem, expectedSpiffeId: formatSpiffeId(controlPlaneId(info.trustDomain)) });
    const target = controlTarget(connectableAddress(info.address), info.port);
    this.info = info;
    this.#admin = new AdminClient(target, credentials, controlChannelOptions());
    this.#discovery = new DiscoveryClient(target, credentials, controlChannelOptions());
    this.#metadata = operatorMetadata(token);
  }

  mesh(): Promise<admin.GetMeshResponse> {
    return this.#call(this.#admin.getMesh.bind(this.#admin), {});
  }

  async services(): Promise<discovery.ListedService[]> {
    const { services } = await this.#call(this.#discovery.listServices.bind(this.#discovery), { namespace: '' });
    return services.map((service) => discovery.serviceFromMessage(service));
  }

  /** Of one service, or all. */
  async instances(of?: ServiceRef): Promise<Instance[]> {
    const request = { namespace: of?.namespace ?? '', service: of?.name ?? '' };
    const { instances } = await this.#call(this.#admin.listInstances.bind(this.#admin), request);
    return instances.map((instance) => discovery.instanceFromMessage(instance));
  }

  /** Of one service, or all and hosts outside the mesh. */
  async routes(of?: ServiceRef): Promise<admin.RouteMessage[]> {
    const request = { namespace: of?.namespace ?? '', service: of?.name ?? '' };
    return (await this.#call(this.#admin.listRoutes.bind(this.#admin), request)).routes;
  }

  async proxies(): Promise<admin.ProxyMessage[]> {
    return (await this.#call(this.#admin.listProxies.bind(this.#admin), {})).proxies;
  }

  /** @param node only what this data plane reports. Default: all together. */
  async loads(node = ''): Promise<admin.LoadMessage[]> {
    return (await this.#call(this.#admin.listLoad.bind(this.#admin), { node })).loads;
  }

  /** Each resource of the data planes of this name, with how far they are. */
  async clientStatus(node: string): Promise<csds.ListedClient[]> {
    const nodeMatchers = [{ nodeId: { matchPattern: { $case: 'exact' as const, value: node } } }];
    const fetch: Unary<csds.ClientStatusRequest, csds.ClientStatusResponse> = (...args) => fetchClientStatus(this.#admin, ...args);
    return csds.clientsFromMessage(await this.#call(fetch, { nodeMatchers, excludeResourceContents: true }));
  }

  /** As a data plane answers it that hosts who calls, or the one that is named. Text of JSON. Rejects with CliError. */
  async explain(request: admin.ExplainRequest): Promise<string> {
    return (await this.#call(this.#admin.explain.bind(this.#admin), request)).explanationJson;
  }

  /** Events after the one with the id, oldest first; 0: all that are kept. */
  events(filter: EventFilter, afterId = 0): Promise<admin.ListEventsResponse> {
    const { subject = '', kind = '' } = filter;
    return this.#call(this.#admin.listEvents.bind(this.#admin), { subject, kind, afterId, limit: 0 });
  }

  /** Of one service, or all rules. */
  policies(of?: ServiceRef): Promise<admin.ListPoliciesResponse> {
    return this.#call(this.#admin.listPolicies.bind(this.#admin), { namespace: of?.namespace ?? '', service: of?.name ?? '' });
  }

  /** Oldest first. What is not given is not looked at. */
  audit(filter: Partial<admin.ListAuditRequest>): Promise<admin.ListAuditResponse> {
    const anything = { who: '', action: '', subject: '', outcome: '', sinceMs: 0, afterId: 0, limit: 0 };
    return this.#call(this.#admin.listAudit.bind(this.#admin), { ...anything, ...filter });
  }

  /** @param ttlMs 0: the control plane's default. */
  createAdminToken(name: string, role: string, ttlMs = 0): Promise<JoinTokenGrant> {
    return this.#call(this.#admin.createAdminToken.bind(this.#admin), { name, role, ttlMs });
  }

  /** With which a browser logs in once. */
  createLoginCode(role: string): Promise<admin.CreateLoginCodeResponse> {
    return this.#call(this.#admin.createLoginCode.bind(this.#admin), { role });
  }

  async adminTokens(): Promise<admin.AdminTokenMessage[]> {
    return (await this.#call(this.#admin.listAdminTokens.bind(this.#admin), {})).tokens;
  }

  async revokeAdminToken(name: string): Promise<void> {
    await this.#call(this.#admin.revokeAdminToken.bind(this.#admin), { name });
  }

  /** @param ttlMs 0: the control plane's default. */
  createToken(namespace: string, service: string, ttlMs = 0): Promise<JoinTokenGrant> {
    return this.#call(this.#admin.createToken.bind(this.#admin), { namespace, service, ttlMs });
  }

  async tokens(): Promise<admin.JoinTokenMessage[]> {
    return (await this.#call(this.#admin.listTokens.bind(this.#admin), {})).tokens;
  }

  /** The token as it is then. */
  async revokeToken(id: string): Promise<admin.JoinTokenMessage> {
    const { token } = await this.#call(this.#admin.revokeToken.bind(this.#admin), { id });
    return required(token);
  }

  /** Certificates that are valid and not replaced, oldest first; and identities that are denied. */
  identities(): Promise<admin.ListIdentitiesResponse> {
    return this.#call(this.#admin.listIdentities.bind(this.#admin), {});
  }

  /** Whether it was denied before. */
  async denyIdentity(id: string, reason: string): Promise<boolean> {
    return (await this.#call(this.#admin.denyIdentity.bind(this.#admin), { id, reason })).wasDenied;
  }

  /** Whether it was denied before. */
  async allowIdentity(id: string): Promise<boolean> {
    return (await this.#call(this.#admin.allowIdentity.bind(this.#admin), { id })).wasDenied;
  }

  async authority(): Promise<AuthorityView> {
    return authorityOf((await this.#call(this.#admin.getAuthority.bind(this.#admin), {})).authority);
  }

  /** The authority as it is then. */
  async rotateRoot(step: string, { force, automatic }: { readonly force: boolean; readonly automatic: boolean }): Promise<AuthorityView> {
    return authorityOf((await this.#call(this.#admin.rotateRoot.bind(this.#admin), { step, force, automatic })).authority);
  }

  /** Takes the instance out of rotation; resolves with how the waiting for data planes ended. `onProgress` is called at every step. */
  drain(
    { service, id }: Pick<Instance, 'service' | 'id'>,
    { timeoutMs, reason }: { readonly timeoutMs: number; readonly reason: string },
    onProgress: (report: DrainReport) => void,
  ): Promise<DrainReport> {
    const request = { namespace: service.namespace, service: service.name, instance: id, reason, timeoutMs };
    return this.#follow(this.#admin.drainInstance(request, this.#metadata, this.#deadline(timeoutMs)), onProgress);
  }

  /** Resolves when each data plane that is connected has had what it should have now, or the time is over. `onProgress` is called at every step. */
  followSync(timeoutMs: number, onProgress: (report: DrainReport) => void): Promise<DrainReport> {
    return this.#follow(this.#admin.followSync({ timeoutMs }, this.#metadata, this.#deadline(timeoutMs)), onProgress);
  }

  meshFile(): Promise<admin.GetMeshFileResponse> {
    return this.#call(this.#admin.getMeshFile.bind(this.#admin), {});
  }

  /** @param expectedRevision of the mesh file. Absent: whatever it is at. */
  applyMeshFile(
    { text, files }: { readonly text: string; readonly files: ReadonlyMap<string, string> },
    { dryRun, expectedRevision }: { readonly dryRun: boolean; readonly expectedRevision?: number },
  ): Promise<admin.ApplyMeshFileResponse> {
    const request = { text, files: Object.fromEntries(files), dryRun, expectedRevision };
    return this.#call(this.#admin.applyMeshFile.bind(this.#admin), request, APPLY_DEADLINE_MS);
  }

  /** Of one service, or all. */
  async splits(of?: ServiceRef): Promise<admin.SplitMessage[]> {
    return (await this.#call(this.#admin.listSplits.bind(this.#admin), { namespace: of?.namespace ?? '', service: of?.name ?? '' })).splits;
  }

  setSplit({ namespace, name }: ServiceRef, route: string, weights: admin.SplitMessage['weights']): Promise<admin.SetSplitResponse> {
    const request = { namespace, service: name, route, weights, expectedRevision: undefined };
    return this.#call(this.#admin.setSplit.bind(this.#admin), request);
  }

  /** Puts it back; the instance as it is then. */
  async undrain({ service, id }: Pick<Instance, 'service' | 'id'>): Promise<Instance | undefined> {
    const request = { namespace: service.namespace, service: service.name, instance: id };
    const { instance } = await this.#call(this.#admin.undrainInstance.bind(this.#admin), request);
    return instance === undefined ? undefined : discovery.instanceFromMessage(instance);
  }

  /** @param service of which more is told; empty: none. */
  async traffic(windowMs: number, service: string): Promise<Traffic> {
    const { graphJson, serviceJson, instancesJson, dataPlanesJson } = await this.#call(this.#admin.getTraffic.bind(this.#admin), {
      windowMs,
      service,
      namespace: '',
    });
    const read = (bytes: Uint8Array): never => JSON.parse(new TextDecoder().decode(bytes)) as never;
    return {
      graph: read(graphJson),
      service: serviceJson.length === 0 ? undefined : read(serviceJson),
      instances: read(instancesJson),
      dataPlanes: read(dataPlanesJson),
    };
  }

  /** Live requests. Resolves when it is over; rejects with CliError. `signal` ends it. */
  tap(
    request: admin.TapRequest,
    signal: AbortSignal,
    onMessage: (message: NonNullable<admin.TapResponse['message']>) => void,
  ): Promise<void> {
    const stream = this.#admin.tap(request, this.#metadata);
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        stream.cancel();
        resolve();
      });
      stream.on('data', ({ message }: admin.TapResponse) => {
        if (message !== undefined) onMessage(message);
      });
      stream.on('error', (error: ServiceError) => reject(explainCall(error, this.info)));
      stream.on('end', resolve);
    });
  }

  /** The caller handles `error` and ends it with `cancel`. @param traffic also when traffic has been reported */
  changes(traffic = false): Changes {
    return this.#admin.changes({ traffic }, this.#metadata);
  }

  close(): void {
    this.#admin.close();
    this.#discovery.close();
  }

  #deadline(waitMs = 0, callMs = DEADLINE_MS): { readonly deadline: number } {
    return { deadline: Date.now() + waitMs + callMs };
  }

  #follow(
    stream: ClientReadableStream<{ progress?: discovery.DrainProgressMessage }>,
    onProgress: (report: DrainReport) => void,
  ): Promise<DrainReport> {
    return new Promise((resolve, reject) => {
      let last: DrainReport | undefined;
      stream.on('data', ({ progress }: { progress?: discovery.DrainProgressMessage }) => {
        if (progress === undefined) return;
        const { outcome, dataPlanes, acknowledged, gone, stragglers } = progress;
        last = { outcome: DRAIN_OUTCOMES[outcome] ?? 'waiting', dataPlanes, acknowledged, gone, stragglers };
        onProgress(last);
      });
      stream.on('error', (error: ServiceError) => reject(explainCall(error, this.info)));
      stream.on('end', () => {
        if (last !== undefined) resolve(last);
      });
    });
  }

  #call<Request, Response>(method: Unary<Request, Response>, request: Request, deadlineMs = DEADLINE_MS): Promise<Response> {
    return new Promise((resolve, reject) => {
      method(request, this.#metadata, this.#deadline(0, deadlineMs), (error, response) => {
        if (error !== null) reject(explainCall(error, this.info));
        else resolve(response);
      });
    });
  }
}

function required<T>(part: T | undefined): T {
  if (part === undefined)
    throw new CliError('the control plane answered with a part missing', 'restart the mesh with the release of this command');
  return part;
}

function authorityOf(message: admin.AuthorityMessage | undefined): AuthorityView {
  const authority = required(message);
  return { ...authority, root: required(authority.root) };
}

/** grpc-js wraps what the system said ("No connection established. Last error: … Resolution note: …"). */
export function plainReason(text: string): string {
  const inner = /Last error: (?:Error: )?(.*?)\.? *Resolution note:/s.exec(text)?.[1];
  return inner === undefined ? text.replace(/^\d+ [A-Z_]+: /, '') : inner;
}

/** What a failed call means for the person who made it. */
export function explainCall(error: ServiceError, { address, port }: Pick<ControlInfo, 'address' | 'port'>): CliError {
  const where = `the control plane at ${controlTarget(address, port)}`;
  if (error.code === Status.UNAVAILABLE || error.code === Status.DEADLINE_EXCEEDED) {
    const why = error.code === Status.UNAVAILABLE ? `(${plainReason(error.details)})` : `within ${DEADLINE_MS / 1000} s`;
    return new CliError(`${where} does not answer ${why}`, 'start the mesh with `heddle up`, or see why it stopped', {
      cause: error,
    });
  }
  if (error.code === Status.PERMISSION_DENIED || (error.code === Status.UNAUTHENTICATED && process.env[TOKEN_VARIABLE] !== undefined)) {
    return new CliError(`${where} refused the call: ${error.details}`, 'use a token with another role, in HEDDLE_TOKEN or by --state-dir', {
      cause: error,
    });
  }
  if (error.code === Status.UNAUTHENTICATED) {
    return new CliError(`${where} refused the call: ${error.details}`, 'use the state directory of that control plane: --state-dir', {
      cause: error,
    });
  }
  return new CliError(`${where} answered: ${error.details}`, undefined, { cause: error });
}

/** Throws CliError when the state directory holds no mesh. Connects on first use. `operator`: never with another token. */
export function openControl(stateDirectory: string, as: 'whoever' | 'operator' = 'whoever'): ControlClient {
  const info = readControlInfo(stateDirectory);
  // Several of them while the root is being replaced; a control plane that has not started since it was updated has written one.
  const rootsPem = readStateFile(stateDirectory, 'ca', 'roots.pem') ?? readStateFile(stateDirectory, 'ca', 'root.pem');
  // Who is not the operator brings a token of their own.
  const own = as === 'operator' ? '' : (process.env[TOKEN_VARIABLE]?.trim() ?? '');
  const token = own === '' ? readStateFile(stateDirectory, 'operator.token') : own;
  if (info === undefined || rootsPem === undefined || token === undefined) {
    const missing = info === undefined ? 'control.json' : rootsPem === undefined ? 'ca/root.pem' : 'operator.token';
    throw new CliError(
      // It is written when a control plane serves, and removed when it stops.
      info === undefined
        ? `no control plane runs with ${stateDirectory}`
        : `the state directory ${stateDirectory} is incomplete: ${missing} is missing`,
      'start one with `heddle up`, or name another directory with --state-dir',
    );
  }
  return new ControlClient(info, rootsPem, token);
}
