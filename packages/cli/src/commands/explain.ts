// `heddle explain`: what a data plane would do with a request, by what it has applied: the proxy of this machine, or the one that hosts who
// calls, wherever it runs, asked by way of the control plane. The exit code says whether the request would be refused.
import type { Explanation } from '@heddle/dataplane/explain';
import { openControl } from '../control-client.ts';
import { CliError } from '../errors.ts';
import type { ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { findStateDirectory } from '../state-directory.ts';
import { type AskedProxy, askProxy, hasProxyHere } from './explain-proxy.ts';
import { explanationText } from './explain-text.ts';

export interface ExplainOptions extends AskedProxy {
  /** Service or workload. */
  readonly from?: string;
  readonly header?: readonly (readonly [name: string, value: string])[];
  readonly output: OutputFormat;
}

/** What a proxy of this machine says of somebody whom another one hosts. */
const HOSTED_ELSEWHERE = /^this proxy hosts nobody called/;

export async function explain(method: string, url: string, options: ExplainOptions): Promise<ExitCode> {
  const { from, header: headers = [], output, ...proxy } = options;
  const answer = await ask(proxy, { method, url, headers, ...(from !== undefined && { from }) });
  const palette = paletteFor(process.stdout, process.env);
  process.stdout.write(output === 'table' ? explanationText(`${method} ${url}`, answer, palette) : formatData(answer, output));
  return answer.outcome.kind === 'refused' ? 1 : 0;
}

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly from?: string;
}

async function ask(proxy: AskedProxy, question: Asked): Promise<Explanation> {
  const isNamed = proxy.proxy !== undefined || proxy.adminTokenFile !== undefined;
  const canAskControl = !isNamed && question.from !== undefined && findStateDirectory(proxy.stateDir) !== undefined;
  if (canAskControl && !hasProxyHere(proxy)) return await askControl(proxy, question);
  try {
    return (await askProxy(proxy, question)) as Explanation;
  } catch (error) {
    if (!canAskControl || !(error instanceof CliError) || !HOSTED_ELSEWHERE.test(error.message)) throw error;
    // If nobody else hosts it either, what the proxy has said is the better answer: it knows similar names.
    return await askControl(proxy, question).catch(() => Promise.reject(error));
  }
}

async function askControl({ node = '', stateDir }: AskedProxy, { from = '', headers, ...rest }: Asked): Promise<Explanation> {
  const control = openControl(findStateDirectory(stateDir) ?? '');
  try {
    const said = headers.map(([name, value]) => ({ name, value }));
    return JSON.parse(
      await control.explain({ ...rest, node, from: from.includes('/') ? from : `default/${from}`, headers: said }),
    ) as Explanation;
  } finally {
    control.close();
  }
}
