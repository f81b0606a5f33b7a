// Keys and values that have a better answer than a spelling hint: what this version does not do yet (when a feature arrives, its line here goes),
// what it never will, and what belongs elsewhere in the file.
import type { Path } from './fault.ts';

/** Values that people write, with the reason why they are not taken; it follows the value. */
export interface RefusedValues {
  readonly values: readonly string[];
  readonly reason: string;
  readonly mend: string;
}

const NOT_YET = 'is not supported by this version of Heddle';

/** By path, `*` for any name; the text is what to do. */
export interface Planned {
  readonly keys: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, readonly RefusedValues[]>>;
  /** Keys that exist, in another place. */
  readonly elsewhere: Readonly<Record<string, string>>;
}

const IN_BALANCE = 'write it in "balance", for example "balance: { policy: ring-hash, hash: [{ header: x-user }] }"';
const IN_RETRY = 'write it in "retry", for example "retry: { perTry: 500ms, budget: 20% }"';
const IN_TO = 'write it in "to", for example "to: { labels: { version: v2 } }"';
const OF_SERVICE = 'it is for all requests to the service together: write it below "services"';

/** Of a service, in the mesh file and in the file of a static proxy. */
const SERVICE_ELSEWHERE: Planned['elsewhere'] = {
  'services.*.hash': IN_BALANCE,
  'services.*.slowStart': IN_BALANCE,
  'services.*.panic': IN_BALANCE,
  'services.*.locality': IN_BALANCE,
  'services.*.perTry': IN_RETRY,
  'services.*.budget': IN_RETRY,
};

const RULE_ELSEWHERE: Planned['elsewhere'] = Object.fromEntries(
  [
    ...['balance', 'outlier', 'breaker', 'concurrency', 'sticky', 'connectTimeout', 'health', 'retry.budget'].map((key) => [
      key,
      OF_SERVICE,
    ]),
    ...['labels', 'weight', 'service'].map((key) => [key, IN_TO]),
  ].map(([key, mend]) => [`routes.*.rules.*.${key}`, mend as string]),
);

const AS_ROUTES = 'write it at the top of the file: "routes: [{ service: NAME, rules: [...] }]"';

const IN_ACCESS = 'write it in "access", for example "access: { rules: [{ from: [web], to: orders }] }"';
const IN_ISSUERS = 'write it in "issuers", for example "issuers: [{ name: login, issuer: https://id.example, audiences: [shop] }]"';
const WITH_ACCESS = 'write it in "access" of "security" at the top, as a rule "to" this service';

const IN_A_FILE = 'put it into a file of its own, with "clientSecretFile: FILE" here; a secret that others have seen must be replaced';

const SECURITY_ELSEWHERE: Planned['elsewhere'] = {
  'services.*.security': 'write "mtls" alone here; the rest is for the whole mesh and stands in "security" at the top',
  'services.*.access': WITH_ACCESS,
  'services.*.allow': WITH_ACCESS,
  'services.*.deny': WITH_ACCESS,
  'services.*.issuers': 'write it in "security" at the top; it is for the whole mesh',
  'services.*.tls': 'write "tls" in "security" at the top; calls between workloads are encrypted without it',
  'security.rules': IN_ACCESS,
  'security.roles': IN_ACCESS,
  'security.default': IN_ACCESS,
  'security.authorizer': IN_ACCESS,
  'security.jwt': IN_ISSUERS,
  'security.jwks': IN_ISSUERS,
  'security.access.deny': 'write "effect: deny" in a rule, or "deny" one level up for identities that must be gone',
  'security.access.allow': 'write it as a rule: "rules: [{ from: [web], to: orders }]"',
  'security.access.rules.*.action': 'write "effect: deny" or "effect: allow"',
  'security.access.rules.*.permissions': 'write what it asks for in the rule itself: methods, paths, grpc, hosts, headers',
  'security.access.rules.*.authority': 'write it in "hosts"',
  'security.access.rules.*.match': 'write what it asks for in the rule itself: methods, paths, grpc, hosts, headers',
  'security.issuers.*.jwks': 'write it as "keys": a URL, or { file: jwks.json }',
  'security.issuers.*.introspection.clientSecret': IN_A_FILE,
  'security.outbound.*.clientSecret': IN_A_FILE,
  'security.issuers.*.url': 'write it as "issuer"',
};

/** RFC 7518 §3.1. */
const NOT_ALGORITHMS: readonly RefusedValues[] = [
  {
    values: ['none', 'None', 'NONE'],
    reason: 'means no signature at all: anybody could write such a token',
    mend: 'remove it',
  },
  {
    values: ['HS256', 'HS384', 'HS512'],
    reason: 'is symmetric: whoever can check such a token could issue one, too',
    mend: 'let the issuer sign with RS256, ES256 or EdDSA',
  },
];

const IN_TRACING = 'write it in "tracing", for example "tracing: { otlp: http://127.0.0.1:4318, sample: 1% }"';

export const MESH_PLANNED: Planned = {
  keys: {},
  values: { 'security.issuers.*.algorithms.*': NOT_ALGORITHMS },
  elsewhere: {
    ...SERVICE_ELSEWHERE,
    ...RULE_ELSEWHERE,
    ...SECURITY_ELSEWHERE,
    'services.*.routes': AS_ROUTES,
    'services.*.rules': AS_ROUTES,
    'services.*.egress': 'write it at the top of the file; it is for the whole mesh',
    tracing: 'write it in "telemetry"',
    accessLog: 'write it in "telemetry"',
    'telemetry.otlp': IN_TRACING,
    'telemetry.sample': IN_TRACING,
    'services.*.accessLog': 'write it in "telemetry" of the service, and where it goes in "telemetry" at the top',
    'services.*.tracing': 'write it in "telemetry" of the service',
    'services.*.telemetry.tracing.otlp': 'write it in "telemetry" at the top of the file; it is for the whole mesh',
    'services.*.telemetry.accessLog.to': 'write it in "telemetry" at the top of the file; it is for the whole mesh',
    'services.*.telemetry.accessLog.format': 'write it in "telemetry" at the top of the file; it is for the whole mesh',
    'services.*.telemetry.accessLog.headers': 'write it in "telemetry" at the top of the file; it is for the whole mesh',
    'services.*.telemetry.prometheus': 'write it in "telemetry" at the top of the file; it is for the whole mesh',
  },
};

export const STATIC_PLANNED: Planned = {
  keys: {
    'listeners.*.routes': 'remove it; a listener leads to one service',
    'services.*.rateLimit': 'remove it; "breaker" and "concurrency" limit what a service is asked at a time',
  },
  values: {},
  elsewhere: {
    ...SERVICE_ELSEWHERE,
    'services.*.weights': 'write them with the endpoints: "endpoints: [{ address: 127.0.0.1:9000, weight: 2 }]"',
    'services.*.weight': 'write it with the endpoint: "endpoints: [{ address: 127.0.0.1:9000, weight: 2 }]"',
  },
};

/** What to do instead of a key that is planned; undefined when it is not. */
export function plannedKey(planned: Planned, path: Path): string | undefined {
  return lookUp(planned.keys, path);
}

/** Where a key belongs that stands in the wrong place; undefined when it does not. */
export function elsewhereKey(planned: Planned, path: Path): string | undefined {
  return lookUp(planned.elsewhere, path);
}

/** Why a value is not taken, and what to do instead; undefined when there is nothing to say about it. */
export function plannedValue(planned: Planned, path: Path, value: unknown): Omit<RefusedValues, 'values'> | undefined {
  if (typeof value === 'string') return lookUp(planned.values, path)?.find(({ values }) => values.includes(value));
  const isScaling = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isScaling && pattern(path) === 'services.*.replicas'
    ? { reason: NOT_YET, mend: 'write a fixed number, for example "replicas: 2"' }
    : undefined;
}

function lookUp<T>(table: Readonly<Record<string, T>>, path: Path): T | undefined {
  const key = pattern(path);
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

function pattern(path: Path): string {
  return path.map((step, index) => (typeof step === 'number' || (index === 1 && path[0] === 'services') ? '*' : step)).join('.');
}
