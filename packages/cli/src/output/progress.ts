// How far data planes are with a change, in words.
import type { DrainReport } from '../control-client.ts';

const NAMES_MAX = 5;

/** A line for each step that says something new, while it goes on. @param what it is about. */
export function progressTo(stream: { write(text: string): unknown }, what: string): (report: DrainReport) => void {
  let told = '';
  return (report) => {
    const line = progressText(report);
    if (line === told || report.outcome !== 'waiting') return;
    told = line;
    stream.write(`${what}: ${line}\n`);
  };
}

function progressText({ dataPlanes, acknowledged, gone, stragglers }: DrainReport): string {
  const waiting = stragglers.length === 0 ? '' : `, waiting for ${namesOf(stragglers)}`;
  return `acknowledged by ${acknowledged} of ${dataPlanesText(dataPlanes)}${gone === 0 ? '' : `, ${gone} gone`}${waiting}`;
}

export function namesOf(stragglers: DrainReport['stragglers']): string {
  const named = stragglers.slice(0, NAMES_MAX).map(({ node, reason }) => (reason === 'unacknowledged' ? node : `${node} (${reason})`));
  const more = stragglers.length - named.length;
  return `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

export function dataPlanesText(count: number): string {
  return `${count} data ${count === 1 ? 'plane' : 'planes'}`;
}
