// `heddle config view`: the mesh file that holds. Its text alone goes to standard output; where it comes from, to standard error.
import type { admin } from '@heddle/api';
import { openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { differenceData } from '../output/differences.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { splitData } from './split.ts';

export interface ConfigViewOptions {
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function configView({ output, stateDir }: ConfigViewOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const file = await control.meshFile();
    if (output !== 'table') {
      const { appliedMs, appliedBy, splits, differences, ...rest } = file;
      const applied = appliedMs === 0 ? null : { time: new Date(appliedMs).toISOString(), by: appliedBy };
      const value = { ...rest, applied, splits: splits.map(splitData), differences: differences.map(differenceData) };
      process.stdout.write(formatData(value, output));
      return 0;
    }
    process.stderr.write(`${originText(file)}\n`);
    process.stdout.write(file.text === '' || file.text.endsWith('\n') ? file.text : `${file.text}\n`);
    return 0;
  } finally {
    control.close();
  }
}

function originText({ origin, path, appliedMs, appliedBy, splits }: admin.GetMeshFileResponse): string {
  const own = path === '' ? 'what the control plane was started with, which was no file' : path;
  const from = origin === 'applied' ? `applied by ${appliedBy} at ${new Date(appliedMs).toISOString()}, in place of ${own}` : own;
  const names = splits.map(({ service, route }) => `${route} of ${service}`);
  return `# ${from}${names.length === 0 ? '' : `; with other weights than it says: ${names.join(', ')} (see \`heddle split\`)`}`;
}
