// Times in conditions: parts of a time in a time zone, and times from seconds. In place of what the library has for them, which works in the time
// zone of the process and loses the hour that daylight saving skips there.
import { celEnv, celFunc, celMethod, CelScalar, type CelFunc, type CelInput, objectType, parse, plan } from '@bufbuild/cel';

const TIMESTAMP = objectType('google.protobuf.Timestamp');
const { INT, STRING, DOUBLE } = CelScalar;
/** RFC 3339 §4.2. */
const OFFSET = /^([+-])(\d\d):(\d\d)$/;
/** More zones than anybody names in conditions; the data of each takes some kilobytes. */
const FORMATS_MAX = 64;
const DAY_MS = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Makes a time: the library does not offer its own way. */
const fromMs = plan(celEnv({ variables: { ms: INT } }), parse('timestamp(ms)'));

/** @param ms since 1970. */
export function celTime(ms: number): CelInput {
  return fromMs({ ms: BigInt(Math.round(ms)) }) as CelInput;
}

export function isTimeZone(name: string): boolean {
  if (name === 'UTC' || OFFSET.test(name)) return true;
  try {
    return formatOf(name) !== undefined;
  } catch {
    return false;
  }
}

const PARTS: Readonly<Record<string, (local: Date) => number>> = {
  getFullYear: (local) => local.getUTCFullYear(),
  getMonth: (local) => local.getUTCMonth(),
  getDate: (local) => local.getUTCDate(),
  getDayOfMonth: (local) => local.getUTCDate() - 1,
  getDayOfWeek: (local) => local.getUTCDay(),
  getDayOfYear: (local) => Math.floor((local.getTime() - Date.UTC(local.getUTCFullYear(), 0, 1)) / DAY_MS),
  getHours: (local) => local.getUTCHours(),
  getMinutes: (local) => local.getUTCMinutes(),
  getSeconds: (local) => local.getUTCSeconds(),
  getMilliseconds: (local) => local.getUTCMilliseconds(),
};

/** What is evaluated instead of the library's own. `timestamp(number)`: seconds since 1970, as claims have them and the language says. */
export function timeFunctions(): CelFunc[] {
  const parts = Object.entries(PARTS).flatMap(([name, part]) => [
    celMethod(name, TIMESTAMP, [], INT, function () {
      return BigInt(part(new Date(msOf(this))));
    }),
    celMethod(name, TIMESTAMP, [STRING], INT, function (zone) {
      return BigInt(part(new Date(localMs(msOf(this), zone))));
    }),
  ]);
  return [
    ...parts,
    celFunc('timestamp', [INT], TIMESTAMP, (seconds) => celTime(Number(seconds) * 1_000) as never),
    celFunc('timestamp', [DOUBLE], TIMESTAMP, (seconds) => celTime(seconds * 1_000) as never),
  ];
}

function msOf(time: unknown): number {
  const { seconds, nanos } = (time as { readonly message: { readonly seconds: bigint; readonly nanos: number } }).message;
  return Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000);
}

/** What the clocks of the zone show, as if it were UTC. */
function localMs(ms: number, zone: string): number {
  if (zone === 'UTC') return ms;
  const [, sign, hours, minutes] = OFFSET.exec(zone) ?? [];
  if (sign !== undefined) return ms + (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
  const parts = new Map(
    formatOf(zone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'), new Date(ms).getUTCMilliseconds());
}

/** @throws RangeError for an unknown zone. */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    const two = '2-digit';
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: two,
      day: two,
      hour: two,
      minute: two,
      second: two,
    });
    if (formats.size >= FORMATS_MAX) formats.clear();
    formats.set(timeZone, format);
  }
  return format;
}
