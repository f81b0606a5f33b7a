// How traffic went over time, from a Prometheus server that has the metrics of the mesh: further back than the control plane itself remembers,
// and from before it was started. By its HTTP API (`/api/v1/query_range`), in terms of the documented metrics.
import { INSTANCE_METRICS, REQUEST_METRICS } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import type { SeriesPoints } from '../rest/schema/traffic.ts';
import { fetchJson } from '../server/fetch-json.ts';
import type { SeriesQuestion } from './traffic-views.ts';

/** A person waits for it, and memory has something too. */
const TIMEOUT_MS = 4_000;
/** 300 points of one series have some 10 kB. */
const BYTES_MAX = 1_048_576;
/** Rates need several scrapes, which are 15 s apart by default. */
const RATE_MS_MIN = 60_000;

type Points = SeriesPoints['points'];

export interface HistoryQuestion extends SeriesQuestion {
  /** Unix time of the first point, and the number of them. */
  readonly startMs: number;
  readonly stepMs: number;
  readonly count: number;
}

/** Rejects with an Error that says why. @param url of the server, without `/api`. */
export async function pointsFromPrometheus(url: string, question: HistoryQuestion, clock: Clock): Promise<Points> {
  const queries = queriesFor(question);
  const names = Object.keys(queries) as (keyof Points)[];
  const found = await Promise.all(names.map((name) => queryRange(url, queries[name], question, clock)));
  return Object.fromEntries(names.map((name, at) => [name, found[at]])) as Points;
}

export function queriesFor(question: HistoryQuestion): Readonly<Record<keyof Points, string>> {
  const over = `[${Math.max(RATE_MS_MIN, question.stepMs)}ms]`;
  const { selector, requests, errors, buckets, bytes } = question.instance === undefined ? edges(question) : instances(question);
  const rate = (metric: string, more: string): string =>
    `sum(rate(${metric}{${[...selector, more].filter((part) => part !== '').join(',')}}${over}))`;
  const sum = (parts: readonly (readonly [string, string])[]): string =>
    parts.map(([metric, more]) => `(${rate(metric, more)} or vector(0))`).join(' + ');
  const quantile = (share: number): string =>
    `1000 * histogram_quantile(${share}, sum by (le) (rate(${buckets}{${selector.join(',')}}${over})))`;
  return {
    requestsPerSecond: rate(requests[0], requests[1]),
    errorsPerSecond: sum(errors),
    p50Ms: quantile(0.5),
    p90Ms: quantile(0.9),
    p99Ms: quantile(0.99),
    bytesPerSecond: sum(bytes),
  };
}

interface Selected {
  readonly selector: readonly string[];
  readonly requests: readonly [metric: string, more: string];
  readonly errors: readonly (readonly [metric: string, more: string])[];
  /** Name of the buckets of durations. */
  readonly buckets: string;
  readonly bytes: readonly (readonly [metric: string, more: string])[];
}

function edges({ source, destination, route }: SeriesQuestion): Selected {
  const { requests, duration, requestBytes, responseBytes } = REQUEST_METRICS;
  const labels = { direction: 'outbound', source, destination, route };
  return {
    selector: selectorOf(labels),
    requests: [requests.name, ''],
    errors: [
      [requests.name, 'error!~"CLIENT_GONE|"'],
      [requests.name, 'error="",class="5xx"'],
    ],
    buckets: `${duration.name}_bucket`,
    bytes: [
      [requestBytes.name, ''],
      [responseBytes.name, ''],
    ],
  };
}

/** Of bytes to single instances nothing is counted. */
function instances({ destination, instance }: SeriesQuestion): Selected {
  const { tries, duration } = INSTANCE_METRICS;
  return {
    selector: selectorOf({ destination, destination_instance: instance }),
    requests: [tries.name, 'result!="cancelled"'],
    errors: [[tries.name, 'result=~"server-error|gateway-error|local-error"']],
    buckets: `${duration.name}_bucket`,
    bytes: [],
  };
}

function selectorOf(labels: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(labels).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${quoted(value)}`]));
}

/** Values come from whoever asks: none of them ends the text. */
function quoted(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

async function queryRange(
  url: string,
  query: string,
  { startMs, stepMs, count }: HistoryQuestion,
  clock: Clock,
): Promise<(number | null)[]> {
  if (query === '') return Array.from({ length: count }, () => null);
  // A point of ours tells of the time up to the next one, one of Prometheus of the time before it.
  const parameters = {
    query,
    start: String((startMs + stepMs) / 1_000),
    end: String((startMs + count * stepMs) / 1_000),
    step: `${stepMs}ms`,
  };
  const address = `${url}/api/v1/query_range?${new URLSearchParams(parameters).toString()}`;
  const answer = await fetchJson(address, { clock, isPlainAllowed: true, timeoutMs: TIMEOUT_MS, bytesMax: BYTES_MAX }).catch(
    (error: unknown) => {
      // Its message has the whole query.
      throw new Error(`${url} ${(error as Error).message.replace(address, '')}`, { cause: error });
    },
  );
  return valuesOf(answer, startMs, stepMs, count);
}

function valuesOf(answer: unknown, startMs: number, stepMs: number, count: number): (number | null)[] {
  const { data } = (answer ?? {}) as { data?: { result?: readonly { readonly values?: unknown }[] } };
  const values = data?.result?.[0]?.values;
  const points: (number | null)[] = Array.from({ length: count }, () => null);
  if (!Array.isArray(values)) return points;
  for (const pair of values as readonly unknown[]) {
    const [seconds, text] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
    const at = Math.round((Number(seconds) * 1_000 - startMs) / stepMs) - 1;
    const value = Number(text);
    if (at >= 0 && at < count && Number.isFinite(value)) points[at] = value;
  }
  return points;
}
