// The commands by which workloads and foreign data planes get an identity and their configuration.
import { type Command, Option } from 'commander';
import type { DenyOptions } from '../commands/identity-deny.ts';
import type { IdentityListOptions } from '../commands/identity-list.ts';
import type { IdentityShowOptions } from '../commands/identity-show.ts';
import type { IdentityWatchOptions } from '../commands/identity-watch.ts';
import type { TokenListOptions } from '../commands/token-list.ts';
import type { TokenOptions } from '../commands/token.ts';
import { hostPort, name, tokenTime } from '../options.ts';
import { examples, logFormat, logLevel, output, result, stateDirectory } from './parts.ts';

export function addToken(program: Command): void {
  const token = program
    .command('token')
    .summary('make, list and revoke tokens')
    .description(
      'Join tokens: how a new workload proves once which service it is of. And the named tokens of those who administer the mesh.',
    )
    .addHelpText('after', examples('heddle token create --service orders', 'heddle token list'));
  token
    .command('create')
    .summary('make a token')
    .description(
      'Makes a join token: usable once, bound to one service, ending by itself. With --admin, a token for somebody who administers the mesh, with a role. Prints it on standard output.',
    )
    .option('--service <name>', 'the service that may join with it', name)
    .option('--admin <name>', 'in place of --service: the name of who administers the mesh with it', name)
    .addOption(new Option('--role <role>', 'what may be done with it (default: viewer)').choices(['viewer', 'editor', 'operator']))
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .option(
      '--ttl <time>',
      'how long it can be used: 30s, 10m, 2h; of a service at most 7d (default: 1h), with --admin 366d (default: 30d)',
      tokenTime,
    )
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples(
        'heddle token create --service orders',
        'heddle token create --admin ann --role viewer --ttl 30d',
        'HEDDLE_JOIN_TOKEN=$(heddle token create --service orders --ttl 5m) heddle run --service orders -- ./orders',
      ),
    )
    .action(result(async (options: TokenOptions) => (await import('../commands/token.ts')).createToken(options)));
  token
    .command('list')
    .summary('list tokens')
    .description('Lists the join tokens that can be used. What is secret about them is not shown: nobody knows it any more.')
    .option('--all', 'also those that are used, have expired or were revoked, while they are remembered', false)
    .option('--admin', 'the named tokens of those who administer the mesh instead', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle token list', 'heddle token list --all -o json'))
    .action(result(async (options: TokenListOptions) => (await import('../commands/token-list.ts')).listTokens(options)));
  token
    .command('revoke')
    .summary('make a token useless')
    .description('Revokes a join token that has not been used yet, or a named token of somebody who administers the mesh.')
    .argument('<id>', 'as `heddle token list` shows it; with --admin the name')
    .option('--admin', 'it is a named token', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle token revoke 7dWq0aB2kXyZ', 'heddle token revoke --admin ann'))
    .action(
      result(async (id: string, options: Omit<TokenListOptions, 'all'>) =>
        (await import('../commands/token-list.ts')).revokeToken(id, options),
      ),
    );
}

export function addIdentity(program: Command): void {
  const identity = program
    .command('identity')
    .summary('list and deny identities, and keep them in files for other programs')
    .description('Identities: certificates of the mesh with their keys.')
    .addHelpText(
      'after',
      examples('heddle identity list', 'heddle identity deny orders', 'heddle identity watch --service orders --out /run/orders-identity'),
    );
  identity
    .command('watch')
    .summary('keep the identity of a service fresh in files')
    .description(
      'Joins the mesh as a service and keeps cert.pem, key.pem and ca.pem in a directory, renewed at half of their life, for programs that read them themselves: Envoy, gRPC clients, databases.',
    )
    .requiredOption('--service <name>', 'the service whose identity is kept', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .requiredOption('--out <dir>', 'directory of the files, made when it is not there')
    .option('--control <host:port>', 'address of the control plane (default: that of the state directory)', hostPort)
    .option('--join-token-file <file>', 'join token (default: HEDDLE_JOIN_TOKEN, else one is made with the operator token)')
    .addOption(new Option('--once', 'write the files, or see that they are fresh, and end').default(false).conflicts('xdsSocket'))
    .option('--renew', 'ask for a new certificate first, even if the present one is fresh', false)
    .option('--xds-socket <file>', 'also open a socket by which gRPC libraries that know no client certificates reach the control plane')
    .addOption(stateDirectory())
    .addOption(logLevel())
    .addOption(logFormat())
    .addHelpText(
      'after',
      `${examples(
        'heddle identity watch --service orders --out /run/orders-identity',
        'HEDDLE_JOIN_TOKEN=… heddle identity watch --service orders --control 10.0.0.5:15010 --out identity',
        'heddle identity watch --service orders --out identity --once',
      )}
cert.pem holds the certificate, key.pem its private key, ca.pem the roots of the
mesh. All three change in one step: they lead through the link \`..data\`, which is
moved into place as in a volume of Kubernetes. A program that watches the
directory for moves, or reads the files again now and then, never finds a
certificate beside another one's key.

What the directory holds is taken up by the next start, which then needs no join
token while the certificate is valid.
`,
    )
    .action(result(async (options: IdentityWatchOptions) => (await import('../commands/identity-watch.ts')).watchIdentity(options)));
  identity
    .command('show')
    .summary('show which identities are held')
    .description(
      'Shows the identities in a state directory or a directory of files, and until when they are valid. Exit code 1 when one is not.',
    )
    .option('--dir <dir>', 'directory of `heddle identity watch` (default: the state directory is looked at)')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle identity show', 'heddle identity show --dir /run/orders-identity -o json'))
    .action(result(async (options: IdentityShowOptions) => (await import('../commands/identity-show.ts')).showIdentity(options)));
  addIdentityAdministration(identity);
}

function addIdentityAdministration(identity: Command): void {
  identity
    .command('list')
    .summary('list the certificates that are valid now')
    .description('Lists the certificates that the authority has issued, that have not ended, and that were not renewed since.')
    .option('--denied', 'the identities that are denied instead', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle identity list', 'heddle identity list --denied -o json'))
    .action(result(async (options: IdentityListOptions) => (await import('../commands/identity-list.ts')).listIdentities(options)));
  identity
    .command('deny')
    .summary('take an identity away')
    .description(
      'Denies an identity: it gets no certificate and no join token any more, its connections to the control plane are closed, and all data planes refuse it and close its connections.',
    )
    .argument('<identity>', 'a service, NAMESPACE/SERVICE, or a SPIFFE id')
    .option('--reason <text>', 'why, for people')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples('heddle identity deny orders --reason "stolen laptop"', 'heddle identity deny spiffe://shop/ns/default/svc/orders'),
    )
    .action(
      result(async (name: string, options: DenyOptions) => (await import('../commands/identity-deny.ts')).denyIdentity(name, options)),
    );
  identity
    .command('allow')
    .summary('give a denied identity back')
    .description('Takes back what `heddle identity deny` did. What the mesh file denies stays denied.')
    .argument('<identity>', 'a service, NAMESPACE/SERVICE, or a SPIFFE id')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle identity allow orders'))
    .action(
      result(async (name: string, options: Omit<DenyOptions, 'reason'>) =>
        (await import('../commands/identity-deny.ts')).allowIdentity(name, options),
      ),
    );
}
