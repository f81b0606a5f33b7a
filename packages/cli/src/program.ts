// The command line: what commands and options there are, with examples. What they do is in `commands/`, imported when called.
import { Command, CommanderError, Option } from 'commander';
import type { CaptureApplyOptions, CaptureShowOptions } from './commands/capture.ts';
import type { CheckOptions } from './commands/check.ts';
import type { ControlCommandOptions } from './commands/control.ts';
import type { GetOptions, Kind } from './commands/get.ts';
import type { ProxyCommandOptions } from './commands/proxy.ts';
import type { RunOptions } from './commands/run.ts';
import type { TokenOptions } from './commands/token.ts';
import type { UpOptions } from './commands/up.ts';
import type { ValidateOptions } from './commands/validate.ts';
import { capturedUser, capturedWorkload } from './commands/capture-options.ts';
import { CliError, exitCodeOf, formatError, type ExitCode } from './errors.ts';
import { hostPort, instanceName, name, names, outputFormat, port, timeToLive, workers } from './options.ts';
import { OUTPUT_FORMATS } from './output/formats.ts';
import { VERSION } from './version.ts';

type Outcome = Promise<ExitCode>;

/** Where a result goes that only the exit code tells. */
let outcome: ExitCode = 0;

/** Runs one command to its end and returns the exit code. Never rejects. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  outcome = 0;
  const program = buildProgram();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return outcome;
  } catch (error) {
    if (error instanceof CommanderError) return usageError(error, helpCommand(program, args));
    process.stderr.write(formatError(error, process.env));
    return exitCodeOf(error);
  }
}

/** The help of the command that was meant. */
function helpCommand(program: Command, args: readonly string[]): string {
  let command = program;
  const words = [program.name()];
  for (const word of args) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) break;
    words.push(word);
    command = next;
  }
  return `see \`${words.join(' ')} --help\``;
}

function usageError(error: CommanderError, help: string): ExitCode {
  // Help and version were asked for, and have been written.
  if (error.exitCode === 0) return 0;
  // Commander has written the help of a command that needs a subcommand.
  if (error.code === 'commander.help') return 2;
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /^\(Did you mean (.+)\?\)$/.exec(rest.join(' ').trim())?.[1];
  const mend = suggestion === undefined ? help : `did you mean ${suggestion}? Or ${help}`;
  // Commander puts our sentence after its own.
  const message = first
    .replace(/^command-argument value /, '')
    .replace(/^(.* is invalid(?: for argument '\w+')?)\. (.)/, (_, what: string, letter: string) => `${what}: ${letter.toLowerCase()}`)
    .replace(/\.$/, '');
  process.stderr.write(formatError(new CliError(message, mend, { exitCode: 2 }), process.env));
  return 2;
}

function buildProgram(): Command {
  const program = new Command('heddle')
    .description('A service mesh: connects, balances, heals and secures the calls between services.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .showSuggestionAfterError(true)
    .configureHelp({ optionDescription: describe })
    .exitOverride()
    // Errors are written once, in our own form.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      'after',
      examples('heddle up', 'heddle get instances --watch', 'heddle run --service orders --port 8080 -- node server.js'),
    );
  for (const add of [addUp, addRun, addGet, addCheck, addValidate, addToken, addControl, addProxy, addCapture]) add(program);
  for (const command of allCommands(program)) command.exitOverride().configureOutput({ outputError: () => {} });
  return program;
}

/** The description with choices and default as a person would type them; switches are off by default, which goes without saying. */
function describe({ description, defaultValue, defaultValueDescription, argChoices }: Option): string {
  const choices = argChoices === undefined ? [] : [argChoices.join(', ')];
  const hasDefault = defaultValue !== undefined && defaultValue !== false;
  const facts = hasDefault ? [...choices, `default: ${defaultValueDescription ?? String(defaultValue)}`] : choices;
  return facts.length === 0 ? description : `${description} (${facts.join('; ')})`;
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

function result<Args extends unknown[]>(run: (...args: Args) => Outcome): (...args: Args) => Promise<void> {
  return async (...args) => {
    outcome = await run(...args);
  };
}

const stateDirectory = (): Option => new Option('--state-dir <dir>', 'state directory (default: .heddle here or above)');
const output = (): Option => new Option('-o, --output <format>', `${OUTPUT_FORMATS.join(', ')}`).default('table').argParser(outputFormat);
const logLevel = (): Option =>
  new Option('--log-level <level>', 'how much to log').choices(['debug', 'info', 'warn', 'error', 'silent']).default('info');
const logFormat = (): Option =>
  new Option('--log-format <format>', 'form of the log: pretty on a terminal, else json, unless it is chosen').choices(['json', 'pretty']);

function addUp(program: Command): void {
  program
    .command('up')
    .summary('run a whole mesh on this machine')
    .description('Runs a whole mesh on this machine: control plane, proxy and the services of a mesh file, supervised until Ctrl-C.')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .addOption(stateDirectory())
    .option('--control-port <port>', 'port of the control plane', port(1), 15_010)
    .option('--proxy-port <port>', 'port of the HTTP proxy through which services are called by name', port(1), 15_001)
    .option('--admin-port <port>', "port of the proxy's admin API", port(1), 15_020)
    .option('--proxy-workers <number>', 'processes that carry connections for the proxy', workers, 1)
    .option('--quiet', 'do not show what the services write', false)
    .addHelpText(
      'after',
      `${examples('heddle up', 'heddle up -f shop/heddle.yaml --quiet', 'heddle up --state-dir /tmp/mesh --control-port 25010 --proxy-port 25001 --admin-port 25020')}
A service is restarted when it crashes, and when it was healthy and the registry
then calls it unhealthy for longer than
max(10 s, 3 x health.unhealthyAfter x health.interval). Restarts wait longer
each time; after 5 crashes within a minute it is a crash loop, tried again about
every 30 s.

Ctrl-C stops the services first, then the proxy and the control plane; Ctrl-C
again stops everything at once. A change of the mesh file takes effect when the
mesh is stopped and started again.
`,
    )
    .action(result(async (options: UpOptions) => (await import('./commands/up.ts')).up(options)));
}

function addRun(program: Command): void {
  program
    .command('run')
    .summary('run one service process with a proxy of its own')
    .description('Supervises one process of a service together with a proxy of its own (a sidecar) and joins them to a mesh.')
    .requiredOption('--service <name>', 'the service that the process is an instance of', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .option('--port <port>', 'port on which the process listens (default: a free one; the process finds it in PORT)', port(1))
    .option('--instance <id>', 'name of the instance (default: the service and a random ending)', instanceName)
    .option('--uses <names>', 'services it calls, separated by commas (default: all others)', names)
    .option('--control <host:port>', 'address of the control plane (default: that of the state directory)', hostPort)
    .option('--inbound-address <ip>', 'address at which other machines reach the proxy', '127.0.0.1')
    .option('--inbound-port <port>', 'port at which other instances reach this one; 0: a free one', port(0), 15_006)
    .option('--outbound-port <port>', 'port of its own HTTP proxy; 0: a free one', port(0), 0)
    .option('--admin-port <port>', "port of its proxy's admin API; 0: a free one", port(0), 0)
    .option('--proxy-workers <number>', 'processes that carry connections for its proxy', workers, 1)
    .addOption(stateDirectory())
    .argument('<command...>', 'command of the process, after --')
    .addHelpText(
      'after',
      `${examples('heddle run --service orders --port 8080 -- node server.js', 'HEDDLE_JOIN_TOKEN=… heddle run --service orders --control 10.0.0.5:15010 --inbound-address 10.0.0.7 -- ./orders')}
The join token is taken from HEDDLE_JOIN_TOKEN; without it one is made with the
operator token of the state directory. A token that is refused ends the command
with exit code 1; a control plane that cannot be reached is tried until it
answers.

Ctrl-C takes the instance out of rotation, lets running requests end and then
stops the process; Ctrl-C again stops everything at once.
`,
    )
    .action(result(async (command: string[], options: RunOptions) => (await import('./commands/run.ts')).run(command, options)));
}

function addGet(program: Command): void {
  program
    .command('get')
    .summary('list services, instances or proxies')
    .description('Lists what the control plane knows.')
    .addArgument(program.createArgument('<kind>', 'what to list').choices(['services', 'instances', 'proxies']))
    .addOption(output())
    .option('-w, --watch', 'list again at every change, until Ctrl-C', false)
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle get services', 'heddle get instances --watch', 'heddle get proxies -o json'))
    .action(result(async (kind: Kind, options: GetOptions) => (await import('./commands/get.ts')).get(kind, options)));
}

function addCheck(program: Command): void {
  program
    .command('check')
    .summary('find out what is wrong with a running mesh')
    .description('Looks at a running mesh from end to end and says what is wrong and how to mend it. Exit code 1 when something is.')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle check', 'heddle check -o json'))
    .action(result(async (options: CheckOptions) => (await import('./commands/check.ts')).check(options)));
}

function addValidate(program: Command): void {
  program
    .command('validate')
    .summary('check a mesh file')
    .description('Checks a mesh file and prints every problem with its place. Exit code 1 when there is an error.')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .addOption(output())
    .addHelpText('after', examples('heddle validate', 'heddle validate -f shop/heddle.yaml -o json'))
    .action(result(async (options: ValidateOptions) => (await import('./commands/validate.ts')).validate(options)));
}

function addToken(program: Command): void {
  const token = program
    .command('token')
    .summary('make join tokens')
    .description('Join tokens: how a new workload proves once which service it is of.')
    .addHelpText('after', examples('heddle token create --service orders'));
  token
    .command('create')
    .summary('make a join token')
    .description('Makes a join token: usable once, bound to one service, ending by itself. Prints it on standard output.')
    .requiredOption('--service <name>', 'the service that may join with it', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .addOption(
      new Option('--ttl <time>', 'how long it can be used: 30s, 10m, 2h, at most 7d').argParser(timeToLive).default(3_600_000, '1h'),
    )
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples(
        'heddle token create --service orders',
        'HEDDLE_JOIN_TOKEN=$(heddle token create --service orders --ttl 5m) heddle run --service orders -- ./orders',
      ),
    )
    .action(result(async (options: TokenOptions) => (await import('./commands/token.ts')).createToken(options)));
}

function addControl(program: Command): void {
  program
    .command('control')
    .summary('run a control plane')
    .description('Runs a control plane: registry, certificate authority and configuration of the proxies, on one gRPC port.')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .addOption(stateDirectory())
    .addOption(
      new Option('--listen <address:port>', 'where to listen')
        .argParser(hostPort)
        .default({ host: '127.0.0.1', port: 15_010 }, '127.0.0.1:15010'),
    )
    .addOption(logLevel())
    .addOption(logFormat())
    .addHelpText(
      'after',
      `${examples('heddle control', 'heddle control -f heddle.yaml --state-dir /var/lib/heddle --listen 0.0.0.0:15010')}
SIGHUP makes it read its mesh file again: services that are new, changed or gone
are taken in at once. When the file has problems, they are logged with their
place, and the mesh stays as it is. The name of the mesh and its trust domain
cannot change while it runs.
`,
    )
    .action(result(async (options: ControlCommandOptions) => (await import('./commands/control.ts')).control(options)));
}

function addProxy(program: Command): void {
  program
    .command('proxy')
    .summary('run a proxy (data plane)')
    .description(
      'Runs a proxy for one or several workloads, which are given to it on its admin API. `heddle up` and `heddle run` start one themselves. With --static it needs no control plane.',
    )
    .addOption(
      new Option('--static <file>', 'listeners and services from a file instead of a control plane').conflicts([
        'node',
        'control',
        'outboundPort',
        'joinTokenFile',
        'anonymousCalls',
        'stateDir',
      ]),
    )
    .option('--node <name>', 'name of the proxy in the mesh (default: that of this machine)', instanceName)
    .option('--control <host:port>', 'address of the control plane (default: that of the state directory)', hostPort)
    .option('--outbound-port <port>', 'port of the HTTP proxy through which services are called by name; 0: a free one', port(0), 15_001)
    .option('--admin-port <port>', 'port of the admin API (loopback only); 0: a free one', port(0), 15_020)
    .option(
      '--admin-token-file <file>',
      'token of the admin API, made when the file is not there (default: proxy-<node>.token in the state directory)',
    )
    .option('--join-token-file <file>', 'join token for an identity of its own (default: HEDDLE_JOIN_TOKEN, else none)')
    .option('--anonymous-calls', 'calls from this machine that name no workload are made with its own identity', false)
    .option('--workers <number>', 'processes that carry connections; 1: this one alone (default: one for each core, at most 4)', workers)
    .addOption(new Option('--drain <time>', 'time that running requests have when it stops').argParser(timeToLive).default(10_000, '10s'))
    .addOption(
      new Option('--upgrade-drain <time>', 'time that open connections have when a new process has taken over')
        .argParser(timeToLive)
        .default(600_000, '10m'),
    )
    .option('--pid-file <file>', 'file that holds the process id while it serves')
    .addOption(stateDirectory())
    .addOption(logLevel())
    .addOption(logFormat())
    .addHelpText(
      'after',
      `${examples('heddle proxy', 'HEDDLE_JOIN_TOKEN=… heddle proxy --node edge-1 --control 10.0.0.5:15010', 'heddle proxy --static proxy.yaml')}
A file for --static lists ports, and where what arrives there goes:

  listeners:
    - { port: 9100, protocol: http, service: echo }
  services:
    echo: { protocol: http, endpoints: ["127.0.0.1:9000"] }

SIGHUP makes it read the file again; when the file has problems, they are
logged, and everything stays as it is. The pages of the admin API that need a
token can be used when --admin-token-file is given.

SIGUSR2 replaces the proxy by a new process with the same command line, from the
program that is on disk by then. The new one takes over all listening sockets,
and no connection is refused or cut off; when it does not become ready, the old
one goes on. The process id changes: supervisors can follow it by --pid-file.
`,
    )
    .action(result(runProxy));
}

async function runProxy(options: ProxyCommandOptions): Outcome {
  if (options.static === undefined) return (await import('./commands/proxy.ts')).proxy(options);
  return (await import('./commands/proxy-static.ts')).proxyStatic(options.static, options);
}

function addCapture(program: Command): void {
  const capture = program
    .command('capture')
    .summary('send calls to virtual addresses through the proxy')
    .description(
      'Every service has a virtual address that is the same everywhere. Sends the calls of programs on this machine to such addresses through the proxy, with a table of nftables; nothing in the programs changes. Linux only.',
    )
    .addHelpText(
      'after',
      examples(
        'sudo heddle capture apply --state-dir .heddle',
        'sudo heddle capture show --state-dir .heddle',
        'sudo heddle capture remove',
      ),
    );
  const ofProxy = (command: Command): Command =>
    command
      .option(
        '--admin-port <port>',
        "port of the proxy's admin API (default: that of `heddle up` in the state directory, else 15020)",
        port(1),
      )
      .option('--admin-token-file <file>', 'token of the admin API (default: proxy-<node>.token in the state directory)')
      .option('--node <name>', 'name of the proxy (default: that of this machine; of `heddle run`: the instance)', instanceName)
      .addOption(stateDirectory());
  ofProxy(capture.command('apply'))
    .summary('install the rules')
    .description('Installs the rules, all at once, in place of those of an earlier call. When they are as they should be, nothing changes.')
    .option(
      '--workload <workload>',
      'as which workload the calls are made: NAMESPACE/SERVICE/INSTANCE, several times, or all (default: the only one)',
      capturedWorkload,
    )
    .option(
      '--uid <user>',
      'the user whose calls are meant, by number: UID, or NAMESPACE/SERVICE/INSTANCE=UID, several times (default: every user)',
      capturedUser,
    )
    .option('--dry-run', 'print the rules for `nft -f -` and install nothing', false)
    .addHelpText(
      'after',
      `${examples(
        'sudo heddle capture apply --state-dir .heddle',
        'sudo heddle capture apply --state-dir .heddle --workload default/web/web-1',
        'sudo heddle capture apply --state-dir .heddle --uid default/web/web-1=1001 --uid default/orders/orders-1=1002',
        'heddle capture apply --dry-run | sudo nft -f -',
      )}
Install the rules again when services come or go, or ports of the proxy change:
\`heddle capture show\` tells when they are no longer as they should be.
`,
    )
    .action(result(async (options: CaptureApplyOptions) => (await import('./commands/capture.ts')).captureApply(options)));
  ofProxy(capture.command('show'))
    .summary('show the rules of the kernel')
    .description(
      'Shows which calls are captured, as the kernel has it, with the number of connections, and whether all is as it should be. Exit code 1 when it is not.',
    )
    .addOption(output())
    .addHelpText('after', examples('sudo heddle capture show --state-dir .heddle', 'sudo heddle capture show --state-dir .heddle -o json'))
    .action(result(async (options: CaptureShowOptions) => (await import('./commands/capture.ts')).captureShow(options)));
  capture
    .command('remove')
    .summary('remove the rules')
    .description('Removes the rules, and nothing else. Captured connections that are open may stall: let them end first.')
    .addHelpText('after', examples('sudo heddle capture remove'))
    .action(result(async () => (await import('./commands/capture.ts')).captureRemove()));
}
