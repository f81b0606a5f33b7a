// `heddle token list` and `heddle token revoke`: tokens that were made; their secrets are known to nobody any more.
import type { admin } from '@heddle/api';
import { openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { type Column, formatAge, formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface TokenListOptions {
  readonly all: boolean;
  /** The named ones of administrators. */
  readonly admin: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function listTokens(options: TokenListOptions): Promise<ExitCode> {
  const { all, output, stateDir } = options;
  if (options.admin) return await listAdminTokens(options);
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const rows = joinTokensShown(await control.tokens(), all).map(joinTokenData);
    if (output !== 'table') {
      process.stdout.write(formatData(rows, output));
      return 0;
    }
    const palette = paletteFor(process.stdout, process.env);
    const columns: Column<(typeof rows)[number]>[] = [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'FOR', cell: ({ namespace, service }) => `${namespace}/${service}` },
      { title: 'STATE', cell: ({ state }) => (state === 'good' ? palette.good(state) : palette.warn(state)) },
      { title: 'MADE', cell: ({ created }) => (created === null ? '-' : `${formatAge(Date.now() - Date.parse(created))} ago`) },
      {
        title: 'ENDS IN',
        cell: ({ state, notAfter }) => (state === 'good' && notAfter !== null ? formatAge(Date.parse(notAfter) - Date.now()) : '-'),
      },
    ];
    process.stdout.write(rows.length === 0 ? 'none\n' : formatTable(columns, rows, palette));
    const others = await control.adminTokens().then((tokens) => adminTokensShown(tokens, all).length, unknown);
    if (others > 0) process.stderr.write(`${others} ${others === 1 ? 'token' : 'tokens'} of administrators: heddle token list --admin\n`);
    return 0;
  } finally {
    control.close();
  }
}

async function listAdminTokens({ all, output, stateDir }: TokenListOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const nowMs = Date.now();
    const rows = adminTokensShown(await control.adminTokens(), all).map(({ name, role, by, createdMs, notAfterMs }) => ({
      ...{ name, role, by, created: isoTime(createdMs), notAfter: isoTime(notAfterMs) },
    }));
    if (output !== 'table') {
      process.stdout.write(formatData(rows, output));
      return 0;
    }
    const endsIn = (notAfter: string | null): string => formatAge(Date.parse(notAfter ?? '') - nowMs);
    const columns: Column<(typeof rows)[number]>[] = [
      { title: 'NAME', cell: ({ name }) => name },
      { title: 'ROLE', cell: ({ role }) => role },
      { title: 'ENDS IN', cell: ({ notAfter }) => (Date.parse(notAfter ?? '') > nowMs ? endsIn(notAfter) : 'ended') },
      { title: 'MADE BY', cell: ({ by }) => by },
    ];
    process.stdout.write(rows.length === 0 ? 'none\n' : formatTable(columns, rows, paletteFor(process.stdout, process.env)));
    const others = await control.tokens().then((tokens) => joinTokensShown(tokens, all).length, unknown);
    if (others > 0) process.stderr.write(`${others} join ${others === 1 ? 'token' : 'tokens'} of workloads: heddle token list\n`);
    return 0;
  } finally {
    control.close();
  }
}

/** A hint is worth no failure. */
const unknown = (): number => 0;

function joinTokensShown<T extends { readonly state: string }>(tokens: readonly T[], all: boolean): readonly T[] {
  return tokens.filter(({ state }) => all || state === 'good');
}

function adminTokensShown<T extends { readonly notAfterMs: number }>(tokens: readonly T[], all: boolean): readonly T[] {
  return tokens.filter(({ notAfterMs }) => all || notAfterMs > Date.now());
}

export async function revokeToken(id: string, { admin, output, stateDir }: Omit<TokenListOptions, 'all'>): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    if (admin) {
      await control.revokeAdminToken(id);
      const text = `the token of the administrator ${id} cannot be used any more\n`;
      process.stdout.write(output === 'table' ? text : formatData({ name: id, state: 'revoked' }, output));
      return 0;
    }
    const token = await control.revokeToken(id);
    const text = `the join token ${id} for ${token.namespace}/${token.service} cannot be used any more\n`;
    process.stdout.write(output === 'table' ? text : formatData(joinTokenData(token), output));
    return 0;
  } finally {
    control.close();
  }
}

/** As programs get it. */
function joinTokenData({ id, namespace, service, state, createdMs, notAfterMs, usedMs }: admin.JoinTokenMessage) {
  return { id, namespace, service, state, created: isoTime(createdMs), notAfter: isoTime(notAfterMs), used: isoTime(usedMs) };
}

function isoTime(unixMs: number): string | null {
  return unixMs === 0 ? null : new Date(unixMs).toISOString();
}
