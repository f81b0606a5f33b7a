// The commands that look at traffic while it goes by.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { TapOptions } from '../commands/tap.ts';
import type { TopOptions } from '../commands/top.ts';
import { callerName, count, headerNames, instanceName, interval, shortTime } from '../options.ts';
import { SORTS, VIEWS } from '../top/model.ts';
import { WINDOWS } from '../top/session.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

export function addTap(program: Command): void {
  program
    .command('tap')
    .summary('show live requests')
    .description(
      'Shows requests as they end, one line each, as the data planes see them: of one service, or of the whole mesh. Queries, credentials and cookies are never shown. It needs the role editor, and is noted in the audit log.',
    )
    .argument('[service]', 'that calls or is called: SERVICE or NAMESPACE/SERVICE (default: all)', callerName)
    .option('--from <service>', 'only what this service calls; `outside`: callers that have proven nothing', callerName)
    .option('--to <service>', 'only calls to this service', callerName)
    .option('--instance <name>', 'only what this instance answered', instanceName)
    .option('--route <name>', 'only requests of this rule of the routes')
    .option('--method <method>', 'only this method')
    .option('--path <path>', 'only paths that begin so; with `*` all of the path must fit: /orders/*/items')
    .option('--status <status>', 'only this status or class: 503, 5xx, or 429,5xx')
    .option('--errors', 'only what failed: errors of data planes, and 5xx of applications', false)
    .option('--error <code>', 'only errors of this code, for example NO_HEALTHY_INSTANCE')
    .option('--slower <time>', 'only what took at least so long: 100ms, 2s', shortTime)
    .option('--trace <id>', 'only requests of this trace')
    .addOption(
      new Option('--header <name>', 'show this request header too; several times, or with commas')
        .argParser(headerNames)
        .default([], 'none'),
    )
    .option('--limit <number>', 'at most so many a second; the others are counted', count(1_000), 100)
    .addOption(new Option('--for <time>', 'end after this').argParser(shortTime).default(300_000, '5m'))
    .option('--count <number>', 'end after so many requests', count(1_000_000))
    .addOption(new Option('-o, --output <format>', 'table, or json: one object a line').choices(['table', 'json']).default('table'))
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples(
        'heddle tap',
        'heddle tap orders --errors',
        'heddle tap --from web --to orders --slower 100ms',
        "heddle tap orders --method POST --path '/orders/*/items' --header user-agent",
        'heddle tap orders --status 5xx --for 30s -o json',
      ),
    )
    .action(result(async (service: string | undefined, options: TapOptions) => (await import('../commands/tap.ts')).tap(service, options)));
}

export function addTop(program: Command): void {
  program
    .command('top')
    .summary('show the traffic of the mesh as it is')
    .description(
      'Shows services, who calls whom, instances and data planes with their rates, errors and latencies, on the whole terminal until `q`. Where there is no terminal: once, as a table.',
    )
    .argument('[service]', 'to look into: SERVICE or NAMESPACE/SERVICE', callerName)
    .addOption(new Option('--view <view>', 'what to begin with').choices(VIEWS).default('services'))
    .addOption(new Option('--sort <by>', 'what comes first').choices(SORTS).default('rate'))
    .option('--filter <text>', 'only names with this in them', '')
    .addOption(
      new Option('--window <time>', 'how much of the past is taken together: 10s, 1m, 5m or 1h')
        .argParser(windowTime)
        .default(WINDOWS[0][1], WINDOWS[0][0]),
    )
    .addOption(
      new Option('--interval <time>', 'the least time between two looks; there is one whenever something changes')
        .argParser(interval)
        .default(1_000, '1s'),
    )
    .option('--once', 'print one table, and end', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle top', 'heddle top orders', 'heddle top --view edges --sort p99', 'heddle top --once', 'heddle top -o json --window 5m')}
Keys: 1 to 4 or tab for the views, enter to look into a service, esc to go back,
r, e, p, n to sort by rate, errors, p99 or name, / to filter, w for another
window, j and k or the arrows to move, q to quit.
`,
    )
    .action(result(async (service: string | undefined, options: TopOptions) => (await import('../commands/top.ts')).top(service, options)));
}

function windowTime(text: string): number {
  const found = WINDOWS.find(([name]) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`expected ${WINDOWS.map(([name]) => name).join(', ')}.`);
  return found[1];
}
