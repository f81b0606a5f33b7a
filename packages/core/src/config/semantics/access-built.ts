// How rules stand to one another once it is known whom they are about: rules that can never come into effect, and rules that are there twice.
import { accessRuleProblem } from '../../authz/index.ts';
import { ANY_REQUEST } from '../../model/defaults.ts';
import type { AccessConfig, AccessTarget, Permission, Subject } from '../../model/security.ts';
import type { RequestMatch } from '../../model/route.ts';
import { DEFAULT_NAMESPACE, serviceKey } from '../../model/service.ts';
import { covers } from '../../routing/covers.ts';
import { placesOf } from '../build/access.ts';
import { coversSubject, partsOf, SUBJECT_PARTS_MAX } from '../build/subjects.ts';
import type { Fault, Path } from '../fault.ts';
import { shown } from '../fault.ts';
import type { MeshConfig } from '../mesh.ts';
import type { MeshFileOutput } from '../schema/mesh.ts';
import { keyFault, valueFault, warning } from './raw.ts';

/** Of the whole mesh, those of roles included. */
const RULES_MAX = 10_000;

type Rule = AccessConfig['rules'][number];

interface RuleAt {
  readonly rule: Rule;
  readonly path: Path;
}

export function checkBuiltAccess(mesh: MeshConfig, { security }: MeshFileOutput): Fault[] {
  if (security.access === undefined) return [];
  const path = ['security', 'access'];
  const { rules } = mesh.security.access;
  if (rules.length > RULES_MAX) {
    const reason = `there are ${rules.length} rules, those of roles included`;
    return [keyFault(path, reason, `at most ${RULES_MAX} are taken; say with namespaces and roles what they share`)];
  }
  const places = placesOf(security.access, path);
  const all = rules.map((rule, index): RuleAt => ({ rule, path: places[index] as Path }));
  const faults = [...all.flatMap(({ rule, path: at }) => checkAlone(rule, at)), ...checkNames(all)];
  if (faults.length > 0) return faults;
  return [...checkRepeated(all), ...checkDenied(all), ...checkUnproven(all, mesh)];
}

function checkAlone(rule: Rule, path: Path): Fault[] {
  const at = path.at(-1) === 'permissions' ? path.slice(0, -1) : path;
  if (rule.subjects.length === 0)
    return [
      keyFault(at, 'nobody can be all that "from", "jwt" and "roles" ask for together', 'let one of them say who; each of them must fit'),
    ];
  const parts = partsOf(rule.subjects);
  if (parts > SUBJECT_PARTS_MAX)
    return [keyFault(at, `is about ${parts} different callers at once`, `at most ${SUBJECT_PARTS_MAX} are taken: name their namespace`)];
  // Conditions have been read before.
  const problem = accessRuleProblem(rule);
  return problem === undefined ? [] : [keyFault(at, problem.reason, problem.mend)];
}

/** Rules of roles are named after these; two rules that people named alike have been told of. */
function checkNames(all: readonly RuleAt[]): Fault[] {
  const named = new Map<string, Path>();
  return all.flatMap(({ rule: { name }, path }): Fault[] => {
    const first = named.get(name);
    named.set(name, first ?? path);
    if (first === undefined) return [];
    return [valueFault([...first, 'name'], `a rule of a role is called ${shown(name)}`, 'give the rule another name')];
  });
}

function checkRepeated(all: readonly RuleAt[]): Fault[] {
  const seen = new Map<string, RuleAt>();
  return all.flatMap((one): Fault[] => {
    const { name: _, ...content } = one.rule;
    const key = JSON.stringify(content);
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, one);
      return [];
    }
    return [keyFault(one.path, `has no effect: ${shown(first.rule.name)} says the same`, 'remove one of the two')];
  });
}

/** Rules that allow what others deny anyhow: those go first. */
function checkDenied(all: readonly RuleAt[]): Fault[] {
  const coverage = new Coverage(all);
  return all
    .filter(({ rule }) => rule.effect === 'allow')
    .flatMap(({ rule, path }): Fault[] => {
      const name = coverage.denierOf(rule);
      if (name === undefined) return [];
      return [
        keyFault(path, `can never allow anything: ${shown(name)} denies it first`, 'remove it, or let the rule that denies take less'),
      ];
    });
}

/** Beyond so many comparisons, for which nobody writes a file by hand, nothing more is found. */
const COMPARISONS_MAX = 1_000_000;

/** Which rules are denied by others as a whole. Says so only where that is certain. */
class Coverage {
  readonly #denying: readonly Rule[];
  #left = COMPARISONS_MAX;

  constructor(all: readonly RuleAt[]) {
    this.#denying = all
      .map(({ rule }) => rule)
      .filter(({ effect, audit, when }) => effect === 'deny' && audit !== true && when === undefined);
  }

  /** The name of a rule that denies what the first subject may do, where each of the others is denied by some rule as well. */
  denierOf(rule: Rule): string | undefined {
    const deniers: (string | undefined)[] = [];
    for (const subject of rule.subjects) {
      const denier = this.#denying.find((other) => this.#denies(other, rule, subject))?.name;
      if (denier === undefined) return undefined;
      deniers.push(denier);
    }
    return deniers[0];
  }

  #denies(other: Rule, rule: Rule, subject: Subject): boolean {
    const cost = 1 + other.subjects.length + sizeOf(subject) + other.subjects.reduce((sum, one) => sum + sizeOf(one), 0);
    return (
      this.#spend(cost) &&
      coversTargets(other.to, rule.to) &&
      other.subjects.some((outer) => coversSubject(outer, subject)) &&
      this.#coversAsked(other.permissions, rule.permissions)
    );
  }

  /** Empty: every request. */
  #coversAsked(outer: readonly Permission[], inner: readonly Permission[]): boolean {
    if (outer.length === 0) return true;
    if (inner.length === 0) return false;
    const [wide, narrow] = [outer.flatMap(matchesOf), inner.flatMap(matchesOf)];
    return this.#spend(wide.length * narrow.length) && narrow.every((match) => wide.some((one) => covers(one, match)));
  }

  #spend(comparisons: number): boolean {
    this.#left -= comparisons;
    return this.#left > 0;
  }
}

function sizeOf({ identities = [], networks = [] }: Subject): number {
  return identities.length + networks.length;
}

/** Empty: every service. */
function coversTargets(outer: readonly AccessTarget[], inner: readonly AccessTarget[]): boolean {
  if (outer.length === 0) return true;
  return inner.length > 0 && inner.every((one) => outer.some((other) => coversTarget(other, one)));
}

function coversTarget(outer: AccessTarget, inner: AccessTarget): boolean {
  if (outer.kind === 'namespace') return outer.namespace === (inner.kind === 'namespace' ? inner.namespace : inner.service.namespace);
  return inner.kind === 'service' && serviceKey(inner.service) === serviceKey(outer.service);
}

/** Each path with each host. */
function matchesOf({ methods, paths, authorities, headers }: Permission): RequestMatch[] {
  const base = { kind: 'request', ...(methods && { methods }), ...(headers && { headers }) } as const;
  return (paths ?? [ANY_REQUEST.path]).flatMap((path) =>
    authorities === undefined ? [{ ...base, path }] : authorities.map((authority): RequestMatch => ({ ...base, path, authority })),
  );
}

/** Rules about identities, for services to which nobody shows one. */
function checkUnproven(all: readonly RuleAt[], { security, services }: MeshConfig): Fault[] {
  const open = new Set(services.filter(({ service }) => (service.mtls ?? security.mtls) === 'off').map(({ service }) => service.name));
  if (open.size === 0) return [];
  return all.flatMap(({ rule, path }): Fault[] => {
    if (rule.subjects.some(({ identities }) => identities === undefined)) return [];
    const named = rule.to.flatMap((target) =>
      target.kind === 'service' && target.service.namespace === DEFAULT_NAMESPACE ? [target.service.name] : [],
    );
    const isFor =
      rule.to.length === 0 || named.length < rule.to.length ? open.size === services.length : named.every((name) => open.has(name));
    if (!isFor) return [];
    const reason = 'can never fit: with "mtls: off" nobody has an identity';
    return [warning(keyFault(path, reason, 'write "mtls: strict", or a rule about networks or tokens'))];
  });
}
