// What Heddle's design shows but this version does not do yet. Such keys and values get an honest answer instead of a
// spelling hint; when a feature arrives, its line here goes.
import type { Path } from './fault.ts';

/** Keys and values by path, `*` for any name; the text is what to do for now. */
export interface Planned {
  readonly keys: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, { readonly values: readonly string[]; readonly mend: string }>>;
}

/** Of a service, in the mesh file and in the file of a static proxy. */
const SERVICE_KEYS: Planned['keys'] = {
  'services.*.breaker': 'remove it',
  'services.*.outlier': 'remove it; "health" takes failing instances out',
  'services.*.retry.perTry': 'remove it; "timeout" limits all tries together',
  'services.*.retry.budget': 'remove it; "attempts" limits the tries',
  'services.*.health.grpc': 'use "tcp: true"',
};

const SERVICE_VALUES: Planned['values'] = {
  'services.*.balance': {
    values: ['random', 'weighted', 'least-response-time', 'least-request', 'probing', 'ring-hash', 'maglev'],
    mend: 'use "round-robin"',
  },
  'services.*.retry.on.*': { values: ['5xx'], mend: 'use "connect-failure", "refused" or "reset"' },
};

export const MESH_PLANNED: Planned = {
  keys: {
    ...SERVICE_KEYS,
    routes: 'remove it; every request goes to the service that its host names',
    'security.issuers': 'remove it; check tokens in the application for now',
    'security.access': 'remove it; every workload of the mesh may call every service for now',
    'services.*.security': 'remove it; "security" at the top is for the whole mesh',
    'services.*.mtls': 'remove it; mutual TLS is always on',
  },
  values: { ...SERVICE_VALUES, 'security.mtls': { values: ['permissive', 'off'], mend: 'use "strict"' } },
};

export const STATIC_PLANNED: Planned = {
  keys: {
    ...SERVICE_KEYS,
    'listeners.*.routes': 'remove it; a listener leads to one service',
    'services.*.weights': 'remove it; all endpoints have the same weight',
  },
  values: SERVICE_VALUES,
};

/** What to do instead of a key that is planned; undefined when it is not. */
export function plannedKey(planned: Planned, path: Path): string | undefined {
  return lookUp(planned.keys, path);
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
