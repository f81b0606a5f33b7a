// `heddle get load`: who sends how much to whom, from what the data planes report.
import type { admin } from '@heddle/api';
import { formatAge, type Column } from '../output/format.ts';

export function loadRow(load: admin.LoadMessage) {
  const { source, destination, requestsPerSecond, errorsPerSecond, droppedPerSecond, inProgress, nodes, updatedMs } = load;
  return {
    source,
    destination,
    requestsPerSecond: rounded(requestsPerSecond),
    errorsPerSecond: rounded(errorsPerSecond),
    droppedPerSecond: rounded(droppedPerSecond),
    inProgress,
    nodes,
    updated: new Date(updatedMs).toISOString(),
  };
}
export type LoadRow = ReturnType<typeof loadRow>;

/** Three digits behind the point: less than one request in a quarter of an hour is nothing. */
function rounded(rate: number): number {
  return Math.round(rate * 1_000) / 1_000;
}

export const LOAD_COLUMNS: readonly Column<LoadRow>[] = [
  { title: 'SOURCE', cell: ({ source }) => shortName(source) },
  { title: 'DESTINATION', cell: ({ destination }) => shortName(destination) },
  { title: 'REQUESTS/S', cell: ({ requestsPerSecond }) => String(requestsPerSecond) },
  { title: 'ERRORS/S', cell: ({ errorsPerSecond }) => String(errorsPerSecond) },
  { title: 'IN PROGRESS', cell: ({ inProgress }) => String(inProgress) },
  { title: 'PROXIES', cell: ({ nodes }) => String(nodes.length) },
  { title: 'REPORTED', cell: ({ updated }) => formatAge(Date.now() - Date.parse(updated)) },
];

function shortName(service: string): string {
  return service.startsWith('default/') ? service.slice('default/'.length) : service;
}
