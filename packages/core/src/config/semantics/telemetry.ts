// What `telemetry` means as a whole: addresses, secrets that are none any more once they stand in a file that others read, settings without effect.
import { COLLECTOR_VARIABLE } from '../../model/telemetry.ts';
import { statusRange } from '../build/telemetry.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { parsePercent } from '../percent.ts';
import { TOKEN_PATTERN } from '../schema/fields.ts';
import { STATUS_PATTERN } from '../schema/telemetry.ts';
import { checkExactlyOne, checkTwice, items, keyFault, noEffect, present, recordOf, valueFault, warning, type Raw } from './raw.ts';
import { isLoopback, parseUrl } from './urls.ts';

/** Names of headers that hold secrets, as far as their names tell. */
const SECRET_NAMES = /authorization|token|secret|password|api-?key|cookie|credential|license-?key/i;
/** Made by the request itself (RFC 9110 §6.4.1, §7.2). */
const OWN_NAMES: readonly string[] = [
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'expect',
];
const LOG_NAME = /\.(?:log|jsonl)$/;
const CONDITIONS = ['status', 'slowerThan', 'errors'] as const;
/** Of requests: what they hold should not be in a file that is kept. */
const SECRET_LOGGED = /^(?:authorization|proxy-authorization|cookie)$/i;

/** @param telemetry as it stands in the file. */
export function checkTelemetry(telemetry: unknown, path: Path): Fault[] {
  if (!isRecord(telemetry)) return [];
  const { tracing, accessLog, prometheus } = telemetry;
  return [
    ...(isRecord(tracing) ? checkTracing(tracing, [...path, 'tracing']) : []),
    ...(isRecord(accessLog) ? checkLog(accessLog, [...path, 'accessLog']) : []),
    ...checkAddress(prometheus, 'http://127.0.0.1:9090', [...path, 'prometheus']),
  ];
}

/** Of one service. @param mesh what the mesh has. */
export function checkServiceTelemetry(service: Raw, mesh: unknown, path: Path): Fault[] {
  const own = recordOf(service['telemetry']);
  const all = recordOf(mesh);
  const inside = [...path, 'telemetry'];
  const lacking = present(own, ['tracing', 'accessLog']).filter((key) => !isRecord(all[key]));
  const faults = lacking.map((key) =>
    noEffect([...inside, key], `"telemetry" at the top of the file has no "${key}"`, 'add it there, or remove it here'),
  );
  const { protocol } = service;
  if (service['telemetry'] !== undefined && (protocol === 'tcp' || protocol === 'tls')) {
    const reason = `with protocol ${shown(protocol)} there are no requests, only bytes, of which nothing is traced or logged`;
    return [noEffect(inside, reason)];
  }
  return isRecord(own['accessLog']) ? [...faults, ...checkChoice(own['accessLog'], [...inside, 'accessLog'])] : faults;
}

function checkTracing({ otlp, headers, sample }: Raw, path: Path): Fault[] {
  const faults = checkAddress(otlp, 'http://127.0.0.1:4318', [...path, 'otlp']);
  const hasSecrets = Object.values(recordOf(headers)).some(isRecord);
  const url = typeof otlp === 'string' ? parseUrl(otlp) : undefined;
  if (faults.length === 0 && hasSecrets && url?.protocol === 'http:' && !isLoopback(url.hostname))
    faults.push(
      valueFault(
        [...path, 'otlp'],
        `${shown(otlp)} is not encrypted: whoever is on the way could read the secret in "headers"`,
        'use "https"',
      ),
    );
  if (parsePercent(sample) === 0)
    faults.push(
      warning(
        valueFault([...path, 'sample'], 'at 0% no trace begins here; those that come along sampled go on', 'choose a share above 0%'),
      ),
    );
  return [...faults, ...Object.entries(recordOf(headers)).flatMap(([name, value]) => checkHeader(name, value, [...path, 'headers', name]))];
}

function checkHeader(name: string, value: unknown, path: Path): Fault[] {
  if (!TOKEN_PATTERN.test(name)) return [keyFault(path, `${shown(name)} is not the name of a header`, 'for example "x-tenant"')];
  if (OWN_NAMES.includes(name.toLowerCase())) return [keyFault(path, 'is made by the data plane itself', 'remove it')];
  if (isRecord(value)) {
    const faults = checkExactlyOne(value, ['env', 'file'], path, `${name}: { env: OTLP_TOKEN }`);
    const { env } = value;
    if (typeof env === 'string' && env !== '' && !COLLECTOR_VARIABLE.test(env)) {
      const reason = `${shown(env)} is not sent to a collector: only variables are that have OTLP or OTEL in their names, so that configuration cannot send other secrets away`;
      faults.push(valueFault([...path, 'env'], reason, 'for example "OTLP_TOKEN"'));
    }
    return faults;
  }
  if (typeof value !== 'string' || !SECRET_NAMES.test(name)) return [];
  return [
    valueFault(
      path,
      'a secret would stand in this file, in the registry and in every data plane',
      `write "${name}: { env: OTLP_TOKEN }" or "${name}: { file: secrets/otlp }"; a secret that others have seen must be replaced`,
    ),
  ];
}

/** Without secrets; not encrypted is fine. */
function checkAddress(text: unknown, example: string, path: Path): Fault[] {
  if (typeof text !== 'string' || text === '') return [];
  const url = parseUrl(text);
  if (url === undefined) return [valueFault(path, `${shown(text)} is not a URL with http or https`, `for example "${example}"`)];
  if (url.username !== '' || url.password !== '')
    return [valueFault(path, 'the URL has a name or a password in it', 'remove them; "headers" can have secrets')];
  return url.hash === '' ? [] : [valueFault(path, `${shown(text)} has a "#", and what follows it is never sent`, 'remove it')];
}

function checkLog(log: Raw, path: Path): Fault[] {
  const { to, headers } = log;
  const faults = [...checkChoice(log, path), ...checkTwice(headers, [...path, 'headers'])];
  if (typeof to === 'string' && to !== '' && to !== 'stdout' && !LOG_NAME.test(to))
    faults.push(
      valueFault(
        [...path, 'to'],
        `data planes write to no file that is called ${shown(to)}: whoever writes this file could name any`,
        to === 'stderr' || to === '-' ? 'write "stdout"' : 'let its name end in ".log" or ".jsonl", or write "stdout"',
      ),
    );
  for (const { value, path: at } of items(headers, [...path, 'headers']))
    if (typeof value === 'string' && SECRET_LOGGED.test(value))
      faults.push(valueFault(at, `${shown(value)} holds secrets, which would stand in the log`, 'remove it'));
  return faults;
}

function checkChoice(choice: Raw, path: Path): Fault[] {
  const conditions = present(choice, CONDITIONS).filter((key) => choice[key] !== false);
  const faults = [...checkTwice(choice['status'], [...path, 'status'])];
  if (choice['rest'] !== undefined && conditions.length === 0)
    faults.push(
      noEffect(
        [...path, 'rest'],
        'without a condition there is no rest',
        'write "sample" instead, or add "status", "slowerThan" or "errors"',
      ),
    );
  for (const { value, path: at } of items(choice['status'], [...path, 'status'])) {
    if (typeof value !== 'string' || !STATUS_PATTERN.test(value)) continue;
    const { from, to } = statusRange(value);
    if (from > to) faults.push(valueFault(at, `${shown(value)} begins behind its end`, `write "${to}-${from}"`));
  }
  return faults;
}
