// curl, and what it says of each transfer.
import { type Ran, run } from './programs.ts';

/** What `curl -w` tells of a transfer. */
interface Transfer {
  readonly http_version: string;
  readonly http_code: number;
  readonly num_connects: number;
  readonly size_upload: number;
  readonly size_download: number;
}

interface Result extends Ran {
  readonly transfers: readonly Transfer[];
}

const COMMON = ['-sS', '--max-time', '20', '-w', '%{stderr}\n%{json}\n'];

/** Bodies go to `stdout`, what was transferred to `transfers`. Throws when curl reports a failure. */
export function curl(...args: readonly string[]): Promise<Result> {
  return curlWith(undefined, ...args);
}

/** The same, with something on its standard input. */
export async function curlWith(input: Buffer | undefined, ...args: readonly string[]): Promise<Result> {
  const result = await tryCurl(input, ...args);
  if (result.code !== 0) throw new Error(`curl ${args.join(' ')} ended with ${result.code}: ${result.stderr}`);
  return result;
}

/** The same; its exit code is left to the caller. */
export async function tryCurl(input: Buffer | undefined, ...args: readonly string[]): Promise<Result> {
  // After `--next` curl forgets all options.
  const ran = await run('curl', [...COMMON, ...args.flatMap((arg) => (arg === '--next' ? [arg, ...COMMON] : [arg]))], { input });
  const lines = ran.stderr.split('\n').filter((line) => line.startsWith('{"'));
  return { ...ran, transfers: lines.map((line) => JSON.parse(line) as Transfer) };
}

interface Parts {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly rest: string;
}

/** What curl wrote with `-i` or `-I`: the last head, and what follows it. */
export function parts(bytes: Buffer): Parts {
  const blocks = bytes.toString().split('\r\n\r\n');
  const last = blocks.findLastIndex((block) => block.startsWith('HTTP/'));
  const [first = '', ...lines] = (blocks[last] ?? '').split('\r\n');
  const fields = lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const);
  return { status: Number(first.split(' ')[1]), fields: new Map(fields), rest: blocks.slice(last + 1).join('\r\n\r\n') };
}
