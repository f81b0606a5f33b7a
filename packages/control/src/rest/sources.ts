// Where the REST API reads what others keep: data planes, load and traffic.
import type { Load, ProcessFacts } from '@heddle/core';
import type { DrainDesk } from '../drain/desk.ts';
import type { DecisionFilter, DecisionPage } from '../telemetry/decision-log.ts';
import type { ExplainReply, ExplainWish } from '../telemetry/questions.ts';
import type { OpenTap, TapWish } from '../telemetry/tap-desk.ts';
import type { InstanceTraffic, SeriesQuestion } from '../telemetry/traffic-views.ts';
import type { ConnectedProxy, ReportedState } from '../xds-server/applied.ts';
import type { Graph, SeriesPoints, ServiceTraffic } from './schema/traffic.ts';

export interface ProxySource {
  /** Who waits until data planes no longer choose an instance. */
  readonly drains: Pick<DrainDesk, 'begin'>;
  /** Sorted by node. */
  proxies(): readonly ConnectedProxy[];
  onProxiesChange(listener: () => void): { close(): void };
  /** What the data plane itself says that it has. */
  reported(proxy: ConnectedProxy): ReportedState | undefined;
  /** What it says of its process; undefined: nothing. */
  processOf(proxy: ConnectedProxy): ProcessFacts | undefined;
  /** Sorted by source and destination. */
  loads(node?: string): readonly Load[];
}

export interface TrafficSource {
  /** Of all namespaces unless one is named. */
  graph(windowMs: number, namespace?: string): Graph;
  /** Undefined: there is no such service. */
  service(key: string, windowMs: number): ServiceTraffic | undefined;
  /** Of all services. */
  instances(windowMs: number): readonly InstanceTraffic[];
  series(question: SeriesQuestion, rangeMs: number): Promise<SeriesPoints>;
  decisions(filter: DecisionFilter, limit: number): DecisionPage;
  /** Asks the data plane that would carry the request. Never rejects. */
  explain(wish: ExplainWish): Promise<ExplainReply>;
  /** Live requests. Throws TapRefusal. @param poke there may be something to read. */
  tap(wish: TapWish, poke: () => void): OpenTap;
  /** Called once in each interval of the reports. */
  onTraffic(listener: () => void): { close(): void };
}
