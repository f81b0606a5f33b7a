// Keys and values that have a better answer than a spelling hint: what Heddle's design shows but this version does not do yet (when a
// feature arrives, its line here goes), and what belongs elsewhere in the file.
import type { Path } from './fault.ts';

/** By path, `*` for any name; the text is what to do. */
export interface Planned {
  readonly keys: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, { readonly values: readonly string[]; readonly mend: string }>>;
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

export const MESH_PLANNED: Planned = {
  keys: {
    'security.issuers': 'remove it; check tokens in the application for now',
    'security.access': 'remove it; every workload of the mesh may call every service for now',
    'services.*.security': 'remove it; "security" at the top is for the whole mesh',
    'services.*.mtls': 'remove it; mutual TLS is always on',
  },
  values: { 'security.mtls': { values: ['permissive', 'off'], mend: 'use "strict"' } },
  elsewhere: {
    ...SERVICE_ELSEWHERE,
    ...RULE_ELSEWHERE,
    'services.*.routes': AS_ROUTES,
    'services.*.rules': AS_ROUTES,
    'services.*.egress': 'write it at the top of the file; it is for the whole mesh',
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

/** What to do instead of a value that is planned; undefined when it is not. */
export function plannedValue(planned: Planned, path: Path, value: unknown): string | undefined {
  if (typeof value === 'string') {
    const entry = lookUp(planned.values, path);
    return entry?.values.includes(value) ? entry.mend : undefined;
  }
  const isScaling = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isScaling && pattern(path) === 'services.*.replicas' ? 'write a fixed number, for example "replicas: 2"' : undefined;
}

function lookUp<T>(table: Readonly<Record<string, T>>, path: Path): T | undefined {
  const key = pattern(path);
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

function pattern(path: Path): string {
  return path.map((step, index) => (typeof step === 'number' || (index === 1 && path[0] === 'services') ? '*' : step)).join('.');
}
