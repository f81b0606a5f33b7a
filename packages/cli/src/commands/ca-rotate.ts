// `heddle ca rotate`: replaces the mesh's root step by step, or tells how far that is. What stands in the way of a step is told, and makes the
// exit code 1.
import { type AuthorityView, type ControlClient, openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatAge, formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { type Palette, paletteFor } from '../output/palette.ts';
import { listenForStop } from '../signals.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { pause } from '../up/poll.ts';

export interface RotateOptions {
  readonly auto: boolean;
  readonly force: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export type RotateStep = 'start' | 'use' | 'finish' | 'abort' | 'status';

const LOOK_EVERY_MS = 500;

export async function rotate(step: RotateStep | undefined, { auto, force, output, stateDir }: RotateOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    if (auto && (step === undefined || step === 'start')) return await all(control, force, output);
    const wanted = step ?? 'status';
    const authority = wanted === 'status' ? await control.authority() : await control.rotateRoot(wanted, { force, automatic: false });
    print(authority, output);
    return 0;
  } finally {
    control.close();
  }
}

/** Waits until it is over; the control plane goes on without anybody who waits, and over its restarts. */
async function all(control: ControlClient, force: boolean, output: OutputFormat): Promise<ExitCode> {
  using stop = listenForStop();
  const gone = new AbortController();
  void stop.asked.then(() => gone.abort());
  let authority = await control.rotateRoot('start', { force, automatic: true });
  let told = '';
  while (!gone.signal.aborted && authority.phase !== 'none') {
    const line = progressText(authority);
    if (line !== told) process.stderr.write(`${line}\n`);
    told = line;
    await pause(LOOK_EVERY_MS, gone.signal);
    // A control plane that restarts goes on where it was.
    authority = await control.authority().catch(() => authority);
    if (!authority.isAutomatic && authority.phase !== 'none') break;
  }
  if (gone.signal.aborted) process.stderr.write('it goes on without this command; see `heddle ca rotate status`\n');
  print(authority, output);
  return authority.phase === 'none' ? 0 : 1;
}

function progressText({ phase, obstacles }: AuthorityView): string {
  const where = phase === 'added' ? 'the new root is being told to everybody' : 'certificates come from the new root';
  return obstacles.length === 0 ? where : `${where}; ${obstacles.join('; ')}`;
}

function print(authority: AuthorityView, output: OutputFormat): void {
  if (output !== 'table') process.stdout.write(formatData(dataOf(authority), output));
  else process.stdout.write(textOf(authority, paletteFor(process.stdout, process.env)));
}

/** With times as programs read them. */
export function dataOf(authority: AuthorityView): object {
  const { addedMs, usedMs, root, next, ...rest } = authority;
  return {
    ...rest,
    added: isoTime(addedMs),
    used: isoTime(usedMs),
    root: rootData(root),
    next: next === undefined ? null : rootData(next),
  };
}

function rootData({ notAfterMs, lastEndMs, ...rest }: AuthorityView['root']): object {
  return { ...rest, notAfter: isoTime(notAfterMs), lastCertificateEnds: isoTime(lastEndMs) };
}

function isoTime(unixMs: number): string | null {
  return unixMs === 0 ? null : new Date(unixMs).toISOString();
}

const PHASES: Readonly<Record<string, string>> = {
  none: 'no replacement of the root is under way',
  added: '1 of 3: the new root is added to what everybody trusts; certificates still come from the old one',
  used: '2 of 3: certificates come from the new root; the old one is still trusted',
  finishing: '3 of 3: the old root is being removed',
};
const SOURCES: Readonly<Record<string, string>> = {
  own: 'a root of its own',
  files: 'an authority from files',
  command: 'an authority behind a command',
};

export function textOf(authority: AuthorityView, palette: Palette): string {
  const { source, phase, isAutomatic, root, next, step, obstacles, dataPlanes, acknowledged, isLogFailing } = authority;
  const lines = [
    `${palette.bold('signs')}        ${SOURCES[source] ?? source}`,
    `${palette.bold('root')}         ${rootText(root)}`,
    ...(next === undefined ? [] : [`${palette.bold('next root')}    ${rootText(next)}`]),
    `${palette.bold('rotation')}     ${PHASES[phase] ?? phase}${isAutomatic ? ' (goes on by itself)' : ''}`,
    `${palette.bold('data planes')}  ${acknowledged} of ${dataPlanes} have the roots of today`,
    ...(isLogFailing ? [palette.bad('the log of issued certificates cannot be written; the log of the control plane says why')] : []),
  ];
  if (step !== '') {
    lines.push(
      `${palette.bold('next step')}    heddle ca rotate ${step}${obstacles.length === 0 ? palette.good(' (can be made now)') : ''}`,
    );
    for (const obstacle of obstacles) lines.push(`${palette.warn('not yet')}      ${obstacle}`);
  }
  return `${lines.join('\n')}\n`;
}

function rootText({ pin, notAfterMs, certificates }: AuthorityView['root']): string {
  return `${pin}, ends in ${formatAge(notAfterMs - Date.now())}, ${certificates} valid ${certificates === 1 ? 'certificate' : 'certificates'}`;
}
