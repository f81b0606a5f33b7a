// The commands that run a mesh or one process of it.
import { type Command, Option } from 'commander';
import type { RunOptions } from '../commands/run-instance.ts';
import type { UpOptions } from '../commands/up.ts';
import { dnsPort, forwardOption, refuseIdleOptions } from '../commands/dns-options.ts';
import { hostPort, instanceName, locality, metadata, name, namedPorts, names, port, portOrOff, workers } from '../options.ts';
import { addInstanceOptions, examples, result, stateDirectory } from './parts.ts';

export function addUp(program: Command): void {
  program
    .command('up')
    .summary('run a whole mesh on this machine')
    .description('Runs a whole mesh on this machine: control plane, proxy and the services of a mesh file, supervised until Ctrl-C.')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .addOption(stateDirectory())
    .option('--control-port <port>', 'port of the control plane', port(1), 15_010)
    .addOption(
      new Option('--dns-port <port>', 'port on which the control plane serves names by DNS (UDP and TCP); 0: a free one; or "off"')
        .argParser(dnsPort(0))
        .default(15_053),
    )
    .addOption(
      new Option('--proxy-dns-port <port>', 'port on which the proxy does so too, also while the control plane is away, or "off"')
        .argParser(dnsPort(1))
        .default('off'),
    )
    .addOption(forwardOption())
    .option('--proxy-port <port>', 'port of the HTTP proxy through which services are called by name', port(1), 15_001)
    .option('--admin-port <port>', "port of the proxy's admin API", port(1), 15_020)
    .option('--rest-port <port>', 'port of the REST API; 0: a free one; off: none', portOrOff, 15_080)
    .option('--proxy-workers <number>', 'processes that carry connections for the proxy', workers, 1)
    .option('--locality <region/zone>', 'where this machine is (default: HEDDLE_LOCALITY)', locality)
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
again stops everything at once. A change of the mesh file is put into effect by
'heddle apply'; what it says about processes, when the mesh is stopped and
started again.
`,
    )
    .hook('preAction', refuseIdleOptions('dnsPort', 'proxyDnsPort'))
    .action(result(async (options: UpOptions) => (await import('../commands/up.ts')).up(options)));
}

export function addRun(program: Command): void {
  addInstanceOptions(program.command('run'), ' (default: HEDDLE_LOCALITY)')
    .summary('run one process of a service as part of a mesh')
    .description(
      'Supervises one process of a service and joins it to a mesh: a Node program with the data plane inside it, any other with a proxy of its own (a sidecar).',
    )
    .requiredOption('--service <name>', 'the service that the process is an instance of', name)
    .option('--in-process', 'have the data plane inside the process, or fail (Node 24 or newer)')
    .addOption(new Option('--sidecar', 'have a proxy beside the process, also where it is a Node program').conflicts(['inProcess']))
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .option('--port <port>', 'port on which the process listens (default: a free one; the process finds it in PORT)', port(1))
    .option('--instance <id>', 'name of the instance (default: the service and a random ending)', instanceName)
    .option('--uses <names>', 'services it calls, separated by commas (default: all others)', names)
    .option('--metadata <name=value>', 'what else is to be known about the instance; several times', metadata)
    .option(
      '--ports <name=port>',
      'other ports on which the process listens, for metrics for example; several times, or with commas',
      namedPorts,
    )
    .option('--control <host:port>', 'address of the control plane (default: that of the state directory)', hostPort)
    .option('--inbound-address <ip>', 'address at which other machines reach the proxy', '127.0.0.1')
    .option('--inbound-port <port>', 'port at which other instances reach this one; 0: a free one', port(0), 15_006)
    .option('--outbound-port <port>', 'port of the HTTP proxy of a sidecar; 0: a free one', port(0), 0)
    .addOption(
      new Option('--dns-port <port>', 'port on which a sidecar serves names by DNS (UDP and TCP), or "off"')
        .argParser(dnsPort(1))
        .default('off'),
    )
    .option('--admin-port <port>', "port of the data plane's admin API; 0: a free one", port(0), 0)
    .option('--proxy-workers <number>', 'processes that carry connections for a sidecar', workers, 1)
    .addOption(stateDirectory())
    .argument('<command...>', 'command of the process, after --')
    .addHelpText(
      'after',
      `${examples('heddle run --service orders --port 8080 -- node server.js', 'HEDDLE_JOIN_TOKEN=… heddle run --service orders --control 10.0.0.5:15010 --inbound-address 10.0.0.7 -- ./orders')}
A program is one of Node where node itself, or a script that Node runs (npm, npx, yarn,
pnpm, tsx), is started, in version 24 or newer. Options of a proxy (--outbound-port,
--dns-port, --proxy-workers) have one started.

Labels, metadata, ports and locality are shown with the instance to whoever
lists it. The join token is taken from HEDDLE_JOIN_TOKEN; without it one is made with the
operator token of the state directory. A token that is refused ends the command
with exit code 1; a control plane that cannot be reached is tried until it
answers.

Ctrl-C takes the instance out of rotation, lets running requests end and then
stops the process; Ctrl-C again stops everything at once.
`,
    )
    .action(result(async (command: string[], options: RunOptions) => (await import('../commands/run.ts')).run(command, options)));
}
