// `heddle proxy --static`: a data plane that a file configures, without a control plane. The file is read by a process of its own, so that
// the reader's code (a quarter of the memory) does not stay, while this one loads what serves.
import type { ExitCode } from '../errors.ts';
import type { ProxyCommandOptions } from './proxy.ts';
import { readStaticFile } from './proxy-static-file.ts';

export async function proxyStatic(file: string, options: ProxyCommandOptions): Promise<ExitCode> {
  const warn = (text: string): void => void process.stderr.write(`${text}\n`);
  const [config, { serveStatic }] = await Promise.all([readStaticFile(file, warn), import('./proxy-static-serve.ts')]);
  return serveStatic(file, config, options);
}
