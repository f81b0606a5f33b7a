// `GetTraffic`: what `heddle top` shows, in one answer, so that all of it is of the same moment.
import { status } from '@grpc/grpc-js';
import type { admin } from '@heddle/api';
import { CallError } from '../server/status.ts';
import type { ProxySource, TrafficSource } from '../rest/sources.ts';
import { WINDOWS } from '../rest/schema/traffic.ts';

export interface TrafficDesk {
  readonly traffic: Pick<TrafficSource, 'graph' | 'service' | 'instances'>;
  readonly loads: Pick<ProxySource, 'processOf'>;
  readonly ads: Pick<ProxySource, 'proxies'>;
}

const encoder = new TextEncoder();
const json = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** Throws CallError. */
export function getTraffic(
  { windowMs: asked, service: key }: admin.GetTrafficRequest,
  { traffic, ads, loads }: TrafficDesk,
): admin.GetTrafficResponse {
  const windowMs = asked === 0 ? WINDOWS['10s'] : asked;
  if (!Object.values<number>(WINDOWS).includes(windowMs))
    throw new CallError(status.INVALID_ARGUMENT, `window_ms must be one of ${Object.values(WINDOWS).join(', ')}`);
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
    graphJson: json(traffic.graph(windowMs)),
    serviceJson: service === undefined ? new Uint8Array(0) : json(service),
    instancesJson: json(traffic.instances(windowMs)),
    dataPlanesJson: json(dataPlanes),
  };
}
