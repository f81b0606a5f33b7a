// What the fields of one service mean to one another, but for how it is called: names, processes, what it says about itself.
import { isReservedVariable } from '../environment.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { ATTRIBUTE_NAME, PORT_NAME, PORT_NAME_WORDS, metadataProblem, portsProblem } from '../../model/attributes.ts';
import { LABEL_KEY_PATTERN, LABEL_PATTERN, LABEL_WORDS, VARIABLE_PATTERN } from '../schema/fields.ts';
import { asLabel, listed, nearest } from '../suggest.ts';
import type { Raw } from './raw.ts';

/** Host names that are not a service's to take. */
const RESERVED_NAMES: Readonly<Record<string, string>> = {
  localhost: '"localhost" always means the machine itself',
  control: '"control.mesh.internal" is the control plane',
};

export function checkService(service: Raw, name: string, names: readonly string[], path: Path): Fault[] {
  return [
    ...checkUses(service['uses'], name, names, [...path, 'uses']),
    ...checkRunOnly(service, path),
    ...checkEnvironment(service, name, names, path),
    ...checkLabels(service['labels'], [...path, 'labels']),
    ...checkMetadata(service['metadata'], [...path, 'metadata']),
    ...checkPorts(service, path),
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

export function checkName(name: string, path: Path): Fault[] {
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

function checkRunOnly(service: Raw, path: Path): Fault[] {
  if (service['run'] !== undefined) return [];
  const keys = ['cwd', 'env', 'replicas', 'needs', 'stopTimeout', 'version'].filter((key) => service[key] !== undefined);
  const reason = 'has no effect: Heddle does not start this service, since "run" is missing';
  return keys.map((key) => ({ path: [...path, key], on: 'key', reason, mend: 'add "run", or remove the key' }));
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
