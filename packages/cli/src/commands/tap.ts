// `heddle tap`: live requests, one line each, as they end. What is left out is said on standard error, so that the lines stay lines.
import { isSecretHeader } from '@heddle/core';
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { paletteFor } from '../output/palette.ts';
import { listenForStop } from '../signals.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { headLine, requestData, requestLine } from './tap-line.ts';

export interface TapOptions {
  readonly from?: string;
  readonly to?: string;
  readonly instance?: string;
  readonly route?: string;
  readonly method?: string;
  readonly path?: string;
  readonly status?: string;
  readonly error?: string;
  readonly errors: boolean;
  /** Milliseconds. */
  readonly slower?: number;
  readonly trace?: string;
  readonly header: readonly string[];
  /** A second. */
  readonly limit: number;
  /** Milliseconds. */
  readonly for: number;
  readonly count?: number;
  readonly output: 'table' | 'json';
  readonly stateDir?: string;
}

export async function tap(service: string | undefined, options: TapOptions): Promise<ExitCode> {
  const secret = options.header.find(isSecretHeader);
  if (secret !== undefined)
    throw new CliError(`the header ${secret} is never shown: it may hold a secret`, 'ask for other headers', { exitCode: 2 });
  const directory = requireStateDirectory(options.stateDir);
  const control = openControl(directory);
  const palette = paletteFor(process.stdout, process.env);
  const stopped = new AbortController();
  using stop = listenForStop();
  void stop.asked.then(() => stopped.abort());
  let [told, lost, isLooking] = [0, 0, false];
  let reason = '';
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const onMessage: Parameters<typeof control.tap>[2] = (message) => {
    switch (message.$case) {
      case 'watchers': {
        const { dataPlanes } = message.value;
        if (dataPlanes > 0) say(`${dataPlanes} data ${dataPlanes === 1 ? 'plane looks' : 'planes look'}; Ctrl-C ends it`);
        else say(isLooking ? 'no data plane looks any more' : 'no data plane is connected that could see such requests; waiting for one');
        if (!isLooking && dataPlanes > 0 && options.output === 'table') process.stdout.write(`${headLine(palette)}\n`);
        isLooking ||= dataPlanes > 0;
        return;
      }
      case 'requests':
        for (const { node, record } of message.value.requests) {
          if (record === undefined || stopped.signal.aborted) continue;
          told += 1;
          const data = requestData(node, record);
          process.stdout.write(`${options.output === 'json' ? JSON.stringify(data) : requestLine(data, palette)}\n`);
          if (told === options.count) stopped.abort();
        }
        return;
      case 'lost': {
        const { overLimit, slowReader } = message.value;
        lost += overLimit + slowReader;
        if (overLimit > 0) say(`${overLimit} more were left out: over --limit ${options.limit} a second`);
        if (slowReader > 0) say(`${slowReader} more were left out: they came faster than they were read`);
        return;
      }
      case 'end':
        reason = message.value.reason;
    }
  };
  try {
    await control.tap(requestOf(service, options), stopped.signal, onMessage);
    say(
      `${told} ${told === 1 ? 'request' : 'requests'}${lost === 0 ? '' : `, ${lost} more left out`}${reason === '' ? '' : `; ${reason}`}`,
    );
    return 0;
  } finally {
    control.close();
  }
}

function requestOf(service = '', options: TapOptions): Parameters<ReturnType<typeof openControl>['tap']>[0] {
  const { from = '', to = '', instance = '', route = '', method = '', path = '', status = '', slower = 0, trace = '' } = options;
  const error = options.error ?? (options.errors ? 'any' : '');
  const filter = {
    service,
    source: from,
    destination: to,
    instance,
    route,
    method,
    path,
    status,
    error,
    slowerThanMs: slower,
    traceId: trace,
  };
  return { filter, perSecond: options.limit, forMs: options.for, headers: [...options.header] };
}
