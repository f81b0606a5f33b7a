// One live request as a line for people, or as an object for programs. Whatever a peer has sent, it is one line and gives the terminal no orders.
import { telemetry } from '@heddle/api';
import type { Palette } from '../output/palette.ts';

/** C0, DEL, C1, marks that turn text around, and what ends a line. */
const UNSAFE = /[\0-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/g;
/** The widths of what comes before the path. */
const WIDTHS = { time: 12, pair: 28, method: 7, status: 6, took: 9 } as const;

export function requestData(node: string, record: telemetry.TapRecordMessage) {
  const { timeMs, side, headers, grpcStatus, ...rest } = record;
  return {
    time: new Date(timeMs).toISOString(),
    node,
    side: telemetry.tapSideOf(side),
    ...rest,
    ...(grpcStatus !== undefined && { grpcStatus }),
    ...(headers.length > 0 && { headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])) }),
  };
}
export type RequestData = ReturnType<typeof requestData>;

export function headLine(palette: Palette): string {
  const { time, pair, method, status, took } = WIDTHS;
  const head = ['TIME (UTC)'.padEnd(time), 'SOURCE -> DESTINATION'.padEnd(pair), 'METHOD'.padEnd(method), 'STATUS'.padEnd(status)];
  return palette.bold([...head, 'TOOK'.padStart(took), 'PATH'].join('  '));
}

export function requestLine(request: RequestData, palette: Palette): string {
  const { time, source, destination, method, status, grpcStatus, error, durationMs, path, instance, route, tries, traceId, headers } =
    request;
  const shown = grpcStatus === undefined ? (status === 0 ? '-' : String(status)) : `grpc ${grpcStatus}`;
  const isBad = error !== '' || status >= 500 || status === 0 || (grpcStatus ?? 0) !== 0;
  const colour = isBad ? palette.bad : status >= 400 ? palette.warn : palette.good;
  const besides = [
    error === '' ? '' : palette.bad(clean(error)),
    instance === '' ? '' : palette.dim(clean(instance)),
    route === 'default' || route === '' ? '' : palette.dim(`route=${clean(route)}`),
    tries > 1 ? palette.warn(`tries=${tries}`) : '',
    traceId === '' ? '' : palette.dim(`trace=${clean(traceId)}`),
    ...Object.entries(headers ?? {}).map(([name, value]) => palette.dim(`${clean(name)}=${JSON.stringify(clean(value))}`)),
  ].filter((part) => part !== '');
  return [
    palette.dim(time.slice(11, 23)),
    clean(`${short(source)} -> ${short(destination)}`).padEnd(WIDTHS.pair),
    clean(method).padEnd(WIDTHS.method),
    colour(shown.padEnd(WIDTHS.status)),
    took(durationMs).padStart(WIDTHS.took),
    [clean(path), ...besides].join('  '),
  ].join('  ');
}

function took(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

function short(service: string): string {
  return service.startsWith('default/') ? service.slice('default/'.length) : service;
}

function clean(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
