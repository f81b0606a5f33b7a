// What fields mean to one another: checks that no single field can make. They look at the raw values, so that a file with
// faults of form shows these too. Settings without effect are errors: nothing is silently ignored.
import { parseDuration } from './duration.ts';
import { isReservedVariable } from './environment.ts';
import type { Fault, Path } from './fault.ts';
import { isRecord, shown } from './fault.ts';
import { ATTRIBUTE_NAME, PORT_NAME, PORT_NAME_WORDS, metadataProblem, portsProblem } from '../model/attributes.ts';
import { LABEL_KEY_PATTERN, LABEL_PATTERN, LABEL_WORDS, VARIABLE_PATTERN } from './schema.ts';
import { asLabel, listed, nearest } from './suggest.ts';

type Raw = Record<string, unknown>;

/** In their bytes there are no requests. */
const BYTE_STREAMS: readonly unknown[] = ['tcp', 'tls'];
/** They cannot be asked by HTTP/1.1. */
const NOT_HTTP1: readonly unknown[] = ['http2', 'grpc', ...BYTE_STREAMS];

/** Host names that are not a service's to take. */
const RESERVED_NAMES: Readonly<Record<string, string>> = {
  localhost: '"localhost" always means the machine itself',
  control: '"control.mesh.internal" is the control plane',
};

export function checkMeaning(root: unknown): Fault[] {
  const services = isRecord(root) && isRecord(root['services']) ? root['services'] : {};
  const names = Object.keys(services);
  return names.flatMap((name) => {
    const path = ['services', name];
    const service = services[name];
    return [...checkName(name, path), ...(isRecord(service) ? checkService(service, name, names, path) : [])];
  });
}

function checkService(service: Raw, name: string, names: readonly string[], path: Path): Fault[] {
  return [
    ...checkHealth(service, path),
    ...checkUses(service['uses'], name, names, [...path, 'uses']),
    ...checkRunOnly(service, path),
    ...checkRequestsOnly(service, path),
    ...checkEnvironment(service, name, names, path),
    ...checkLabels(service['labels'], [...path, 'labels']),
    ...checkMetadata(service['metadata'], [...path, 'metadata']),
    ...checkPorts(service, path),
    ...checkRetry(service['retry'], [...path, 'retry', 'on']),
  ];
}

/** RFC 1123 form. */
export function checkNameForm(name: string, path: Path): Fault[] {
  if (LABEL_PATTERN.test(name)) return [];
  const better = asLabel(name);
  const mend = better === '' ? 'choose another name, for example "orders"' : `for example "${better}"`;
  return [{ path, on: 'key', reason: `${shown(name)} is not a service name; a name has ${LABEL_WORDS}`, mend }];
}

/** There is no such service. */
export function unknownService(name: string, known: readonly string[], path: Path): Fault {
  const meant = nearest(name, known);
  const mend =
    meant !== undefined ? `did you mean "${meant}"?` : known.length > 0 ? `use ${listed(known)}, or add the service` : 'add the service';
  return { path, on: 'value', reason: `there is no service ${shown(name)}`, mend };
}

function checkName(name: string, path: Path): Fault[] {
  const faults = checkNameForm(name, path);
  if (faults.length > 0) return faults;
  if (Object.hasOwn(RESERVED_NAMES, name)) {
    return [{ path, on: 'key', reason: `the name is taken: ${RESERVED_NAMES[name]}`, mend: 'choose another name' }];
  }
  if (/^\d/.test(name)) {
    const reason = 'a shell cannot read the variables of a service whose name begins with a digit';
    return [{ severity: 'warning', path, on: 'key', reason, mend: 'begin the name with a letter' }];
  }
  return [];
}

export function checkHealth(service: Raw, path: Path): Fault[] {
  const health = service['health'];
  if (!isRecord(health)) return [];
  const inside = [...path, 'health'];
  const faults: Fault[] = [];
  if (health['http'] !== undefined && health['tcp'] !== undefined) {
    faults.push({ path: [...inside, 'tcp'], on: 'key', reason: 'a check is by http or by tcp, not both', mend: 'remove one of the two' });
  }
  const protocol = service['protocol'];
  if (health['http'] !== undefined && NOT_HTTP1.includes(protocol)) {
    const reason = `an HTTP check needs a service that speaks HTTP/1.1, and this one has protocol ${shown(protocol)}`;
    faults.push({ path: [...inside, 'http'], on: 'key', reason, mend: 'use "tcp: true"' });
  }
  const intervalMs = parseDuration(health['interval'] ?? '2s');
  const timeoutMs = parseDuration(health['timeout']);
  if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs > intervalMs) {
    const interval = health['interval'] === undefined ? 'default interval 2s' : `interval ${String(health['interval'])}`;
    const reason = `${String(health['timeout'])} is longer than the ${interval}, so checks would overlap`;
    faults.push({ path: [...inside, 'timeout'], on: 'value', reason, mend: 'shorten "timeout" or lengthen "interval"' });
  }
  return faults;
}

function checkUses(uses: unknown, self: string, names: readonly string[], path: Path): Fault[] {
  if (!Array.isArray(uses)) return [];
  const faults: Fault[] = [];
  const others = names.filter((name) => name !== self);
  uses.forEach((used: unknown, index) => {
    if (typeof used !== 'string' || used === '') return;
    const at = { path: [...path, index], on: 'value' } as const;
    if (used === self) faults.push({ ...at, reason: 'a service cannot use itself through the mesh', mend: 'remove it' });
    else if (!names.includes(used)) faults.push(unknownService(used, others, at.path));
    else if (uses.indexOf(used) < index) faults.push({ ...at, reason: `${shown(used)} is listed twice`, mend: 'remove one of the two' });
  });
  return faults;
}

export function checkRetry(on: unknown, path: Path): Fault[] {
  const conditions = isRecord(on) ? on['on'] : undefined;
  if (!Array.isArray(conditions)) return [];
  return conditions.flatMap((condition: unknown, index): Fault[] =>
    typeof condition === 'string' && conditions.indexOf(condition) < index
      ? [{ path: [...path, index], on: 'value', reason: `${shown(condition)} is listed twice`, mend: 'remove one of the two' }]
      : [],
  );
}

function checkRunOnly(service: Raw, path: Path): Fault[] {
  if (service['run'] !== undefined) return [];
  const keys = ['cwd', 'env', 'replicas', 'needs', 'stopTimeout', 'version'].filter((key) => service[key] !== undefined);
  const reason = 'has no effect: Heddle does not start this service, since "run" is missing';
  return keys.map((key) => ({ path: [...path, key], on: 'key', reason, mend: 'add "run", or remove the key' }));
}

/** Settings that only requests can have. */
export function checkRequestsOnly(service: Raw, path: Path): Fault[] {
  const protocol = service['protocol'];
  if (!BYTE_STREAMS.includes(protocol)) return [];
  const keys = ['timeout', 'retry'].filter((key) => service[key] !== undefined);
  const reason = `has no effect: a service with protocol ${shown(protocol)} is carried as a byte stream, in which there are no requests`;
  return keys.map((key) => ({
    path: [...path, key],
    on: 'key',
    reason,
    mend: 'remove it, or use protocol http, http2 or grpc if the service speaks one of these',
  }));
}

function checkEnvironment(service: Raw, self: string, names: readonly string[], path: Path): Fault[] {
  const environment = service['env'];
  if (!isRecord(environment)) return [];
  const uses = Array.isArray(service['uses'])
    ? service['uses'].filter((used) => typeof used === 'string')
    : names.filter((name) => name !== self);
  return Object.keys(environment).flatMap((variable): Fault[] => {
    const at = { path: [...path, 'env', variable], on: 'key' } as const;
    if (!VARIABLE_PATTERN.test(variable)) {
      return [
        {
          ...at,
          reason: `${shown(variable)} is not the name of a variable`,
          mend: 'use letters, digits and "_", not beginning with a digit',
        },
      ];
    }
    if (!isReservedVariable(variable, uses)) return [];
    return [{ ...at, reason: 'Heddle sets this variable itself', mend: 'remove it; the process reads the value that Heddle gives' }];
  });
}

function checkLabels(labels: unknown, path: Path): Fault[] {
  if (!isRecord(labels)) return [];
  const wrong = Object.keys(labels).filter((key) => !LABEL_KEY_PATTERN.test(key));
  const mend = 'use letters, digits, ".", "_", "/" and "-", at most 63, beginning and ending with a letter or digit';
  return wrong.map((key) => ({ path: [...path, key], on: 'key', reason: `${shown(key)} is not the name of a label`, mend }));
}

function checkMetadata(metadata: unknown, path: Path): Fault[] {
  if (!isRecord(metadata)) return [];
  const wrong = Object.keys(metadata).filter((key) => !ATTRIBUTE_NAME.test(key));
  const mend = 'use letters, digits, ".", "_", "/" and "-", at most 317, beginning and ending with a letter or digit';
  const names = wrong.map((key): Fault => ({ path: [...path, key], on: 'key', reason: `${shown(key)} is not the name of an entry`, mend }));
  if (names.length > 0) return names;
  // Numbers and booleans are taken as text; how they are written changes little.
  const problem = metadataProblem(Object.entries(metadata).map(([key, value]) => [key, String(value)]));
  if (problem === undefined) return [];
  if (problem.key !== undefined) return [{ path: [...path, problem.key], on: 'value', reason: problem.rule, mend: 'remove it' }];
  return [{ path, on: 'key', reason: problem.rule, mend: 'keep it elsewhere, and put its address here' }];
}

function checkPorts(service: Raw, path: Path): Fault[] {
  const ports = service['ports'];
  if (!isRecord(ports)) return [];
  const inside = [...path, 'ports'];
  const faults = Object.keys(ports)
    .filter((name) => !PORT_NAME.test(name))
    .map(
      (name): Fault => ({
        path: [...inside, name],
        on: 'key',
        reason: `${shown(name)} is not the name of a port`,
        mend: `use ${PORT_NAME_WORDS}`,
      }),
    );
  const problem = faults.length > 0 ? undefined : portsProblem(Object.entries(ports));
  if (problem !== undefined && problem.key === undefined)
    faults.push({ path: inside, on: 'key', reason: problem.rule, mend: 'remove those that nobody asks for' });
  if (Object.keys(ports).length > 0 && service['run'] !== undefined && Number(service['replicas'] ?? 1) > 1) {
    const reason = 'the instances that Heddle starts here cannot all listen on the same port';
    faults.push({ path: inside, on: 'key', reason, mend: 'use "replicas: 1", or remove "ports"' });
  }
  return faults;
}
