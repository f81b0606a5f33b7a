// What each table says of traffic in its last columns: requests, errors, latency.
import { latency, percent, rate } from '../logic/format.ts';
import { Cell, type Column } from './table.tsx';

export const TRAFFIC_COLUMNS: readonly Column[] = ['Requests', 'Errors', 'p99'].map((title) => ({ title, numeric: true }));

interface Golden {
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  readonly p99Ms: number | null;
}

/** `traffic` undefined: nothing is known. */
export function TrafficCells({ traffic }: { readonly traffic: Golden | undefined }) {
  return (
    <>
      <Cell title="Requests" numeric>
        {traffic === undefined ? '–' : rate(traffic.requestsPerSecond)}
      </Cell>
      <Cell title="Errors" numeric>
        {traffic === undefined ? '–' : percent(traffic.errorsPerSecond, traffic.requestsPerSecond)}
      </Cell>
      <Cell title="p99" numeric>
        {latency(traffic?.p99Ms ?? null)}
      </Cell>
    </>
  );
}
