// Every operation of the REST API in one table: the router serves it, the OpenAPI document tells it, the tests hold answers against it.
import { z } from 'zod';
import type { Role } from '../server/caller.ts';
import type { ProblemCode } from './problems.ts';
import {
  AdminTokenList,
  AdminTokenPath,
  AuditList,
  AuditQuery,
  MadeAdminToken,
  NewAdminToken,
  Policies,
  PoliciesQuery,
} from './schema/administration.ts';
import { EventList, EventQuery } from './schema/events.ts';
import {
  Authority,
  Denial,
  DeniedIdentity,
  DeniedList,
  DeniedPath,
  IdentityList,
  IdentityQuery,
  JoinTokenList,
  JoinTokenPath,
  JoinTokenQuery,
  RotationRequest,
} from './schema/identities.ts';
import {
  Drain,
  DrainAnswer,
  DrainQuery,
  HealthReport,
  Heartbeat,
  HeartbeatAnswer,
  InstanceDetail,
  InstanceList,
  InstancePath,
  InstanceQuery,
  Registered,
  Registration,
} from './schema/instances.ts';
import { cursor, limit, namespaceName } from './schema/common.ts';
import { Mesh, NewToken, Serving, Token, Validation } from './schema/mesh.ts';
import {
  ApplyQuery,
  MESH_FILE_BYTES_MAX,
  MeshFile,
  MeshFileChange,
  NewSplit,
  SentMeshFile,
  SplitAnswer,
  SplitList,
  SplitPath,
} from './schema/mesh-file.ts';
import { LoadList, PROXIES_PAGE_MAX, Proxy, ProxyList, ProxyPath, ScrapeTargets, nodeName } from './schema/proxies.ts';
import { AddressList, RouteList, RouteQuery, ServiceDetail, ServiceList, ServicePath, ServiceQuery } from './schema/services.ts';
import { WatchQuery } from './schema/watch.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

export interface Answer {
  readonly description: string;
  /** Absent: the answer has no body. */
  readonly schema?: z.ZodType;
  /** Of the body; `application/json` unless it says otherwise. */
  readonly mediaType?: string;
}

export interface Operation {
  readonly method: Method;
  /** With `{name}` for what `path` describes. */
  readonly url: string;
  readonly tag: 'mesh' | 'administration' | 'identities' | 'services' | 'instances' | 'proxies' | 'events' | 'watch';
  readonly summary: string;
  readonly description?: string;
  /** Which one is needed. Absent: it is answered to everybody. */
  readonly role?: Role;
  readonly path?: z.ZodType;
  readonly query?: z.ZodType;
  /** A JSON body. */
  readonly body?: z.ZodType;
  /** The body may be left out, which means an empty object. */
  readonly bodyOptional?: boolean;
  /** Of a JSON body; 1 MiB unless it says otherwise. */
  readonly bodyBytesMax?: number;
  /** A body of text, of one of these media types; with `body` either of the two. */
  readonly text?: { readonly mediaTypes: readonly string[]; readonly description: string; readonly example: string };
  /** `if-match` with an entity tag of the resource makes it conditional; `if-none-match: *` on PUT: only when there is none. */
  readonly conditional?: boolean;
  /** `false`: it changes nothing, whatever its method. */
  readonly changes?: false;
  /** It comes all the time. */
  readonly frequent?: true;
  /** Its answer carries an entity tag, and `if-none-match` is honoured. */
  readonly tagged?: boolean;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Besides those that every operation may have. */
  readonly problems?: readonly ProblemCode[];
}

const EMPTY = z.strictObject({});
const ONE_INSTANCE = '/api/v1/instances/{namespace}/{service}/{instance}';
const INSTANCE_ANSWER = { 200: { description: 'The instance as it is then.', schema: HeartbeatAnswer } };

const MESH_TEXT = {
  mediaTypes: ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/plain'],
  description: 'The text of the file.',
  example: 'mesh: shop\nservices:\n  orders: { port: 8081 }\n',
};

export const OPERATIONS = {
  getHealth: {
    method: 'GET',
    url: '/healthz',
    tag: 'mesh',
    summary: 'Whether the process answers',
    answers: { 200: { description: 'It does.', schema: Serving } },
  },
  getReadiness: {
    method: 'GET',
    url: '/readyz',
    tag: 'mesh',
    summary: 'Whether the control plane serves',
    answers: { 200: { description: 'It serves.', schema: Serving } },
    problems: ['UNAVAILABLE'],
  },
  getDocument: {
    method: 'GET',
    url: '/api/v1/openapi.json',
    tag: 'mesh',
    summary: 'This document',
    answers: { 200: { description: 'OpenAPI 3.1.', schema: z.record(z.string(), z.unknown()) } },
  },
  getMetrics: {
    method: 'GET',
    url: '/metrics',
    tag: 'mesh',
    summary: 'Metrics of the control plane, for Prometheus',
    description:
      'As text in the exposition format 0.0.4, or as OpenMetrics 1.0 to who accepts that. Those of data planes are at their own admin APIs.',
    role: 'viewer',
    answers: { 200: { description: 'All metrics, as the reference lists them.', schema: z.string(), mediaType: 'text/plain' } },
  },
  listScrapeTargets: {
    method: 'GET',
    url: '/api/v1/prometheus/targets',
    tag: 'proxies',
    summary: 'Where data planes show their metrics',
    description:
      'In the form in which Prometheus discovers targets by HTTP (`http_sd_configs`). Data planes show metrics on the loopback of their machine: those on other machines than that of the control plane are not listed.',
    role: 'viewer',
    answers: { 200: { description: 'One group for each data plane, sorted by node.', schema: ScrapeTargets } },
  },
  getMesh: {
    method: 'GET',
    url: '/api/v1/mesh',
    tag: 'mesh',
    summary: 'The mesh as a whole',
    role: 'viewer',
    answers: { 200: { description: 'Its name, version, revision and numbers.', schema: Mesh } },
  },
  createToken: {
    method: 'POST',
    url: '/api/v1/tokens',
    tag: 'identities',
    summary: 'Make a join token',
    role: 'operator',
    description: 'As `heddle token create`: a token with which a workload proves once which service it is of.',
    body: NewToken,
    answers: { 201: { description: 'The token.', schema: Token } },
    problems: ['NOT_FOUND'],
  },
  listTokens: {
    method: 'GET',
    url: '/api/v1/tokens',
    tag: 'identities',
    summary: 'Join tokens',
    role: 'viewer',
    description: 'As `heddle token list`: what is known of them; their secrets are not.',
    query: JoinTokenQuery,
    answers: { 200: { description: 'Newest first.', schema: JoinTokenList } },
  },
  revokeToken: {
    method: 'DELETE',
    url: '/api/v1/tokens/{id}',
    tag: 'identities',
    summary: 'Revoke a join token',
    role: 'operator',
    description: 'It can be used no more. One that was used, or has ended, is refused with `REFUSED`.',
    path: JoinTokenPath,
    answers: { 204: { description: 'It is revoked.' } },
    problems: ['NOT_FOUND', 'REFUSED'],
  },
  listIdentities: {
    method: 'GET',
    url: '/api/v1/identities',
    tag: 'identities',
    summary: 'Certificates that are valid',
    role: 'viewer',
    description: 'As `heddle identity list`.',
    query: IdentityQuery,
    answers: { 200: { description: 'Oldest first.', schema: IdentityList } },
  },
  listDeniedIdentities: {
    method: 'GET',
    url: '/api/v1/denied-identities',
    tag: 'identities',
    summary: 'Identities that are denied',
    role: 'viewer',
    answers: { 200: { description: "The operator's and those of the mesh file.", schema: DeniedList } },
  },
  denyIdentity: {
    method: 'PUT',
    url: '/api/v1/denied-identities/{namespace}/{service}',
    tag: 'identities',
    summary: 'Deny an identity',
    role: 'operator',
    description: 'As `heddle identity deny`: it gets no certificate and no token any more, and its connections are closed everywhere.',
    path: DeniedPath,
    body: Denial,
    bodyOptional: true,
    answers: {
      200: { description: 'It was denied already.', schema: DeniedIdentity },
      201: { description: 'It is denied.', schema: DeniedIdentity },
    },
    problems: ['LIMIT'],
  },
  allowIdentity: {
    method: 'DELETE',
    url: '/api/v1/denied-identities/{namespace}/{service}',
    tag: 'identities',
    summary: 'Take a denial back',
    role: 'operator',
    description: 'As `heddle identity allow`. One that stands in the mesh file is taken back there.',
    path: DeniedPath,
    answers: { 204: { description: 'It may have certificates again.' } },
    problems: ['NOT_FOUND'],
  },
  getAuthority: {
    method: 'GET',
    url: '/api/v1/authority',
    tag: 'identities',
    summary: 'The certificate authority, and how far the replacement of its root is',
    role: 'viewer',
    description: 'As `heddle ca rotate status`.',
    answers: { 200: { description: 'As it is now.', schema: Authority } },
  },
  rotateRoot: {
    method: 'POST',
    url: '/api/v1/authority/rotation',
    tag: 'identities',
    summary: 'Make one step of the replacement of the root',
    role: 'operator',
    description: 'As `heddle ca rotate`. A step that may not be made yet is refused with `REFUSED`, and with what stands in the way.',
    body: RotationRequest,
    answers: { 200: { description: 'As it is then.', schema: Authority } },
    problems: ['REFUSED'],
  },
  listAdminTokens: {
    method: 'GET',
    url: '/api/v1/admin-tokens',
    tag: 'administration',
    summary: 'Tokens of those who administer the mesh',
    role: 'viewer',
    answers: { 200: { description: 'Sorted by name, without what is secret.', schema: AdminTokenList } },
  },
  createAdminToken: {
    method: 'POST',
    url: '/api/v1/admin-tokens',
    tag: 'administration',
    summary: 'Make a token for somebody who administers the mesh',
    role: 'operator',
    description: 'As `heddle token create --admin`.',
    body: NewAdminToken,
    answers: { 201: { description: 'The token.', schema: MadeAdminToken } },
    problems: ['LIMIT'],
  },
  revokeAdminToken: {
    method: 'DELETE',
    url: '/api/v1/admin-tokens/{name}',
    tag: 'administration',
    summary: 'Revoke such a token',
    role: 'operator',
    description: 'It is refused from then on.',
    path: AdminTokenPath,
    answers: { 204: { description: 'It is revoked.' } },
    problems: ['NOT_FOUND'],
  },
  listAudit: {
    method: 'GET',
    url: '/api/v1/audit',
    tag: 'administration',
    summary: 'Who has changed what, and who was refused',
    role: 'viewer',
    query: AuditQuery,
    answers: { 200: { description: 'Oldest first.', schema: AuditList } },
  },
  listPolicies: {
    method: 'GET',
    url: '/api/v1/policies',
    tag: 'services',
    summary: 'Who may call whom',
    role: 'viewer',
    query: PoliciesQuery,
    answers: { 200: { description: 'The rules in their order.', schema: Policies } },
    problems: ['NOT_FOUND'],
  },
  listRoutes: {
    method: 'GET',
    url: '/api/v1/routes',
    tag: 'services',
    summary: 'How requests are routed',
    role: 'viewer',
    description: 'As `heddle get routes`. Without parameters also those of hosts outside the mesh.',
    query: RouteQuery,
    answers: { 200: { description: 'In the order in which they are tried.', schema: RouteList } },
  },
  validateMeshFile: {
    method: 'POST',
    url: '/api/v1/validate',
    tag: 'mesh',
    summary: 'Check a mesh file',
    role: 'viewer',
    description: 'As `heddle validate`: every problem with its line and column. Nothing is changed.',
    changes: false,
    text: MESH_TEXT,
    answers: { 200: { description: 'What is wrong with it, if anything.', schema: Validation } },
  },
  getMeshFile: {
    method: 'GET',
    url: '/api/v1/mesh-file',
    tag: 'mesh',
    summary: 'The mesh file that holds, and where it comes from',
    role: 'operator',
    tagged: true,
    answers: { 200: { description: 'As it is now.', schema: MeshFile } },
  },
  applyMeshFile: {
    method: 'PUT',
    url: '/api/v1/mesh-file',
    tag: 'mesh',
    summary: 'Put another mesh file in place',
    role: 'operator',
    description:
      'As `heddle apply`: it holds at once, and after a restart of the control plane as long as its own file stays as it is. With `dryRun` nothing is changed, as `heddle diff`. A file that names others (keys of issuers, authorities) is sent as JSON, with what is in them. What is wrong with the file is told in `problems`.',
    query: ApplyQuery,
    conditional: true,
    body: SentMeshFile,
    bodyBytesMax: MESH_FILE_BYTES_MAX,
    text: MESH_TEXT,
    answers: { 200: { description: 'What it changes.', schema: MeshFileChange } },
    problems: ['LIMIT'],
  },
  listSplits: {
    method: 'GET',
    url: '/api/v1/splits',
    tag: 'services',
    summary: 'Rules that split traffic, and how',
    role: 'viewer',
    query: RouteQuery,
    answers: { 200: { description: 'With their weights.', schema: SplitList } },
  },
  setSplit: {
    method: 'PUT',
    url: '/api/v1/services/{namespace}/{service}/routes/{route}/split',
    tag: 'services',
    summary: 'Change the weights of a split',
    role: 'editor',
    description:
      'As `heddle split`: the rule must lead to several destinations already, each of which is given its weight. It stays until a mesh file is applied, or the control plane is started with another one.',
    path: SplitPath,
    conditional: true,
    body: NewSplit,
    answers: { 200: { description: 'The weights as they are then.', schema: SplitAnswer } },
    problems: ['NOT_FOUND'],
  },
  listServices: {
    method: 'GET',
    url: '/api/v1/services',
    tag: 'services',
    summary: 'Services',
    role: 'viewer',
    query: ServiceQuery,
    tagged: true,
    answers: { 200: { description: 'Sorted by namespace and name.', schema: ServiceList } },
  },
  getService: {
    method: 'GET',
    url: '/api/v1/services/{namespace}/{service}',
    tag: 'services',
    summary: 'One service with its settings and its instances',
    role: 'viewer',
    path: ServicePath,
    tagged: true,
    answers: { 200: { description: 'The service.', schema: ServiceDetail } },
    problems: ['NOT_FOUND'],
  },
  listAddresses: {
    method: 'GET',
    url: '/api/v1/addresses',
    tag: 'services',
    summary: 'Names and addresses of services',
    role: 'viewer',
    description: 'As `example.Discovery/ListServices`: the shortest answer to the question who is where.',
    query: z.strictObject({ namespace: namespaceName.optional() }),
    tagged: true,
    answers: { 200: { description: 'Sorted by name and address.', schema: AddressList } },
  },
  listInstances: {
    method: 'GET',
    url: '/api/v1/instances',
    tag: 'instances',
    summary: 'Instances',
    role: 'viewer',
    query: InstanceQuery,
    tagged: true,
    answers: { 200: { description: 'Sorted by namespace, service and name.', schema: InstanceList } },
  },
  getInstance: {
    method: 'GET',
    url: ONE_INSTANCE,
    tag: 'instances',
    summary: 'One instance, with all that its verdict was made from',
    role: 'viewer',
    path: InstancePath,
    tagged: true,
    answers: { 200: { description: 'The instance.', schema: InstanceDetail } },
    problems: ['NOT_FOUND'],
  },
  registerInstance: {
    method: 'PUT',
    url: ONE_INSTANCE,
    tag: 'instances',
    summary: 'Register an instance',
    role: 'editor',
    description:
      'Puts it in place of any of the same name, with a lease that heartbeats renew. A registration that is repeated replaces itself: send it again when a heartbeat is answered with `EXPIRED`.',
    path: InstancePath,
    conditional: true,
    body: Registration,
    answers: {
      200: { description: 'It replaced an earlier registration.', schema: Registered },
      201: { description: 'It is registered.', schema: Registered },
    },
    problems: ['NOT_FOUND', 'LIMIT'],
  },
  deregisterInstance: {
    method: 'DELETE',
    url: ONE_INSTANCE,
    tag: 'instances',
    summary: 'Remove an instance',
    role: 'editor',
    path: InstancePath,
    conditional: true,
    answers: { 204: { description: 'It is gone.' } },
    problems: ['NOT_FOUND'],
  },
  heartbeat: {
    method: 'POST',
    url: `${ONE_INSTANCE}/heartbeat`,
    tag: 'instances',
    summary: 'Renew the lease of a registration',
    role: 'editor',
    description: 'Starts its time anew, and takes in what is reported about the health of the instance.',
    frequent: true,
    path: InstancePath,
    body: Heartbeat,
    answers: INSTANCE_ANSWER,
    problems: ['EXPIRED', 'SUPERSEDED'],
  },
  reportHealth: {
    method: 'POST',
    url: `${ONE_INSTANCE}/health`,
    tag: 'instances',
    summary: 'Give the verdict of an outside detector',
    role: 'editor',
    description:
      'An unhealthy verdict takes the instance out of rotation until the same detector reports it healthy. A healthy one takes back its own verdict, and no other.',
    path: InstancePath,
    conditional: true,
    body: HealthReport,
    answers: INSTANCE_ANSWER,
    problems: ['NOT_FOUND', 'LIMIT'],
  },
  drainInstance: {
    method: 'PUT',
    url: `${ONE_INSTANCE}/drain`,
    tag: 'instances',
    summary: 'Take an instance out of rotation',
    role: 'editor',
    description:
      'It gets no new calls; those that run end. It stays so, also when it registers again, until it is put back. With `waitMs` the answer comes when every data plane has acknowledged it, or with those that have not.',
    path: InstancePath,
    query: DrainQuery,
    conditional: true,
    body: Drain,
    bodyOptional: true,
    answers: { 200: { description: 'The instance as it is then.', schema: DrainAnswer } },
    problems: ['NOT_FOUND', 'LIMIT'],
  },
  undrainInstance: {
    method: 'DELETE',
    url: `${ONE_INSTANCE}/drain`,
    tag: 'instances',
    summary: 'Put an instance back into rotation',
    role: 'editor',
    path: InstancePath,
    conditional: true,
    answers: INSTANCE_ANSWER,
    problems: ['NOT_FOUND'],
  },
  listProxies: {
    method: 'GET',
    url: '/api/v1/proxies',
    tag: 'proxies',
    summary: 'Data planes that are connected, and what each has applied',
    role: 'viewer',
    query: z.strictObject({ node: nodeName.optional(), limit: limit(PROXIES_PAGE_MAX, 500), cursor: cursor('the id of a data plane') }),
    answers: { 200: { description: 'Sorted by node.', schema: ProxyList } },
  },
  getProxy: {
    method: 'GET',
    url: '/api/v1/proxies/{node}',
    tag: 'proxies',
    summary: 'One data plane',
    role: 'viewer',
    description: 'When several connections say they are of this node, the newest one.',
    path: ProxyPath,
    answers: { 200: { description: 'The data plane.', schema: Proxy } },
    problems: ['NOT_FOUND'],
  },
  listLoad: {
    method: 'GET',
    url: '/api/v1/load',
    tag: 'proxies',
    summary: 'Who calls whom, and how much',
    role: 'viewer',
    description: 'From what the data planes report; what is not reported any more is forgotten within a minute.',
    query: z.strictObject({ node: nodeName.optional(), limit: limit(PROXIES_PAGE_MAX, 500), cursor: cursor('SOURCE DESTINATION') }),
    answers: { 200: { description: 'Sorted by source and destination.', schema: LoadList } },
  },
  listEvents: {
    method: 'GET',
    url: '/api/v1/events',
    tag: 'events',
    summary: 'What has happened',
    role: 'viewer',
    query: EventQuery,
    answers: { 200: { description: 'Oldest first.', schema: EventList } },
  },
  watch: {
    method: 'GET',
    url: '/api/v1/watch',
    tag: 'watch',
    summary: 'Everything there is, then every change',
    role: 'viewer',
    description:
      'Server-sent events: `snapshot` (WatchSnapshot), then `changes` (WatchChanges). With the header `last-event-id` of an earlier stream it goes on from there: `resumed` (WatchResumed), or `resync` (WatchResync) and snapshots when that lies too far back. A slow reader gets fewer and larger changes; one that reads nothing for a minute is disconnected.',
    query: WatchQuery,
    answers: {
      200: { description: 'A stream that does not end by itself.', mediaType: 'text/event-stream', schema: z.string() },
    },
    problems: ['LIMIT', 'UNAVAILABLE'],
  },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;

type Part<O, K extends string> = O extends { readonly [key in K]: infer S extends z.ZodType } ? z.output<S> : z.output<typeof EMPTY>;

/** What the handler of an operation is given: checked, with defaults filled in. */
export interface Input<Id extends OperationId> {
  readonly path: Part<(typeof OPERATIONS)[Id], 'path'>;
  readonly query: Part<(typeof OPERATIONS)[Id], 'query'>;
  readonly body: Part<(typeof OPERATIONS)[Id], 'body'>;
  /** Of an operation with a body of text. */
  readonly text: string;
}
