// `heddle explain`: what the proxy of this machine would do with a request, by what it has applied. The exit code says whether the request would
// be refused.
import type { ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import type { Explanation } from '@heddle/dataplane/explain';
import { askProxy } from './explain-proxy.ts';
import type { AskedProxy } from './explain-proxy.ts';
import { explanationText } from './explain-text.ts';

export interface ExplainOptions extends AskedProxy {
  /** Service or workload. */
  readonly from?: string;
  readonly header?: readonly (readonly [name: string, value: string])[];
  readonly output: OutputFormat;
}

export async function explain(method: string, url: string, options: ExplainOptions): Promise<ExitCode> {
  const { from, header: headers = [], output, ...proxy } = options;
  const answer = (await askProxy(proxy, { method, url, headers, ...(from !== undefined && { from }) })) as Explanation;
  const palette = paletteFor(process.stdout, process.env);
  process.stdout.write(output === 'table' ? explanationText(`${method} ${url}`, answer, palette) : formatData(answer, output));
  return answer.outcome.kind === 'refused' ? 1 : 0;
}
