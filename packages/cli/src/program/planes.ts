// The commands that run one plane.
import { type Command, Option } from 'commander';
import type { ControlCommandOptions } from '../commands/control.ts';
import { claimedRole } from '../commands/login-options.ts';
import type { ProxyCommandOptions } from '../commands/proxy.ts';
import { answersOption, dnsPlace, dnsPort, forwardOption, refuseIdleOptions, ttlOption } from '../commands/dns-options.ts';
import { drainTime, hostPort, instanceName, lateRenewal, listenOrOff, port, timeToLive, workers } from '../options.ts';
import { examples, logFormat, logLevel, result, stateDirectory } from './parts.ts';
import type { Outcome } from './parts.ts';

export function addControl(program: Command): void {
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
    .addOption(
      new Option('--dns-listen <address:port>', 'where names are served by DNS (UDP and TCP), or "off"')
        .argParser(dnsPlace)
        .default({ host: '127.0.0.1', port: 15_053 }, '127.0.0.1:15053'),
    )
    .addOption(answersOption('instances'))
    .addOption(forwardOption())
    .addOption(ttlOption())
    .addOption(
      new Option('--rest-listen <address:port>', 'where to serve the REST API, or "off"')
        .argParser(listenOrOff)
        .default({ host: '127.0.0.1', port: 15_080 }, '127.0.0.1:15080'),
    )
    .addOption(
      new Option('--certificate-life <time>', 'how long certificates of workloads live').argParser(timeToLive).default(3_600_000, '1h'),
    )
    .addOption(
      new Option('--late-renewal <time>', 'how long after its end a certificate can be renewed with its key, or "never"')
        .argParser(lateRenewal)
        .default(604_800_000, '7d'),
    )
    .option(
      '--ca-passphrase-file <file>',
      'passphrase of the key that signs certificates (default: HEDDLE_CA_PASSPHRASE, else none); a root key that is not encrypted yet is encrypted with it',
    )
    .addOption(new Option('--ca-key-type <type>', 'kind of key of a root that is made').choices(['p256', 'ed25519']).default('p256'))
    .option(
      '--ca-cert <file>',
      'sign with this authority instead of a root of its own: its certificate, then those up to the root; changes of the file are followed',
    )
    .option('--ca-key <file>', 'its key')
    .option('--ca-roots <file>', 'the roots that certificates lead to, with --ca-cert or --ca-command')
    .option(
      '--ca-command <command>',
      'have certificates signed by a command: it reads the request (PEM) and writes the certificate with its chain (PEM)',
    )
    .addOption(new Option('--ca-command-timeout <time>', 'how long the command may take').argParser(timeToLive).default(10_000, '10s'))
    .option('--admin-issuer <url>', 'issuer (OpenID Connect) whose tokens let administrators in, besides the operator and named tokens')
    .option('--admin-audience <name>', 'for whom its tokens must be')
    .option('--admin-role-claim <claim>', 'where in a token the roles are, with dots on the way (default: roles)')
    .option(
      '--admin-role <value=role>',
      'which value of the claim is which role: viewer, editor, operator; several times (default: heddle-viewer, heddle-editor, heddle-operator)',
      claimedRole,
    )
    .option('--admin-roots <file>', "authorities that the issuer's server is trusted by, besides those of the platform")
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
    .hook('preAction', refuseIdleOptions('dnsListen'))
    .action(result(async (options: ControlCommandOptions) => (await import('../commands/control.ts')).control(options)));
}

export function addProxy(program: Command): void {
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
        'dnsPort',
        'joinTokenFile',
        'anonymousCalls',
        'drainWait',
        'stateDir',
      ]),
    )
    .option('--node <name>', 'name of the proxy in the mesh (default: that of this machine)', instanceName)
    .option('--control <host:port>', 'address of the control plane (default: that of the state directory)', hostPort)
    .option('--outbound-port <port>', 'port of the HTTP proxy through which services are called by name; 0: a free one', port(0), 15_001)
    .addOption(
      new Option('--dns-port <port>', 'port on which it serves names by DNS (loopback only, UDP and TCP); 0: a free one; or "off"')
        .argParser(dnsPort(0))
        .default('off'),
    )
    .addOption(answersOption('virtual'))
    .addOption(forwardOption())
    .addOption(ttlOption())
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
      new Option('--drain-wait <time>', 'how long other proxies are waited for before, until none of them chooses its workloads any more')
        .argParser(drainTime)
        .default(30_000, '30s'),
    )
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
    .hook('preAction', refuseIdleOptions('dnsPort'))
    .action(result(runProxy));
}

async function runProxy(options: ProxyCommandOptions): Outcome {
  if (options.static === undefined) return (await import('../commands/proxy.ts')).proxy(options);
  return (await import('../commands/proxy-static.ts')).proxyStatic(options.static, options);
}
