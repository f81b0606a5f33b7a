// Where the REST API reads what others keep: data planes and load.
import type { Load } from '@heddle/core';
import type { DrainDesk } from '../drain/desk.ts';
import type { ConnectedProxy, ReportedState } from '../xds-server/applied.ts';

export interface ProxySource {
  /** Who waits until data planes no longer choose an instance. */
  readonly drains: Pick<DrainDesk, 'begin'>;
  /** Sorted by node. */
  proxies(): readonly ConnectedProxy[];
  onProxiesChange(listener: () => void): { close(): void };
  /** What the data plane itself says that it has. */
  reported(proxy: ConnectedProxy): ReportedState | undefined;
  /** Sorted by source and destination. */
  loads(node?: string): readonly Load[];
}
