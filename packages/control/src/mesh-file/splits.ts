// Weights of a rule's destinations that were set while the mesh runs. They lie over what the mesh file says, and hold until it changes.
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_NAMESPACE, serviceKey, subsetName } from '@heddle/core';
import type { Destination, MeshConfig, RuleForward, Service, TrafficRule } from '@heddle/core';
import { RegistryError } from '../registry/errors.ts';

/** One destination as it is asked for: by its service, by its labels, or by both, as far as that tells it from the others. */
export interface WantedWeight {
  /** `NAME` or `NAMESPACE/NAME`. */
  readonly service?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly weight: number;
}

export type SplitWeight = Pick<Destination, 'service' | 'labels' | 'weight'>;

export interface Split {
  /** `<namespace>/<name>`. */
  readonly service: string;
  readonly rule: string;
  /** In the order of the rule. */
  readonly to: readonly SplitWeight[];
}

export interface SplitView extends Split {
  /** Weights that the mesh file says, where they are others. */
  readonly inFile?: readonly number[];
}

/** Throws RegistryError: NOT_FOUND (no such rule), INVALID (it does not split, or the weights do not fit it). */
export function splitOf(service: Service, name: string, wanted: readonly WantedWeight[]): Split {
  const { to } = splittingRule(service, name);
  const where = `rule ${JSON.stringify(name)} of ${serviceKey(service)}`;
  const weights = new Map<Destination, number>();
  for (const one of wanted) {
    const found = to.filter((destination) => fits(destination, one));
    const [destination] = found;
    if (destination === undefined) throw new RegistryError('INVALID', `${where} does not lead to ${wantedText(one)}; ${choices(to)}`);
    if (found.length > 1)
      throw new RegistryError('INVALID', `${where} leads to ${wantedText(one)} in several ways; name service and labels: ${choices(to)}`);
    if (weights.has(destination)) throw new RegistryError('INVALID', `${where}: ${destinationText(destination)} is given two weights`);
    weights.set(destination, one.weight);
  }
  const missing = to.filter((destination) => !weights.has(destination));
  if (missing.length > 0)
    throw new RegistryError(
      'INVALID',
      `${where}: no weight is given for ${missing.map(destinationText).join(', ')}; give all of them, 0 for none of the traffic`,
    );
  if ([...weights.values()].every((weight) => weight === 0))
    throw new RegistryError('INVALID', `${where}: all weights are 0, so that no request could go anywhere; give at least one of them more`);
  return {
    service: serviceKey(service),
    rule: name,
    to: to.map((destination) => ({ service: destination.service, labels: destination.labels, weight: weights.get(destination) as number })),
  };
}

/** The split of a rule as it is. Throws as `splitOf`. */
export function presentSplit(service: Service, name: string): Split {
  const { to } = splittingRule(service, name);
  return { service: serviceKey(service), rule: name, to: to.map(({ service: ref, labels, weight }) => ({ service: ref, labels, weight })) };
}

/** Every rule that splits traffic, with what it would be without those that were set since. */
export function splitsOf(service: Service, inFile: Service): SplitView[] {
  return service.rules.flatMap(({ name, action }) => {
    if (action.kind !== 'forward' || action.to.length < 2) return [];
    const now = presentSplit(service, name);
    const before = presentSplit(inFile, name).to.map(({ weight }) => weight);
    return [{ ...now, ...(now.to.some(({ weight }, index) => weight !== before[index]) && { inFile: before }) }];
  });
}

/** What the splits make of a mesh. One whose rule leads elsewhere by now changes nothing. */
export function withSplits(mesh: MeshConfig, splits: readonly Split[]): MeshConfig {
  if (splits.length === 0) return mesh;
  const services = mesh.services.map((config) => {
    const own = splits.filter(({ service }) => service === serviceKey(config.service));
    return own.length === 0 ? config : { ...config, service: own.reduce(withSplit, config.service) };
  });
  return { ...mesh, services };
}

/** In place of one of the same rule. What says the same as the file is left out. */
export function addSplit(splits: readonly Split[], split: Split, inFile: Split): Split[] {
  const others = splits.filter(({ service, rule }) => service !== split.service || rule !== split.rule);
  return isDeepStrictEqual(split, inFile) ? others : [...others, split];
}

export function destinationText({ service, labels }: Pick<Destination, 'service' | 'labels'>): string {
  return `${service.namespace === DEFAULT_NAMESPACE ? service.name : serviceKey(service)}${subsetName(labels)}`;
}

function withSplit(service: Service, { rule, to }: Split): Service {
  const rules = service.rules.map((one): TrafficRule => {
    const { action } = one;
    if (one.name !== rule || action.kind !== 'forward' || !isSame(action.to, to)) return one;
    return { ...one, action: { ...action, to: action.to.map((old, index) => ({ ...old, weight: (to[index] as SplitWeight).weight })) } };
  });
  return { ...service, rules };
}

function isSame(before: readonly Destination[], after: readonly SplitWeight[]): boolean {
  const whereTo = (all: readonly SplitWeight[]): unknown => all.map(({ service, labels }) => ({ service, labels }));
  return isDeepStrictEqual(whereTo(before), whereTo(after));
}

function splittingRule(service: Service, name: string): RuleForward {
  const rule = service.rules.find((one) => one.name === name);
  if (rule === undefined) {
    const splitting = service.rules.filter(({ action }) => action.kind === 'forward' && action.to.length > 1);
    const which = splitting.map((one) => JSON.stringify(one.name)).join(', ');
    const mend = splitting.length === 0 ? 'none of its rules splits traffic' : `those that split traffic: ${which}`;
    throw new RegistryError('NOT_FOUND', `${serviceKey(service)} has no rule ${JSON.stringify(name.slice(0, 100))}; ${mend}`);
  }
  const { action } = rule;
  if (action.kind === 'forward' && action.to.length > 1) return action;
  throw new RegistryError(
    'INVALID',
    `rule ${JSON.stringify(name)} of ${serviceKey(service)} does not split traffic: give it several destinations in the mesh file first`,
  );
}

function fits({ service, labels }: Destination, wanted: WantedWeight): boolean {
  const named = wanted.service === undefined || wanted.service === service.name || wanted.service === serviceKey(service);
  return named && (wanted.labels === undefined || subsetName(wanted.labels) === subsetName(labels));
}

function wantedText({ service = '', labels = {} }: WantedWeight): string {
  return `${service}${subsetName(labels)}`.slice(0, 300) || 'what has neither service nor labels';
}

function choices(to: readonly Destination[]): string {
  return `there are ${to.map(destinationText).join(', ')}`;
}
