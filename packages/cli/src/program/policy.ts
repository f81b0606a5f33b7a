// `heddle policy` and its commands: rules about access, without a running mesh.
import type { Command } from 'commander';
import type { PolicyTestOptions } from '../commands/policy-test.ts';
import { examples, output, result } from './parts.ts';

export function addPolicy(program: Command): void {
  const policy = program
    .command('policy')
    .summary('test rules about access')
    .description('Rules about access: what they decide, without a running mesh.')
    .addHelpText('after', examples('heddle policy test access-cases.yaml'));
  policy
    .command('test')
    .summary('test the rules of a mesh file against a table of cases')
    .description(
      'Decides about requests that a file lists, by the rules of a mesh file, and compares with what the file expects. Nothing is sent. Exit code 1 when a case comes out otherwise, with its place in the file and why.',
    )
    .argument('<cases>', 'file of cases')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .addOption(output())
    .addHelpText(
      'after',
      `${examples('heddle policy test access-cases.yaml', 'heddle policy test access-cases.yaml -f shop/heddle.yaml -o json')}
A file of cases:

  cases:
    - { name: web reads orders, from: web, to: orders, path: /orders/1, expect: allow }
    - { name: nobody deletes, from: web, to: orders, method: DELETE, path: /orders/1, expect: deny, rule: "" }
    - { name: staff only, from: web, to: admin, claims: { groups: [staff] }, expect: allow, rule: staff }
    - { name: without a token, from: web, to: admin, expect: 401 }

\`from\` is a service, NAMESPACE/SERVICE, operator, anyone (without a certificate) or a
SPIFFE id. Besides there are \`host\`, \`headers\`, \`issuer\`, \`address\`, \`time\` and
\`stream: true\`. Tokens count as valid; authorizers are not asked.
`,
    )
    .action(
      result(async (cases: string, options: PolicyTestOptions) => (await import('../commands/policy-test.ts')).policyTest(cases, options)),
    );
}
