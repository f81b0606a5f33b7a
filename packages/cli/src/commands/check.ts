// `heddle check`: looks at a mesh from end to end, from the files to the instances. Every finding says why it matters and how to mend it. What is
// looked at is in `check/`, a file for each part.
import { checkControl } from '../check/control.ts';
import { asFailure, failed, ok, type Finding } from '../check/finding.ts';
import { checkFreePorts, checkPorts } from '../check/ports.ts';
import { checkProxy } from '../check/proxy.ts';
import { checkStateDirectory } from '../check/state-directory.ts';
import { openControl, type ControlClient } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { readControlInfo, requireStateDirectory } from '../state-directory.ts';
import { readUpInfo } from '../up/lock.ts';

export interface CheckOptions {
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

const NODE_MAJOR_MIN = 24;
const NO_CONTROL = 'nothing can be changed without it; data planes go on by what they have';

export async function check({ output, stateDir }: CheckOptions): Promise<ExitCode> {
  const palette = paletteFor(process.stdout, process.env);
  const marks = { ok: palette.good('ok    '), notice: palette.warn('notice'), failed: palette.bad('FAILED') };
  const findings: Finding[] = [];
  for await (const finding of findAll(stateDir)) {
    findings.push(finding);
    if (output !== 'table') continue;
    const { check: name, result, detail, why, mend } = finding;
    // As it comes: some of them take a moment.
    const more = [...(why === '' ? [] : [`why: ${why}`]), ...(mend === '' ? [] : [`mend: ${mend}`])];
    process.stdout.write(`${marks[result]}  ${name}: ${detail}\n${more.map((line) => `        ${line}\n`).join('')}`);
  }
  const count = (wanted: Finding['result']): number => findings.filter(({ result }) => result === wanted).length;
  const [bad, noted] = [count('failed'), count('notice')];
  if (output !== 'table') process.stdout.write(formatData({ ok: bad === 0, findings }, output));
  else {
    const told = noted === 0 ? '' : `, ${noted} ${noted === 1 ? 'notice' : 'notices'}`;
    process.stdout.write(
      `\n${bad === 0 ? `${findings.length} checks, nothing wrong` : `${bad} of ${findings.length} checks failed`}${told}\n`,
    );
  }
  return bad === 0 ? 0 : 1;
}

async function* findAll(stateDir: string | undefined): AsyncGenerator<Finding> {
  yield checkNode();
  let directory: string;
  try {
    directory = requireStateDirectory(stateDir);
  } catch (error) {
    yield asFailure('state directory', error, 'a mesh keeps there what it knows, and commands find it by that');
    return yield await checkFreePorts();
  }
  yield* checkStateDirectory(directory, Date.now());
  const up = readUpInfo(directory);
  let control: ControlClient;
  try {
    control = openControl(directory);
  } catch (error) {
    yield asFailure('control plane', error, NO_CONTROL);
    if (up === undefined) return yield await checkFreePorts();
    yield await checkPorts(undefined, up);
    return yield* await checkProxy(up);
  }
  try {
    yield await checkPorts(readControlInfo(directory), up);
    if (up !== undefined) yield* await checkProxy(up);
    yield* checkControl(control);
  } catch (error) {
    yield asFailure('control plane', error, NO_CONTROL);
  } finally {
    control.close();
  }
}

function checkNode(): Finding {
  const name = 'Node.js';
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= NODE_MAJOR_MIN) return ok(name, process.version);
  return failed(
    name,
    `${process.version} is too old`,
    'Heddle uses what only newer ones have',
    `install Node.js ${NODE_MAJOR_MIN} or newer`,
  );
}
