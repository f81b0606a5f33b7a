// `heddle identity list`: which certificates the authority has issued that are valid now, and which identities are denied.
import { type ControlClient, openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { type Column, formatAge, formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { type Palette, paletteFor } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface IdentityListOptions {
  readonly denied: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function listIdentities({ denied, output, stateDir }: IdentityListOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const palette = paletteFor(process.stdout, process.env);
    process.stdout.write(denied ? await deniedText(control, output, palette) : await identitiesText(control, output, palette));
    return 0;
  } finally {
    control.close();
  }
}

/** Of the certificates, oldest first; also for `heddle get identities`. */
export async function identitiesText(control: ControlClient, output: OutputFormat, palette: Palette, oneOfMany = false): Promise<string> {
  const { certificates, denied } = await control.identities();
  const deniedIds = new Set(denied.map(({ id }) => id));
  const rows = certificates.map(({ id, serial, issuedMs, notAfterMs, why, keyPin, rootPin }) => ({
    identity: id,
    serial,
    issued: new Date(issuedMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
    why,
    keyPin,
    rootPin,
    denied: deniedIds.has(id),
  }));
  if (output !== 'table') return formatData(rows, output, oneOfMany);
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'IDENTITY', cell: ({ identity }) => identity },
    { title: 'ISSUED', cell: ({ issued }) => `${formatAge(Date.now() - Date.parse(issued))} ago` },
    { title: 'ENDS IN', cell: ({ notAfter }) => formatAge(Date.parse(notAfter) - Date.now()) },
    { title: 'BY', cell: ({ why }) => why },
    { title: 'SERIAL', cell: ({ serial }) => serial },
    { title: 'STATE', cell: (row) => (row.denied ? palette.bad('denied') : palette.good('valid')) },
  ];
  return rows.length === 0 ? 'none\n' : formatTable(columns, rows, palette);
}

async function deniedText(control: ControlClient, output: OutputFormat, palette: Palette): Promise<string> {
  const { denied } = await control.identities();
  const rows = denied.map(({ id, reason, sinceMs, by }) => ({
    identity: id,
    reason,
    since: sinceMs === 0 ? null : new Date(sinceMs).toISOString(),
    by,
  }));
  if (output !== 'table') return formatData(rows, output);
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'IDENTITY', cell: ({ identity }) => identity },
    { title: 'SINCE', cell: ({ since }) => (since === null ? '-' : `${formatAge(Date.now() - Date.parse(since))} ago`) },
    { title: 'BY', cell: ({ by }) => by },
    { title: 'REASON', cell: ({ reason }) => (reason === '' ? '-' : reason) },
  ];
  return rows.length === 0 ? 'none\n' : formatTable(columns, rows, palette);
}
