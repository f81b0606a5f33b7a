// What the rules of a service mean to one another, to the service, and to the services they lead to.
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { carriesBytes } from '../build/traffic.ts';
import { ruleName } from '../build/rules.ts';
import { checkDestinations, checkMirrors, type Services } from './destinations.ts';
import { checkHeaderChanges } from './headers.ts';
import { checkMatch } from './match.ts';
import { arrayOf, checkExactlyOne, checkShare, items, keyFault, noEffect, present, recordOf, valueFault, type Raw } from './raw.ts';
import { unknownService } from './service.ts';
import { checkHedgeOf, checkRateLimit, checkRetry, timeoutOf } from './traffic.ts';

/** Settings of a rule that only a request can have which is forwarded. */
const OF_FORWARDING = ['to', 'splitBy', 'timeout', 'idleTimeout', 'retry', 'hedge', 'rewrite', 'mirror'];
/** RFC 9110 §15.3.5, §15.3.6, §15.4.5. */
const WITHOUT_BODY: readonly unknown[] = [204, 205, 304];

/** @param routes as it stands in the file. */
export function checkRoutes(routes: unknown, services: Services): Fault[] {
  const seen = new Map<string, number>();
  return arrayOf(routes).flatMap((entry, index): Fault[] => {
    if (!isRecord(entry)) return [];
    const path = ['routes', index];
    const name = entry['service'];
    if (typeof name !== 'string' || name === '') return checkRules(entry['rules'], undefined, services, [...path, 'rules']);
    const at = [...path, 'service'];
    const first = seen.get(name);
    if (first !== undefined)
      return [valueFault(at, `routes[${first}] has the rules of ${shown(name)} already`, 'put the rules of both into one list, in order')];
    seen.set(name, index);
    if (!Object.hasOwn(services, name)) return [unknownService(name, Object.keys(services), at)];
    const protocol = recordOf(services[name])['protocol'];
    if (carriesBytes(protocol)) {
      const reason = `rules are for requests, and ${shown(name)} has protocol ${shown(protocol)}: it is carried as a byte stream`;
      return [valueFault(at, reason, 'remove the entry, or use protocol http, http2, grpc or auto')];
    }
    return checkRules(entry['rules'], name, services, [...path, 'rules']);
  });
}

/** Of a service; none where it has no entry. */
export function rulesOf(routes: unknown, service: string): Raw[] {
  return arrayOf(routes)
    .filter(isRecord)
    .filter((entry) => entry['service'] === service)
    .flatMap(({ rules }) => arrayOf(rules).filter(isRecord));
}

/** @param owner whose rules they are; undefined: nobody knows. */
function checkRules(rules: unknown, owner: string | undefined, services: Services, path: Path): Fault[] {
  const names = new Map<string, number>();
  return arrayOf(rules).flatMap((rule, index): Fault[] => {
    if (!isRecord(rule)) return [];
    const inside = [...path, index];
    const name = ruleName(rule['name'], index);
    const first = names.get(name);
    names.set(name, first ?? index);
    const faults = checkRule(rule, owner, services, inside);
    if (first === undefined) return faults;
    const at = rule['name'] === undefined ? inside : [...inside, 'name'];
    return [...faults, valueFault(at, `rules[${first}] is called ${shown(name)} already`, 'give each rule a name of its own')];
  });
}

function checkRule(rule: Raw, owner: string | undefined, services: Services, path: Path): Fault[] {
  const service = owner === undefined ? {} : recordOf(services[owner]);
  const { protocol } = service;
  return [
    ...items(rule['match'], [...path, 'match']).flatMap((item) => checkMatch(item.value, protocol, item.path)),
    ...checkActions(rule, path),
    ...checkDestinations(rule, owner, services, path),
    ...checkMirrors(rule['mirror'], owner, services, [...path, 'mirror']),
    ...checkTries(rule, service, path),
    ...checkRewrite(rule['rewrite'], [...path, 'rewrite']),
    ...checkRedirect(rule['redirect'], [...path, 'redirect']),
    ...checkRespond(rule['respond'], [...path, 'respond']),
    ...checkHeaderChanges(rule['headers'], [...path, 'headers']),
    ...checkFault(rule['fault'], protocol, [...path, 'fault']),
    ...items(rule['rateLimit'], [...path, 'rateLimit']).flatMap((item) => checkRateLimit(item.value, protocol, item.path)),
  ];
}

/** A rule forwards, redirects or responds. */
function checkActions(rule: Raw, path: Path): Fault[] {
  const [answer, second] = present(rule, ['redirect', 'respond']);
  if (answer === undefined) return [];
  if (second !== undefined)
    return [keyFault([...path, second], `stands beside "${answer}", and only one of them can count`, 'remove one of the two')];
  const why = `"${answer}" answers the request in place of the service`;
  const mend = 'remove it, or put it into another rule';
  const faults = present(rule, OF_FORWARDING).map((key) => noEffect([...path, key], why, mend));
  if (recordOf(rule['headers'])['request'] !== undefined) faults.push(noEffect([...path, 'headers', 'request'], why, mend));
  return faults;
}

function checkTries(rule: Raw, service: Raw, path: Path): Fault[] {
  const timeout = rule['timeout'] ?? timeoutOf(service);
  const { protocol } = service;
  const own = recordOf(service['retry']);
  // What a service says that retries nothing, rules do not take over.
  const { budget: _, ...base } = own['attempts'] === 0 ? {} : own;
  const hedge = rule['hedge'];
  const hasHedge = isRecord(hedge) || (hedge === undefined && service['hedge'] !== undefined);
  const faults = checkRetry(rule['retry'], { protocol, timeout, hasHedge, base }, [...path, 'retry']);
  if (isRecord(hedge)) {
    const retry = rule['retry'] === 'off' ? {} : { ...base, ...recordOf(rule['retry']) };
    faults.push(...checkHedgeOf(hedge, { protocol, timeout, retry }, [...path, 'hedge']));
  } else if (hedge === 'off' && service['port'] !== undefined && service['hedge'] === undefined)
    faults.push(noEffect([...path, 'hedge'], 'the service has none'));
  return faults;
}

function checkRewrite(rewrite: unknown, path: Path): Fault[] {
  const to = recordOf(rewrite)['path'];
  if (!isRecord(to)) return [];
  const inside = [...path, 'path'];
  const faults = checkExactlyOne(to, ['prefix', 'regex'], inside, 'prefix: /v1');
  if (to['regex'] !== undefined && to['substitution'] === undefined)
    faults.push(
      keyFault([...inside, 'regex'], 'needs "substitution", which stands in place of what it fits', 'add "substitution: /api/\\1/"'),
    );
  if (to['regex'] === undefined && to['substitution'] !== undefined)
    faults.push(noEffect([...inside, 'substitution'], 'it belongs to "regex", which is missing'));
  return faults;
}

function checkRedirect(redirect: unknown, path: Path): Fault[] {
  const [first, second] = present(recordOf(redirect), ['path', 'prefix']);
  if (second === undefined) return [];
  return [keyFault([...path, second], `stands beside "${String(first)}", and only one of them can count`, 'remove one of the two')];
}

function checkRespond(respond: unknown, path: Path): Fault[] {
  const { status, body, contentType } = recordOf(respond);
  if (WITHOUT_BODY.includes(status) && body !== undefined && body !== '')
    return [keyFault([...path, 'body'], `an answer with status ${String(status)} has no body`, 'remove it, or use status 200')];
  if (contentType !== undefined && (body === undefined || body === ''))
    return [noEffect([...path, 'contentType'], 'there is no body', 'remove it, or add "body"')];
  return [];
}

function checkFault(fault: unknown, protocol: unknown, path: Path): Fault[] {
  const { delay, abort } = recordOf(fault);
  const faults = [
    ...checkShare(delay, [...path, 'delay'], 'no request is held back'),
    ...checkShare(abort, [...path, 'abort'], 'no request is aborted'),
  ];
  if (!isRecord(abort)) return faults;
  const inside = [...path, 'abort'];
  faults.push(...checkExactlyOne(abort, ['status', 'grpc'], inside, 'status: 503'));
  if (abort['grpc'] !== undefined && protocol !== 'grpc' && protocol !== 'http2') {
    const reason = `the service has protocol ${shown(protocol ?? 'http')}, which carries no gRPC calls`;
    faults.push(keyFault([...inside, 'grpc'], reason, 'use "status", or write "protocol: grpc"'));
  }
  return faults;
}
