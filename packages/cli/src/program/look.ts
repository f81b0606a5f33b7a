// The commands that look: at a running mesh, or at a mesh file.
import { type Command, Option } from 'commander';
import type { CheckOptions } from '../commands/check.ts';
import type { DashboardOptions } from '../commands/dashboard.ts';
import type { DescribeInstanceOptions } from '../commands/describe-instance.ts';
import type { DescribeProxyOptions } from '../commands/describe-proxy.ts';
import type { DescribeServiceOptions } from '../commands/describe-service.ts';
import type { ExplainOptions } from '../commands/explain.ts';
import { askedHeader, askedProxy } from '../commands/explain-options.ts';
import type { GetOptions, Kind } from '../commands/get.ts';
import type { ValidateOptions } from '../commands/validate.ts';
import { ago, count, instanceName, name } from '../options.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

export function addGet(program: Command): void {
  program
    .command('get')
    .summary('list services, instances, routes, policies, proxies, identities, events, load or the audit log')
    .description('Lists what the control plane knows.')
    .addArgument(
      program
        .createArgument('<kind>', 'what to list')
        .choices(['services', 'instances', 'routes', 'policies', 'proxies', 'identities', 'events', 'load', 'audit']),
    )
    .addOption(output())
    .option('-w, --watch', 'list again at every change, and events as they happen, until Ctrl-C', false)
    .option('--service <name>', 'only this service, its instances, routes and policies, or what happened to them', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .option('--who <text>', 'of the audit log: only what somebody of this name did')
    .option('--action <action>', 'of the audit log: only this action, for example create-join-token')
    .addOption(new Option('--outcome <outcome>', 'of the audit log: what was done, or what was refused').choices(['done', 'refused']))
    .option('--since <time>', 'of the audit log: only the last 30m, 12h or 7d', ago)
    .option('--limit <number>', 'of the audit log: so many of the newest (default: 1000)', count(10_000))
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples(
        'heddle get services',
        'heddle get instances --watch',
        'heddle get routes --service orders',
        'heddle get proxies -o json',
        'heddle get events --service orders',
        'heddle get policies --service orders',
        'heddle get audit --outcome refused --since 1h',
      ),
    )
    .action(result(async (kind: Kind, options: GetOptions) => (await import('../commands/get.ts')).get(kind, options)));
}

export function addDescribe(program: Command): void {
  const command = program
    .command('describe')
    .summary('show everything about one service, instance or proxy')
    .description('Shows everything that the control plane knows about one thing.')
    .addHelpText('after', examples('heddle describe service orders', 'heddle describe proxy node-1', 'heddle describe instance orders-1'));
  addDescribeService(command);
  addDescribeInstance(command);
  command
    .command('proxy')
    .summary('show what a proxy was given, what it has taken, and what it carries')
    .description(
      'Shows a proxy, or another data plane, with the configuration it was given and has acknowledged or refused, and with the load it reports.',
    )
    .argument('<node>', 'its name in `heddle get proxies`')
    .addOption(output())
    .option('--resources', 'list every resource, not only those that are not in sync', false)
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle describe proxy node-1', 'heddle describe proxy node-1 --resources -o json')}
The hash stands for all resources by name and version: equal hashes mean equal
configuration. It is computed from what the proxy has acknowledged; Heddle's own
proxies also say theirs with each load report, and show it at /sync of their
admin API.
`,
    )
    .action(
      result(async (node: string, options: DescribeProxyOptions) =>
        (await import('../commands/describe-proxy.ts')).describeProxy(node, options),
      ),
    );
}

function addDescribeService(command: Command): void {
  command
    .command('service')
    .summary('show a service with its instances, its routes and who may call it')
    .description('Shows one service: what it is, its instances, how requests to it are routed, and the rules that say who may call it.')
    .argument('<service>', 'its name in `heddle get services`', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle describe service orders', 'heddle describe service orders -o json'))
    .action(
      result(async (service: string, options: DescribeServiceOptions) =>
        (await import('../commands/describe-service.ts')).describeService(service, options),
      ),
    );
}

function addDescribeInstance(command: Command): void {
  command
    .command('instance')
    .summary('show what an instance is, why its health is what it is, and what happened to it')
    .description(
      'Shows one instance: where it runs, every piece of evidence that the verdict about it is made from, which data planes have applied the newest endpoints, and its latest events.',
    )
    .argument(
      '<instance>',
      'its name in `heddle get instances`, with service and namespace before it where several have it: orders/orders-1',
    )
    .option('--service <name>', 'the service that it is of', name)
    .option('--namespace <name>', 'namespace of that service', name, 'default')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle describe instance orders-1', 'heddle describe instance orders-1 --service orders -o json'))
    .action(
      result(async (instance: string, options: DescribeInstanceOptions) =>
        (await import('../commands/describe-instance.ts')).describeInstance(instance, options),
      ),
    );
}

export function addExplain(program: Command): void {
  program
    .command('explain')
    .summary('show what a proxy would do with a request, and why')
    .description(
      'Shows what a data plane would do with a request, by the configuration that it has applied: the proxy of this machine, or with --from the one that hosts who calls, on any machine and inside processes too, asked by way of the control plane. It tells listener, route, rules, balancer, instances with what speaks against them, limits and access. Nothing is sent. Exit code 1 when the request would be refused.',
    )
    .argument('<method>', 'of the request: GET, POST, …; CONNECT for services of bytes')
    .argument('<url>', 'as a client would ask for it: http://orders/items?page=2; with CONNECT host and port: cache:6379')
    .option('--from <service>', 'who calls: a service, or one of its workloads (default: whoever calls without saying who it is)')
    .option('--header <name:value>', 'a header that the request has; several times', askedHeader)
    .option(
      '--proxy <address>',
      'of the admin API of the proxy: PORT or HOST:PORT (default: that of `heddle up` in the state directory, else 15020)',
      askedProxy,
    )
    .option('--admin-token-file <file>', 'token of the admin API (default: proxy-<node>.token in the state directory)')
    .option('--node <name>', 'name of the proxy (default: that of this machine; of `heddle run`: the instance)', instanceName)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples(
        'heddle explain GET http://orders/items --from web',
        'heddle explain POST http://orders/items --from web --header x-user:ann --header x-request-timeout:500ms',
        'heddle explain CONNECT cache:6379 --from web',
        'heddle explain GET http://orders/ -o json',
      ),
    )
    .action(
      result(async (method: string, url: string, options: ExplainOptions) =>
        (await import('../commands/explain.ts')).explain(method, url, options),
      ),
    );
}

export function addDashboard(program: Command): void {
  program
    .command('dashboard')
    .summary('print a link to the dashboard that logs you in')
    .description(
      'Prints the address of the dashboard with a code that logs a browser in once, within 10 minutes. The login ends after 12 hours.',
    )
    .addOption(new Option('--role <role>', 'what may be done there').choices(['viewer', 'editor', 'operator']).default('editor'))
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle dashboard', 'heddle dashboard --role viewer'))
    .action(result(async (options: DashboardOptions) => (await import('../commands/dashboard.ts')).dashboard(options)));
}

export function addCheck(program: Command): void {
  program
    .command('check')
    .summary('find out what is wrong with a running mesh')
    .description(
      'Looks at a mesh from end to end and says what is wrong, why it matters, and how to mend it: files and disk, ports, clocks, versions, certificates, what data planes have, instances, names by DNS, and whether what holds is what the mesh file says. Exit code 1 when something is wrong.',
    )
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle check', 'heddle check -o json'))
    .action(result(async (options: CheckOptions) => (await import('../commands/check.ts')).check(options)));
}

export function addValidate(program: Command): void {
  program
    .command('validate')
    .summary('check a mesh file')
    .description('Checks a mesh file and prints every problem with its place. Exit code 1 when there is an error.')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .option('--strict', 'warnings count as errors')
    .addOption(output())
    .addHelpText('after', examples('heddle validate', 'heddle validate --strict', 'heddle validate -f shop/heddle.yaml -o json'))
    .action(result(async (options: ValidateOptions) => (await import('../commands/validate.ts')).validate(options)));
}
