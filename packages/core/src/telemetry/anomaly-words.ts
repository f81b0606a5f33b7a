// A shift in words: what, how much, since when, and what it probably comes from. Pure.
import type { Shift } from './anomaly.ts';
import type { LikelyPart } from './anomaly-cause.ts';

export interface ShiftContext {
  readonly windowMs: number;
  /** When it began, Unix time. */
  readonly sinceMs: number;
  readonly part?: LikelyPart | undefined;
  /** What changed shortly before. */
  readonly change?: { readonly timeMs: number; readonly what: string } | undefined;
}

export function shiftMessage(shift: Shift, { windowMs, sinceMs, part, change }: ShiftContext): string {
  const { signal, state, before, now, windows } = shift;
  const value = (of: number): string => valueText(signal, of, windowMs);
  const name = NAMES[signal];
  const lasted = durationText(windows * windowMs);
  if (state === 'ended') return `${name} as usual again (${value(before)}) after ${lasted}; farthest off: ${value(now)}`;
  if (state === 'settled') return `${name} at ${value(now)} for ${lasted}: that is the usual from now on; it was ${value(before)}`;
  if (state === 'lost')
    return `${name} was off, up to ${value(now)} instead of ${value(before)}; too little traffic is left to tell whether it still is`;
  const times = before > 0 && signal !== 'errors' ? ` (${factorText(now / before)})` : '';
  return [
    `${name} ${now >= before ? 'rose' : 'fell'} from ${value(before)} to ${value(now)}${times} since ${clockText(sinceMs)}`,
    ...(part === undefined ? [] : [partText(shift, part)]),
    ...(change === undefined ? [] : [`shortly before, at ${clockText(change.timeMs)}: ${change.what}`]),
  ].join('; ');
}

const NAMES: Readonly<Record<Shift['signal'], string>> = {
  p50: 'latency (p50)',
  p99: 'latency (p99)',
  errors: 'share of errors',
  traffic: 'traffic',
};

function valueText(signal: Shift['signal'], value: number, windowMs: number): string {
  if (signal === 'errors') return `${rounded(value * 100)} %`;
  if (signal === 'traffic') return `${rounded(Math.max(0, value) / (windowMs / 1_000))} requests/s`;
  return value >= 1_000 ? `${rounded(value / 1_000)} s` : `${rounded(value)} ms`;
}

function partText({ signal, now, before }: Shift, { kind, name, share, parts }: LikelyPart): string {
  const of =
    signal === 'errors'
      ? 'of the errors'
      : signal === 'traffic'
        ? now >= before
          ? 'of what came'
          : 'of what is missing'
        : 'of the slow requests';
  const from = kind === 'caller' || kind === 'route' ? `by ${kind} ${name}` : `${kind} ${name}`;
  return `mostly ${from}: ${Math.round(share * 100)} % ${of}, one of ${parts}`;
}

function factorText(factor: number): string {
  return factor >= 1 ? `${rounded(factor)} times` : `to ${rounded(factor * 100)} %`;
}

/** Three digits are enough for people. */
function rounded(value: number): string {
  return String(Number(value.toPrecision(value >= 100 ? 3 : 2)));
}

function durationText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 1 ? `${Math.round(ms / 1_000)} s` : `${minutes} min`;
}

function clockText(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)} UTC`;
}
