// The instances of an explanation, one table for each cluster: who can be picked, and what the balancer goes by.
import type { Column } from '../output/format.ts';
import { formatTable } from '../output/format.ts';
import type { Palette } from '../output/palette.ts';
import type { Candidate, ClusterFacts, Target, Explanation } from '@heddle/dataplane/explain';
import { duration } from './explain-words.ts';

/** Of one cluster; `-o json` has more. */
const ROWS_MAX = 20;

export function instancesText({ clusters, calledSide }: Explanation, palette: Palette): string[] {
  const parts = clusters.map((target) => targetText(target, clusters.length > 1, palette));
  if (calledSide.length > 0) {
    const columns: Column<(typeof calledSide)[number]>[] = [
      { title: 'HOSTED HERE', cell: ({ instance }) => instance },
      { title: 'APPLICATION', cell: ({ application }) => application },
      { title: 'UNDER WAY', cell: ({ activeRequests }) => String(activeRequests) },
      ...(calledSide.some(({ adaptiveConcurrency }) => adaptiveConcurrency !== null)
        ? [{ title: 'CONCURRENCY', cell: ({ concurrency }: (typeof calledSide)[number]) => concurrencyText(concurrency) }]
        : []),
    ];
    parts.push(formatTable(columns, calledSide, palette));
  }
  return parts;
}

function targetText({ name, sharePercent, taken, cluster, candidates }: Target, isSplit: boolean, palette: Palette): string {
  const share = isSplit ? `${Math.round(sharePercent * 100) / 100} % ${taken === true ? palette.good('← this request ') : ''}` : '';
  const title = `${share}${palette.bold(name)}`;
  if (cluster === null) return `${title}: ${palette.bad('it has not arrived yet')}\n`;
  const hash = candidates.byHash === '' ? [] : [`by its hash the request goes to ${candidates.byHash}`];
  const facts = [balanceText(cluster), ...limitsOf(cluster), ...hash].map((fact) => `  ${fact}\n`).join('');
  const rows = candidates.shown.slice(0, ROWS_MAX);
  const more = candidates.all - rows.length;
  const table = rows.length === 0 ? `  ${palette.bad('no instances')}\n` : formatTable(columnsOf(rows, palette), rows, palette);
  return `${title}\n${facts}${table}${more > 0 ? palette.dim(`and ${more} more (-o json)\n`) : ''}`;
}

function balanceText({ balance, outlier, session }: ClusterFacts): string {
  const { algorithm, locality, slowStartMs, panicPercent } = balance;
  const parts = [
    algorithm,
    { any: 'wherever they run', prefer: 'the nearest first', 'zone-aware': 'mostly within the zone' }[locality],
    ...(slowStartMs === 0 ? [] : [`slow start of ${duration(slowStartMs)}`]),
    ...(panicPercent === 0 ? [] : [`all are used where fewer than ${panicPercent} % are healthy`]),
    ...(outlier === null ? [] : [`left out for ${duration(outlier.ejectMs)} and more when they fail`]),
    ...(session === null ? [] : [`stays with the instance that the cookie ${session.cookie} names`]),
  ];
  return `balanced by ${parts.join('; ')}`;
}

function limitsOf({ breaker, underWay, pending, adaptiveConcurrency, concurrency }: ClusterFacts): string[] {
  const { requests, pending: pendingMax, connections } = breaker;
  const parts = [
    `${underWay} requests under way${requests === 0 ? '' : ` of at most ${requests}`}`,
    `${pending} waiting${pendingMax === 0 ? '' : ` of at most ${pendingMax}`}`,
    ...(connections === 0 ? [] : [`at most ${connections} connections to each instance`]),
  ];
  const isPlain = requests + pendingMax + connections === 0;
  return [
    ...(isPlain ? [] : [`breaker: ${parts.join(', ')}`]),
    ...(adaptiveConcurrency === null ? [] : [`concurrency: ${concurrencyText(concurrency)}`]),
  ];
}

/** As the data plane describes it, each of its processes. */
function concurrencyText(each: readonly object[]): string {
  const texts = each.map((one) =>
    Object.entries(one)
      .flatMap(([key, value]) => (typeof value === 'number' || typeof value === 'string' ? [`${key} ${rounded(value)}`] : []))
      .join(', '),
  );
  return texts.length === 0 ? '-' : texts.join(' | ');
}

function columnsOf(rows: readonly Candidate[], palette: Palette): Column<Candidate>[] {
  const color: Readonly<Record<string, (text: string) => string>> = {
    healthy: palette.good,
    draining: palette.warn,
    unhealthy: palette.bad,
  };
  const hasPlace = rows.some(({ locality }) => locality !== '');
  const isReported = rows.some(({ views }) => views.some(({ balancer }) => balancer['reportedInFlight'] !== undefined));
  return [
    { title: 'INSTANCE', cell: ({ instance, canBePicked }) => (canBePicked ? instance : palette.dim(instance)) },
    { title: 'ADDRESS', cell: ({ address, port }) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`) },
    ...(hasPlace ? [{ title: 'LOCALITY', cell: ({ locality }: Candidate) => (locality === '' ? '-' : locality) }] : []),
    { title: 'WEIGHT', cell: ({ weight }) => String(weight) },
    { title: 'HEALTH', cell: ({ health }) => (color[health] ?? palette.dim)(health) },
    { title: 'PICKED', cell: ({ canBePicked }) => (canBePicked ? 'yes' : palette.bad('no')) },
    { title: 'IN FLIGHT', cell: (row) => measured(row, 'inFlight', sumOf) },
    ...(isReported ? [{ title: 'IT REPORTS', cell: (row: Candidate) => measured(row, 'reportedInFlight', Math.max) }] : []),
    { title: 'EXPECTED', cell: (row) => withUnit(measured(row, 'expectedMs', Math.max)) },
    ...(rows.some((row) => basisOf(row) !== '') ? [{ title: 'BY', cell: basisOf }] : []),
    { title: 'WHY', cell: ({ why }) => why },
  ];
}

/** What the choice goes by, where the balancer has more than one way; as each process says it. */
function basisOf({ views }: Candidate): string {
  const bases = views.flatMap(({ measured: is, balancer: { basis } }) => (is && basis !== undefined ? [String(basis)] : []));
  return [...new Set(bases)].join(' | ');
}

const sumOf = (...values: number[]): number => values.reduce((sum, value) => sum + value, 0);

/** Of all processes of the proxy together; `-`: nothing was measured. */
function measured({ views }: Candidate, key: string, together: (...values: number[]) => number): string {
  const values = views.flatMap(({ measured: is, balancer }) => {
    const value = balancer[key];
    return is && typeof value === 'number' ? [value] : [];
  });
  return values.length === 0 ? '-' : String(rounded(together(...values)));
}

function withUnit(value: string): string {
  return value === '-' ? value : `${value} ms`;
}

function rounded(value: number | string): number | string {
  return typeof value === 'number' ? Math.round(value * 10) / 10 : value;
}
