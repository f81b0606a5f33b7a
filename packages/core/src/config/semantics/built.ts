// What is checked of rules once it is known what they mean: how they stand to one another, parts that the data plane takes only as a whole,
// and labels as texts.
import type { Destination, TrafficRule } from '../../model/traffic.ts';
import { analyseService, type RouteFinding } from '../../routing/analysis.ts';
import { compileRewrite, Redirect } from '../../routing/rewrite.ts';
import { listAt } from '../build/values.ts';
import type { Fault, Path } from '../fault.ts';
import { shown } from '../fault.ts';
import type { MeshConfig, ServiceConfig } from '../mesh.ts';
import type { MeshFileOutput, RuleOutput } from '../schema/mesh.ts';
import { compileFault, valueFault, warning } from './raw.ts';

type Services = ReadonlyMap<string, ServiceConfig>;
type Labels = Readonly<Record<string, string>>;

export function checkBuilt(mesh: MeshConfig, file: MeshFileOutput): Fault[] {
  const services = new Map(mesh.services.map((config) => [config.service.name, config]));
  return mesh.services.flatMap(({ service }) => {
    const index = file.routes.findIndex((route) => route.service === service.name);
    const written = file.routes[index]?.rules ?? [];
    const path = ['routes', index, 'rules'];
    const own = service.rules.map((rule, at) => checkPaths(rule, written[at] as RuleOutput, [...path, at]));
    const analysed = analyseService(service)
      // What is invalid of a rule is said above with a better place.
      .filter(({ kind, path: [, at] }) => kind !== 'invalid' || typeof at !== 'number' || (own[at] ?? []).length === 0)
      .map((finding) => asFault(finding, service.name, written, path));
    const selectors = service.rules.map((rule, at) => checkSelectors(rule, written[at] as RuleOutput, services, [...path, at]));
    return [...own.flat(), ...analysed, ...selectors.flat()];
  });
}

/** Names of the model that are others in the file. */
const KEYS: Readonly<Record<string, string>> = { matches: 'match', mirrors: 'mirror', timeoutMs: 'timeout', idleTimeoutMs: 'idleTimeout' };

/** @param path of the list of rules. */
function asFault(
  { severity, path: found, reason, mend }: RouteFinding,
  service: string,
  written: readonly RuleOutput[],
  path: Path,
): Fault {
  const fault = (at: Path): Fault => ({ ...valueFault(at, reason, mend), ...(severity === 'warning' && { severity }) });
  const [first, index, ...rest] = found;
  if (first !== 'rules' || typeof index !== 'number') return fault(['services', service, ...found]);
  const [key, ...inside] = rest.filter((step) => step !== 'action').map((step) => (typeof step === 'string' ? (KEYS[step] ?? step) : step));
  if (key === undefined) return fault([...path, index]);
  // One alone stands without a list.
  const value = written[index]?.[key as keyof RuleOutput];
  return fault([...path, index, key, ...(Array.isArray(value) || typeof inside[0] !== 'number' ? inside : inside.slice(1))]);
}

/** One fault for each rule: with several matches, they say the same. */
function checkPaths({ action, matches }: TrafficRule, written: RuleOutput, path: Path): Fault[] {
  if (action.kind === 'forward' && action.rewrite?.path !== undefined) {
    const rewrite = action.rewrite.path;
    const kind = typeof written.rewrite?.path === 'string' ? [] : [rewrite.kind === 'prefix' ? 'prefix' : 'regex'];
    return matches
      .flatMap((match) => compileFault([...path, 'rewrite', 'path', ...kind], () => compileRewrite(rewrite, match)))
      .slice(0, 1);
  }
  if (action.kind !== 'redirect') return [];
  const key = action.path === undefined ? [] : [action.path.kind === 'prefix' ? 'prefix' : 'path'];
  return matches.flatMap((match) => compileFault([...path, 'redirect', ...key], () => new Redirect(action, match))).slice(0, 1);
}

function checkSelectors({ action }: TrafficRule, written: RuleOutput, services: Services, path: Path): Fault[] {
  if (action.kind !== 'forward') return [];
  const to = listAt(written.to, [...path, 'to']).map((item) => item.path);
  const mirrors = listAt(written.mirror, [...path, 'mirror']).map((item) => item.path);
  return [...checkTargets(action.to, services, to), ...checkTargets(action.mirrors ?? [], services, mirrors)];
}

type Target = Pick<Destination, 'service' | 'labels'>;

/** @param paths of the targets; none for the one that nobody has written. */
function checkTargets(targets: readonly Target[], services: Services, paths: readonly Path[]): Fault[] {
  return paths.flatMap((path, index) => {
    const { service, labels } = targets[index] as Target;
    return checkSelector(labels, services.get(service.name), path);
  });
}

/**
 * The instances that Heddle starts have a version and no other labels. Others may join with labels of their own (`heddle run --labels`), so
 * this is no error; where Heddle starts none, nothing is known.
 */
function checkSelector(labels: Labels, config: ServiceConfig | undefined, path: Path): Fault[] {
  if (config?.run === undefined) return [];
  const { version } = config.run;
  const { name } = config.service;
  return Object.entries(labels).flatMap(([key, wanted]): Fault[] => {
    if (key === 'version' && version === wanted) return [];
    const has = version === '' ? 'neither a version nor labels' : `version ${shown(version)} and no other label`;
    const reason = `no instance of ${shown(name)} that Heddle starts has this label: they have ${has}`;
    const mend =
      key === 'version' && version === ''
        ? `add "version: ${wanted}" to the service, or start such instances with \`heddle run\``
        : 'lead to another service, or start instances that have it with `heddle run`';
    return [warning(valueFault([...path, 'labels', key], reason, mend))];
  });
}
