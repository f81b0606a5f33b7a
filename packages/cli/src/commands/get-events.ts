// `heddle get events`: what has happened, once or as it happens.
import type { admin } from '@heddle/api';
import type { ServiceRef } from '@heddle/core';
import { openControl, type ControlClient } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatData, formatTable, type Column } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor, type Palette } from '../output/palette.ts';
import { RegistryWatch } from '../registry-watch.ts';
import { listenForStop } from '../signals.ts';

export interface GetEventsOptions {
  readonly directory: string;
  readonly output: OutputFormat;
  readonly watch: boolean;
  /** Only what is about this service and its instances. */
  readonly only: ServiceRef | undefined;
}

/** Of the past, before those that come. */
const PAST_MAX = 20;
/** The longest kind, `data-plane-disconnected`. */
const KIND_CHARS = 23;

export async function getEvents({ directory, output, watch, only }: GetEventsOptions): Promise<ExitCode> {
  const filter = only === undefined ? {} : { subject: `${only.namespace}/${only.name}` };
  const control = openControl(directory);
  try {
    const palette = paletteFor(process.stdout, process.env);
    if (watch)
      return await follow(control, directory, filter, (rows) =>
        process.stdout.write(rows.map((row) => line(row, output, palette)).join('')),
      );
    const rows = (await control.events(filter)).events.map(eventRow);
    if (output !== 'table') process.stdout.write(formatData(rows, output));
    else process.stdout.write(rows.length === 0 ? 'none\n' : formatTable(eventColumns(palette), rows, palette));
    return 0;
  } finally {
    control.close();
  }
}

type Filter = Parameters<ControlClient['events']>[0];

async function follow(
  control: ControlClient,
  directory: string,
  filter: Filter,
  show: (rows: readonly EventRow[]) => void,
): Promise<ExitCode> {
  using stop = listenForStop();
  // The first list must come: a mesh that is not there is an error, one that goes away later is waited for.
  const first = await control.events(filter);
  show(first.events.slice(-PAST_MAX).map(eventRow));
  let toldId = first.lastId;
  const following = new RegistryWatch({
    open: () => openControl(directory),
    ask: (client) => client.events(filter, toldId),
    onAnswer: ({ events, lastId }) => {
      show(events.map(eventRow));
      // A control plane that has lost its events begins at 1 again.
      toldId = lastId;
    },
    onLost: (reason) => void process.stderr.write(`the control plane does not answer: ${reason}; waiting for it\n`),
  });
  await stop.asked;
  following.close();
  return 0;
}

function eventRow({ id, timeMs, kind, subject, message }: admin.EventMessage) {
  return { id, time: new Date(timeMs).toISOString(), kind, subject, message };
}
type EventRow = ReturnType<typeof eventRow>;

function eventColumns(palette: Palette): Column<EventRow>[] {
  return [
    { title: 'TIME', cell: ({ time }) => time },
    { title: 'EVENT', cell: (row) => colored(row, palette) },
    { title: 'SUBJECT', cell: ({ subject }) => subject },
    { title: 'MESSAGE', cell: ({ message }) => message },
  ];
}

function line(row: EventRow, output: OutputFormat, palette: Palette): string {
  if (output !== 'table') return formatData(row, output, true);
  const { time, kind, subject, message } = row;
  return `${time}  ${colored(row, palette)}${' '.repeat(Math.max(0, KIND_CHARS - kind.length))}  ${subject}  ${message}\n`;
}

const BAD: readonly string[] = ['instance-expired', 'mass-expiry', 'data-plane-rejected', 'route-refused'];

function colored({ kind, message }: EventRow, palette: Palette): string {
  if (BAD.includes(kind) || (kind === 'instance-health' && message.includes('→ unhealthy'))) return palette.bad(kind);
  return kind;
}
