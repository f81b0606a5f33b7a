// `heddle get audit`: who has changed what, and who was refused.
import type { admin } from '@heddle/api';
import type { ServiceRef } from '@heddle/core';
import { openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatData, formatTable, type Column } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor, type Palette } from '../output/palette.ts';

export interface AuditOptions {
  readonly who?: string;
  readonly action?: string;
  readonly outcome?: string;
  /** Milliseconds ago. */
  readonly since?: number;
  readonly limit?: number;
}

export interface GetAuditOptions extends AuditOptions {
  readonly directory: string;
  readonly output: OutputFormat;
  /** Only what is about this service and its instances. */
  readonly only: ServiceRef | undefined;
}

export async function getAudit({ directory, output, only, who, action, outcome, since, limit }: GetAuditOptions): Promise<ExitCode> {
  const control = openControl(directory);
  try {
    const { entries } = await control.audit({
      ...(who !== undefined && { who }),
      ...(action !== undefined && { action }),
      ...(outcome !== undefined && { outcome }),
      ...(only !== undefined && { subject: `${only.namespace}/${only.name}` }),
      ...(since !== undefined && { sinceMs: Date.now() - since }),
      ...(limit !== undefined && { limit }),
    });
    const rows = entries.map(auditRow);
    const palette = paletteFor(process.stdout, process.env);
    if (output !== 'table') process.stdout.write(formatData(rows, output));
    else process.stdout.write(rows.length === 0 ? 'none\n' : formatTable(columns(palette), rows, palette));
    return 0;
  } finally {
    control.close();
  }
}

function auditRow({ id, timeMs, who, role, from, action, subject, outcome, before, after, reason }: admin.AuditEntryMessage) {
  const [was, is] = [valueOf(before), valueOf(after)];
  return { id, time: new Date(timeMs).toISOString(), who, role, from, action, subject, outcome, before: was, after: is, reason };
}
type AuditRow = ReturnType<typeof auditRow>;

function valueOf(json: string): unknown {
  if (json === '') return null;
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}

function columns(palette: Palette): Column<AuditRow>[] {
  return [
    { title: 'TIME', cell: ({ time }) => time },
    { title: 'WHO', cell: ({ who, role }) => (role === '' ? who : `${who} (${role})`) },
    { title: 'FROM', cell: ({ from }) => (from === '' ? '-' : from) },
    { title: 'ACTION', cell: ({ action, outcome }) => (outcome === 'refused' ? palette.bad(`${action} refused`) : action) },
    { title: 'SUBJECT', cell: ({ subject }) => subject },
    { title: 'WHAT', cell: whatText },
  ];
}

/** One line: the reason of a refusal, or what it is now. */
function whatText({ reason, before, after }: AuditRow): string {
  if (reason !== '') return reason;
  const changes = (after as { readonly changes?: unknown } | null)?.changes;
  if (Array.isArray(changes)) return changes.join('; ').slice(0, 200);
  if (before === null && after === null) return '';
  return `${before === null ? '' : `${JSON.stringify(before)} → `}${after === null ? 'gone' : JSON.stringify(after)}`.slice(0, 200);
}
