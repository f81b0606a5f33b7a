// What Heddle's design shows but this version does not do yet. Such keys and values get an honest answer instead of a
// spelling hint; when a feature arrives, its line here goes.
import type { Path } from './fault.ts';

/** Keys by path, `*` for any name; the text is what to do for now. */
const KEYS: Readonly<Record<string, string>> = {
  routes: 'remove it; every request goes to the service that its host names',
  'security.issuers': 'remove it; check tokens in the application for now',
  'security.access': 'remove it; every workload of the mesh may call every service for now',
  'services.*.breaker': 'remove it',
  'services.*.outlier': 'remove it; "health" takes failing instances out',
  'services.*.security': 'remove it; "security" at the top is for the whole mesh',
  'services.*.mtls': 'remove it; mutual TLS is always on',
  'services.*.retry.perTry': 'remove it; "timeout" limits all tries together',
  'services.*.retry.budget': 'remove it; "attempts" limits the tries',
  'services.*.health.grpc': 'use "tcp: true"',
};

const VALUES: Readonly<Record<string, { readonly values: readonly string[]; readonly mend: string }>> = {
  'security.mtls': { values: ['permissive', 'off'], mend: 'use "strict"' },
  'services.*.balance': {
    values: ['random', 'weighted', 'least-response-time', 'least-request', 'probing', 'ring-hash', 'maglev'],
    mend: 'use "round-robin"',
  },
  'services.*.retry.on.*': { values: ['5xx'], mend: 'use "connect-failure", "refused" or "reset"' },
};

/** What to do instead of a key that is planned; undefined when it is not. */
export function plannedKey(path: Path): string | undefined {
  return lookUp(KEYS, path);
}

/** What to do instead of a value that is planned; undefined when it is not. */
export function plannedValue(path: Path, value: unknown): string | undefined {
  if (typeof value === 'string') {
    const entry = lookUp(VALUES, path);
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
