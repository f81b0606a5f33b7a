// Where rules send requests and their copies: services that exist, and a share for each of them.
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { carriesBytes } from '../build/traffic.ts';
import { LABEL_KEY_PATTERN } from '../schema/fields.ts';
import { checkHeaderChanges } from './headers.ts';
import { checkShare, items, keyFault, noEffect, recordOf, valueFault, type Raw, type RawAt } from './raw.ts';
import { unknownService } from './service.ts';

/** Services of the file by name. */
export type Services = Raw;

/**
 * @param owner whose rule it is; undefined: nobody knows.
 * @param path of the rule.
 */
export function checkDestinations(rule: Raw, owner: string | undefined, services: Services, path: Path): Fault[] {
  const inside = [...path, 'to'];
  const destinations = items(rule['to'], inside).filter(({ value }) => isRecord(value));
  return [
    ...destinations.flatMap((destination) => checkTarget(destination, owner, services)),
    ...destinations.flatMap(({ value, path: at }) => checkHeaderChanges(recordOf(value)['headers'], [...at, 'headers'])),
    ...checkWeights(destinations, inside),
    ...checkSplitBy(rule, destinations, owner === undefined ? undefined : recordOf(services[owner]), path),
  ];
}

/** @param path of the list, or of the only one. */
export function checkMirrors(mirror: unknown, owner: string | undefined, services: Services, path: Path): Fault[] {
  const mirrors = items(mirror, path).filter(({ value }) => isRecord(value));
  return [
    ...mirrors.flatMap((one) => checkTarget(one, owner, services)),
    ...mirrors.flatMap(({ value, path: at }) => checkShare(value, at, 'nothing is mirrored')),
  ];
}

function checkTarget({ value, path }: RawAt, owner: string | undefined, services: Services): Fault[] {
  const { service: named, labels } = recordOf(value);
  const name = named ?? owner;
  if (typeof name !== 'string' || name === '') return checkLabelNames(labels, [...path, 'labels']);
  if (!Object.hasOwn(services, name)) return [unknownService(name, Object.keys(services), [...path, 'service'])];
  const service = recordOf(services[name]);
  if (named !== undefined && carriesBytes(service['protocol'])) {
    const reason = `${shown(name)} has protocol ${shown(service['protocol'])}: no request can be sent to it`;
    return [valueFault([...path, 'service'], reason, 'lead to a service that carries requests')];
  }
  return checkLabelNames(labels, [...path, 'labels']);
}

function checkLabelNames(labels: unknown, path: Path): Fault[] {
  const mend = 'use letters, digits, ".", "_", "/" and "-", at most 63, beginning and ending with a letter or digit';
  return Object.keys(recordOf(labels))
    .filter((key) => !LABEL_KEY_PATTERN.test(key))
    .map((key) => keyFault([...path, key], `${shown(key)} is not the name of a label`, mend));
}

function checkWeights(destinations: readonly RawAt[], path: Path): Fault[] {
  const weights = destinations.map(({ value }) => recordOf(value)['weight']);
  const given = weights.filter((weight) => weight !== undefined);
  if (given.length === 0 || given.some((weight) => typeof weight !== 'number')) return [];
  const missing = weights.indexOf(undefined);
  if (missing !== -1)
    return [
      keyFault(
        destinations[missing]?.path ?? path,
        'has no weight, and others of the list have one',
        'add "weight", or remove all of them',
      ),
    ];
  const sum = (given as number[]).reduce((total, weight) => total + weight, 0);
  if (sum > 0) return [];
  return [valueFault(path, 'all weights are 0, so that the requests could go nowhere', 'give at least one of them a weight')];
}

function checkSplitBy(rule: Raw, destinations: readonly RawAt[], service: Raw | undefined, path: Path): Fault[] {
  if (rule['splitBy'] === undefined || rule['redirect'] !== undefined || rule['respond'] !== undefined) return [];
  const inside = [...path, 'splitBy'];
  const sides = destinations.filter(({ value }) => recordOf(value)['weight'] !== 0);
  if (sides.length < 2)
    return [noEffect(inside, 'there are no two sides that requests could go to', 'remove it, or add a destination to "to"')];
  if (service === undefined || recordOf(service['balance'])['hash'] !== undefined) return [];
  const mend = 'add "balance: { hash: [{ header: x-user }] }" to the service';
  return [keyFault(inside, 'the service does not say of what the hash is', mend)];
}
