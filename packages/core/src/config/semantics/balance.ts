// What `balance`, `sticky` and `outlier` mean to one another and to the service.
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { carriesBytes } from '../build/traffic.ts';
import { parsePercent } from '../percent.ts';
import { checkExactlyOne, isLonger, items, keyFault, noEffect, present, valueFault, type Raw } from './raw.ts';

const HASHING: readonly unknown[] = ['ring-hash', 'maglev'];
/** They look at answers, or at what a request has. */
const OF_REQUESTS: readonly unknown[] = ['probing', 'least-response-time', ...HASHING];
const HASH_EXAMPLE = 'hash: [{ header: x-user }]';

/**
 * @param path of the service.
 * @param rules of the service; undefined where services have none.
 */
export function checkBalance(service: Raw, path: Path, rules: readonly Raw[] | undefined): Fault[] {
  const { balance, protocol } = service;
  const inside = [...path, 'balance'];
  const map = isRecord(balance) ? balance : {};
  const policy = isRecord(balance) ? map['policy'] : balance;
  const at = isRecord(balance) ? [...inside, 'policy'] : inside;
  const faults: Fault[] = [];
  if (carriesBytes(protocol) && OF_REQUESTS.includes(policy)) {
    const reason = `${shown(policy)} looks at requests, and a service with protocol ${shown(protocol)} is carried as a byte stream`;
    faults.push(valueFault(at, reason, 'use "least-request", which counts connections, "round-robin", "random" or "weighted"'));
  } else if (HASHING.includes(policy) && map['hash'] === undefined) {
    const mend = isRecord(balance) ? `add "${HASH_EXAMPLE}"` : `write "balance: { policy: ${String(policy)}, ${HASH_EXAMPLE} }"`;
    faults.push(valueFault(at, `${shown(policy)} chooses by a hash, and nothing says of what`, mend));
  }
  if (map['hash'] !== undefined) faults.push(...checkHash(service, policy, rules, map['hash'], [...inside, 'hash']));
  if (HASHING.includes(policy) && map['slowStart'] !== undefined && map['slowStart'] !== 0) {
    const why = `with ${shown(policy)} an instance has the requests whose hash leads to it, from the first one on`;
    faults.push(noEffect([...inside, 'slowStart'], why));
  }
  return faults;
}

function checkHash(service: Raw, policy: unknown, rules: readonly Raw[] | undefined, hash: unknown, path: Path): Fault[] {
  if (carriesBytes(service['protocol'])) return [noEffect(path, 'a byte stream has no headers, cookies or parameters')];
  if (!HASHING.includes(policy) && rules?.some(({ splitBy }) => splitBy === 'hash') !== true) {
    const who = rules === undefined ? 'ring-hash and maglev' : 'ring-hash, maglev and rules with "splitBy: hash"';
    return [noEffect(path, `only ${who} look at it`, 'remove it, or write "policy: ring-hash"')];
  }
  const seen = new Set<string>();
  return items(hash, path).flatMap(({ value, path: at }): Fault[] => {
    const key = JSON.stringify(value);
    if (seen.has(key)) return [valueFault(at, 'is listed twice', 'remove one of the two')];
    seen.add(key);
    if (!isRecord(value)) return [];
    const faults = checkExactlyOne(value, ['header', 'cookie', 'query'], at, 'header: x-user');
    if (value['ttl'] !== undefined && value['cookie'] === undefined)
      faults.push(noEffect([...at, 'ttl'], 'only a cookie lives for a time'));
    if (typeof value['header'] === 'string') faults.push(...checkHeaderName(value['header'], [...at, 'header']));
    if (value['cookie'] !== undefined && value['ttl'] !== undefined && value['cookie'] === cookieOf(service['sticky']))
      faults.push(valueFault([...at, 'cookie'], '"sticky" sets a cookie of the same name', 'name one of them differently'));
    return faults;
  });
}

/** Whatever looks at requests knows the host under another name. */
export function checkHeaderName(name: string, path: Path): Fault[] {
  if (name.toLowerCase() !== 'host') return [];
  return [valueFault(path, 'the header "host" is the authority, which HTTP/2 has in another place', 'name another header')];
}

function cookieOf(sticky: unknown): unknown {
  return isRecord(sticky) ? (sticky['cookie'] ?? 'heddle-session') : undefined;
}

/** Detectors by the key that switches them on; what they have where it is not given. */
const STREAKS = { consecutiveErrors: 5, gatewayErrors: 0, localErrors: 5 };
const SHARES = ['successRate', 'failures', 'latency'];
const OF_SHARES = ['minRequests', 'minInstances'];
const OF_RESPONSES = ['consecutiveErrors', 'gatewayErrors', ...SHARES, ...OF_SHARES];

/** @param path of the service. */
export function checkOutlier({ outlier, protocol }: Raw, path: Path): Fault[] {
  if (!isRecord(outlier)) return [];
  const inside = [...path, 'outlier'];
  if (carriesBytes(protocol)) {
    const faults = present(outlier, OF_RESPONSES).map((key) =>
      noEffect([...inside, key], `a service with protocol ${shown(protocol)} is carried as a byte stream, in which there are no responses`),
    );
    if (faults.length > 0) return faults;
  }
  const isOn = (value: unknown): boolean => value !== 0 && parsePercent(value) !== 0;
  const hasShares = present(outlier, SHARES).some((key) => isOn(outlier[key]));
  const streaks = carriesBytes(protocol) ? ['localErrors'] : Object.keys(STREAKS);
  const hasStreaks = streaks.some((key) => isOn(outlier[key] ?? STREAKS[key as keyof typeof STREAKS]));
  if (!hasShares && !hasStreaks)
    return [valueFault(inside, 'nothing is looked at, so that no instance is ever left out', 'write "outlier: off"')];
  const faults: Fault[] = [];
  if (!hasShares) {
    const why = 'it is about "successRate", "failures" and "latency", and none of them is looked at';
    faults.push(...present(outlier, OF_SHARES).map((key) => noEffect([...inside, key], why, 'remove it, or add "failures: 85%"')));
  }
  if (isLonger(outlier['eject'] ?? '10s', outlier['maxEject'])) {
    const reason = `${String(outlier['maxEject'])} is shorter than "eject", ${String(outlier['eject'] ?? '10s')}`;
    faults.push(valueFault([...inside, 'maxEject'], reason, 'make "maxEject" longer, or "eject" shorter'));
  }
  if (parsePercent(outlier['maxEjected']) === 0)
    faults.push(keyFault([...inside, 'maxEjected'], 'no instance may ever be left out', 'write "outlier: off", or a larger share'));
  return faults;
}
