// Requests, errors, latency and bytes of a service over time.
import { useComputed, useSignal } from '@preact/signals';
import type { Series } from '../../api/traffic.ts';
import { bytes, latency, rate } from '../../logic/format.ts';
import { useResource } from '../../browser/resource.ts';
import { Card, Empty, Failure, Segments, Waiting } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';

const RANGES = [
  ['5m', '5 min'],
  ['1h', '1 hour'],
  ['24h', '1 day'],
] as const;
type Range = (typeof RANGES)[number][0];

export function Signals({ name }: { readonly name: string }) {
  const range = useSignal<Range>('5m');
  const series = useResource<Series>(() => ({
    path: '/series',
    query: { destination: name, range: range.value },
    everyMs: range.value === '5m' ? 5_000 : 30_000,
  }));
  return (
    <Card
      title="Golden signals"
      aside={<Segments label="How far back" options={RANGES} value={range.value} onChange={(next) => (range.value = next)} />}
    >
      <Charts series={series.value.data} />
      {series.value.data === undefined &&
        (series.value.error === undefined ? (
          <Waiting what="the history" />
        ) : (
          <Failure error={series.value.error} what="history of traffic" />
        ))}
      {series.value.data?.from === 'prometheus' && <p class="about">From Prometheus.</p>}
    </Card>
  );
}

function Charts({ series }: { readonly series: Series | undefined }) {
  // The same lines until other points come, so that nothing is drawn anew in between.
  const given = useSignal(series);
  given.value = series;
  const charts = useComputed(() => (given.value === undefined ? undefined : chartsOf(given.value)));
  if (charts.value === undefined) return null;
  if (charts.value.isEmpty)
    return <Empty title="No request yet">Call the service through the mesh, and the lines begin here within seconds.</Empty>;
  const { time } = charts.value;
  return (
    <div class="charts">
      <Chart title="Requests" lines={charts.value.requests} format={rate} {...time} />
      <Chart title="Errors" lines={charts.value.errors} format={rate} {...time} />
      <Chart title="Latency" lines={charts.value.latencies} format={latency} {...time} />
      <Chart title="Bytes" lines={charts.value.bytes} format={(value) => `${bytes(value)}/s`} {...time} />
    </div>
  );
}

function chartsOf({ start, stepMs, points }: Series) {
  return {
    time: { startMs: Date.parse(start), stepMs },
    isEmpty: points.requestsPerSecond.every((value) => value === null || value === 0),
    requests: [{ title: 'Requests', colour: '--series-1', points: points.requestsPerSecond }],
    errors: [{ title: 'Errors', colour: '--series-2', points: points.errorsPerSecond }],
    latencies: [
      { title: 'p50', colour: '--series-1', points: points.p50Ms },
      { title: 'p90', colour: '--series-3', dash: [5, 3], points: points.p90Ms },
      { title: 'p99', colour: '--series-2', dash: [2, 2], points: points.p99Ms },
    ],
    bytes: [{ title: 'Bytes', colour: '--series-4', points: points.bytesPerSecond }],
  };
}
