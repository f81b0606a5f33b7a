// What the REST API tells of traffic, by gRPC. `GetTraffic` is what `heddle top` shows, in one answer, so that all of it is of the same moment.
import { status } from '@grpc/grpc-js';
import { type admin, discovery, telemetry } from '@heddle/api';
import { CallError } from '../server/status.ts';
import type { ProxySource, TrafficSource } from '../rest/sources.ts';
import { DECISIONS_DEFAULT, OUTCOMES } from '../rest/schema/decisions.ts';
import { RANGES, WINDOWS } from '../rest/schema/traffic.ts';
import { seriesProblem } from '../telemetry/traffic-views.ts';

export interface TrafficDesk {
  readonly traffic: Pick<TrafficSource, 'graph' | 'service' | 'instances'>;
  readonly loads: Pick<ProxySource, 'processOf'>;
  readonly ads: Pick<ProxySource, 'proxies'>;
}

const encoder = new TextEncoder();
const json = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** Throws CallError. */
export function getTraffic(
  { windowMs: asked, service: key, namespace }: admin.GetTrafficRequest,
  { traffic, ads, loads }: TrafficDesk,
): admin.GetTrafficResponse {
  const windowMs = lengthOf(asked, WINDOWS, '10s', 'window_ms');
  if (namespace !== '') discovery.nameFromMessage(namespace, 'namespace');
  const service = key === '' ? undefined : traffic.service(key, windowMs);
  if (key !== '' && service === undefined) throw new CallError(status.NOT_FOUND, `there is no service ${key}`);
  const dataPlanes = ads.proxies().map((proxy) => ({
    node: proxy.node,
    flavour: proxy.flavour,
    version: proxy.userAgent,
    inSync: proxy.sync.every(({ rejection, sentVersion, ackedVersion }) => rejection === '' && sentVersion === ackedVersion),
    process: loads.processOf(proxy) ?? {},
  }));
  return {
    graphJson: json(traffic.graph(windowMs, given(namespace))),
    serviceJson: service === undefined ? new Uint8Array(0) : json(service),
    instancesJson: json(traffic.instances(windowMs)),
    dataPlanesJson: json(dataPlanes),
  };
}

/** Rejects with CallError. */
export async function getSeries(
  { source, destination, route, instance, rangeMs: asked }: admin.GetSeriesRequest,
  traffic: Pick<TrafficSource, 'series'>,
): Promise<admin.GetSeriesResponse> {
  const question = { source: given(source), destination: given(destination), route: given(route), instance: given(instance) };
  const problem = seriesProblem(question);
  if (problem !== undefined) throw new CallError(status.INVALID_ARGUMENT, problem);
  const { start, since, points: told, ...rest } = await traffic.series(question, lengthOf(asked, RANGES, '5m', 'range_ms'));
  const { requestsPerSecond, errorsPerSecond, p50Ms, p90Ms, p99Ms, bytesPerSecond } = told;
  const points = requestsPerSecond.map((requests, at) => ({
    requestsPerSecond: requests ?? undefined,
    errorsPerSecond: errorsPerSecond[at] ?? undefined,
    ...{ p50Ms: p50Ms[at] ?? undefined, p90Ms: p90Ms[at] ?? undefined, p99Ms: p99Ms[at] ?? undefined },
    bytesPerSecond: bytesPerSecond[at] ?? undefined,
  }));
  return { ...rest, startMs: Date.parse(start), sinceMs: Date.parse(since), points };
}

/** Throws CallError. */
export function listDecisions(
  { service, outcome, limit }: admin.ListDecisionsRequest,
  traffic: Pick<TrafficSource, 'decisions'>,
): admin.ListDecisionsResponse {
  if (outcome !== '' && !OUTCOMES.some((known) => known === outcome))
    throw new CallError(status.INVALID_ARGUMENT, `outcome must be one of ${OUTCOMES.join(', ')}`);
  const { items, lost } = traffic.decisions({ service: given(service), outcome: given(outcome) }, limit === 0 ? DECISIONS_DEFAULT : limit);
  return { decisions: items.map(({ node, ...decision }) => ({ decision: telemetry.decisionMessage(decision), node })), lost };
}

/** Throws CallError. */
function lengthOf<T extends string>(asked: number, lengths: Readonly<Record<T, number>>, standard: T, field: string): number {
  if (asked === 0) return lengths[standard];
  const known = Object.values<number>(lengths);
  if (!known.includes(asked)) throw new CallError(status.INVALID_ARGUMENT, `${field} must be one of ${known.join(', ')}`);
  return asked;
}

function given(text: string): string | undefined {
  return text === '' ? undefined : text;
}
