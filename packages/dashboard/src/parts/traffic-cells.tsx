// What each table says of traffic in its last columns: requests, errors, latency.
import { latency, percent, rate } from '../logic/format.ts';
import { Cell, type Column } from './table.tsx';

export const TRAFFIC_COLUMNS = columns('Requests', 'Errors', 'p99');
export const TRAFFIC_COLUMNS_WITH_MEDIAN = columns('Requests', 'Errors', 'p50', 'p99');

function columns(...titles: readonly string[]): readonly Column[] {
  return titles.map((title) => ({ title, numeric: true }));
}

interface Golden {
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  readonly p50Ms?: number | null;
  readonly p99Ms: number | null;
}

/** `traffic` undefined: nothing is known, which `unknown` says. */
export function TrafficCells({
  traffic,
  unknown = '–',
  withMedian = false,
}: {
  readonly traffic: Golden | undefined;
  readonly unknown?: string;
  readonly withMedian?: boolean;
}) {
  return (
    <>
      <Cell title="Requests" numeric>
        {traffic === undefined ? unknown : rate(traffic.requestsPerSecond)}
      </Cell>
      <Cell title="Errors" numeric>
        {traffic === undefined ? '–' : percent(traffic.errorsPerSecond, traffic.requestsPerSecond)}
      </Cell>
      {withMedian && (
        <Cell title="p50" numeric>
          {latency(traffic?.p50Ms ?? null)}
        </Cell>
      )}
      <Cell title="p99" numeric>
        {latency(traffic?.p99Ms ?? null)}
      </Cell>
    </>
  );
}
