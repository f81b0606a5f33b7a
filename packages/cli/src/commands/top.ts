// `heddle top`: traffic as it is, on a whole terminal, until `q`; or once, as a table or JSON. It is asked for when the control plane says that there is
// news. However it ends, the terminal is as it was.
import { emitKeypressEvents, type Key } from 'node:readline';
import { type ControlClient, openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { RegistryWatch } from '../registry-watch.ts';
import { listenForStop } from '../signals.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { TopAsking } from '../top/asking.ts';
import { sections, type Sort, type View } from '../top/model.ts';
import { screen, table } from '../top/screen.ts';
import { TopSession } from '../top/session.ts';

export interface TopOptions {
  readonly view: View;
  readonly sort: Sort;
  readonly filter: string;
  /** Milliseconds. */
  readonly window: number;
  /** At the least between two looks. */
  readonly interval: number;
  readonly once: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

/** ECMA-48 and xterm: another screen, no cursor, no wrapping; and back. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
/** The alternative to clearing it all, which flickers. */
const HOME = '\x1b[H';
const END_OF_LINE = '\x1b[K';
/** Where the terminal does not say. */
const USUAL_SIZE = { columns: 80, rows: 24 } as const;

export async function top(service: string | undefined, options: TopOptions): Promise<ExitCode> {
  const directory = requireStateDirectory(options.stateDir);
  const control = openControl(directory);
  try {
    const { view, sort, filter, window, output } = options;
    const choice = { view, sort, filter, service };
    // A service that is not there is an error, and not an empty screen.
    const first = await control.traffic(window, service ?? '');
    const isScreen = process.stdout.isTTY && process.stdin.isTTY && !options.once && output === 'table';
    if (isScreen) {
      const session = new TopSession(choice, window);
      session.take(first);
      return await live(session, control, directory, options.interval);
    }
    if (output !== 'table') process.stdout.write(formatData(first, output));
    else process.stdout.write(table(sections(first, choice), paletteFor(process.stdout, process.env)));
    return 0;
  } finally {
    control.close();
  }
}

async function live(session: TopSession, control: ControlClient, directory: string, intervalMs: number): Promise<ExitCode> {
  const { stdin, stdout } = process;
  const palette = paletteFor(stdout, process.env);
  using stop = listenForStop();
  let isOver = false;
  const draw = (): void => {
    if (isOver) return;
    const size = { columns: stdout.columns || USUAL_SIZE.columns, rows: stdout.rows || USUAL_SIZE.rows };
    const lines = screen(session.frame(), size, palette);
    stdout.write(`${HOME}${lines.map((line) => `${line}${END_OF_LINE}`).join('\r\n')}`);
  };
  // Later on another one, which is made anew whenever it breaks.
  let client = control;
  const asking = new TopAsking(session, (windowMs, service) => client.traffic(windowMs, service), draw);
  let problem: string | undefined;
  const watch = new RegistryWatch({
    open: () => openControl(directory),
    traffic: true,
    pauseMs: intervalMs,
    ask: async (present) => {
      client = present;
      problem = await asking.again();
      if (problem !== undefined) throw new Error(problem);
    },
    onAnswer: () => {},
    onLost: (reason) => {
      // Else it is shown already.
      if (reason !== problem) session.fail(`the control plane does not answer: ${reason}`);
      draw();
    },
  });
  const { promise: quit, resolve } = Promise.withResolvers<void>();
  const pressed = (text: string | undefined, key: Key): void => {
    const name = key.ctrl === true && key.name === 'c' ? 'ctrl-c' : text !== undefined && /^[!-~]$/.test(text) ? text : (key.name ?? '');
    const next = session.press(name);
    if (next === 'quit') resolve();
    else if (next === 'ask') void asking.anew();
    draw();
  };
  // Also where the process ends by a fault: nobody can type in a terminal that is left so.
  const restore = (): void => {
    if (isOver) return;
    isOver = true;
    if (stdin.isTTY) stdin.setRawMode(false);
    stdout.write(LEAVE);
  };
  process.once('exit', restore);
  try {
    stdout.write(ENTER);
    emitKeypressEvents(stdin, undefined);
    stdin.setRawMode(true);
    stdin.on('keypress', pressed);
    stdin.once('end', resolve);
    stdin.resume();
    stdout.on('resize', draw);
    draw();
    await Promise.race([quit, stop.asked]);
    return 0;
  } finally {
    watch.close();
    stdout.off('resize', draw);
    stdin.off('keypress', pressed);
    stdin.pause();
    restore();
    process.off('exit', restore);
  }
}
