// A command in the process of the test: some twenty times as fast as one of its own.
import { runCommandLine } from '../program.ts';

export interface CommandOutcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One at a time: what it writes is taken from the streams of this process. */
export async function runHere(...args: readonly string[]): Promise<CommandOutcome> {
  const { stdout, stderr } = process;
  // oxlint-disable-next-line typescript/unbound-method -- put back as they were
  const [write, complain] = [stdout.write, stderr.write];
  let [out, err] = ['', ''];
  // The test runner, which writes bytes, goes on writing.
  stdout.write = function (this: typeof stdout, text: string | Uint8Array, ...rest: never[]): boolean {
    if (typeof text !== 'string') return write.call(this, text, ...rest);
    out += text;
    return true;
  } as typeof stdout.write;
  stderr.write = ((text: string) => ((err += text), true)) as typeof stderr.write;
  try {
    const code = await runCommandLine(args);
    return { code, out, err };
  } finally {
    stdout.write = write;
    stderr.write = complain;
  }
}
