// Colours only where a person looks: on a terminal, and not when NO_COLOR is set to anything (https://no-color.org).
import { styleText } from 'node:util';

type Style = (text: string) => string;

export interface Palette {
  readonly bold: Style;
  readonly dim: Style;
  readonly good: Style;
  readonly warn: Style;
  readonly bad: Style;
  /** The row at which somebody is. */
  readonly chosen: Style;
  /** Told apart, for the names of processes. */
  readonly names: readonly Style[];
}

const plain: Style = (text) => text;

export const PLAIN: Palette = { bold: plain, dim: plain, good: plain, warn: plain, bad: plain, chosen: plain, names: [plain] };

function style(format: Parameters<typeof styleText>[0]): Style {
  return (text) => styleText(format, text, { validateStream: false });
}

export const COLORED: Palette = {
  bold: style('bold'),
  dim: style('dim'),
  good: style('green'),
  warn: style('yellow'),
  bad: style('red'),
  chosen: style('inverse'),
  names: (['cyan', 'yellow', 'green', 'magenta', 'blue', 'cyanBright', 'greenBright', 'magentaBright', 'blueBright'] as const).map(style),
};

export function paletteFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv): Palette {
  const noColor = environment['NO_COLOR'];
  const wanted = stream.isTTY === true && (noColor === undefined || noColor === '') && environment['TERM'] !== 'dumb';
  return wanted ? COLORED : PLAIN;
}
