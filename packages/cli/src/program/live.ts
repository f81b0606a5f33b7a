// The commands that look at traffic while it goes by.
import { type Command, Option } from 'commander';
import type { TapOptions } from '../commands/tap.ts';
import { callerName, count, headerNames, instanceName, shortTime } from '../options.ts';
import { examples, result, stateDirectory } from './parts.ts';

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
    .option('--error <code>', 'only errors of this code, for example NO_ENDPOINT')
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
