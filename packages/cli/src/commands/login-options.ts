// Where administrators of a control plane log in, as its options say it.
import { readFileSync } from 'node:fs';
import type { ControlOptions } from '@heddle/control';
import { InvalidArgumentError } from 'commander';
import { CliError } from '../errors.ts';

type Login = NonNullable<ControlOptions['login']>;
type Role = NonNullable<Login['roles']>[string];

export interface LoginCommandOptions {
  readonly adminIssuer?: string;
  readonly adminAudience?: string;
  readonly adminRoleClaim?: string;
  readonly adminRole?: Readonly<Record<string, Role>>;
  readonly adminRoots?: string;
}

const ROLES: readonly Role[] = ['viewer', 'editor', 'operator'];

/** `VALUE=ROLE`, the option several times. */
export function claimedRole(text: string, before: Readonly<Record<string, Role>> = {}): Record<string, Role> {
  const at = text.lastIndexOf('=');
  const role = ROLES.find((known) => known === text.slice(at + 1));
  if (at < 1 || role === undefined)
    throw new InvalidArgumentError(`expected VALUE=ROLE with a role of ${ROLES.join(', ')}, for example mesh-admins=operator.`);
  return { ...before, [text.slice(0, at)]: role };
}

/** Undefined: nobody logs in. Throws CliError. */
export function loginOf(options: LoginCommandOptions): Login | undefined {
  const { adminIssuer, adminAudience, adminRoleClaim, adminRole, adminRoots } = options;
  if (adminIssuer === undefined) {
    const idle = (['adminAudience', 'adminRoleClaim', 'adminRole', 'adminRoots'] as const).find((name) => options[name] !== undefined);
    if (idle === undefined) return undefined;
    throw new CliError(
      `--${idle.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is about an issuer`,
      'name it with --admin-issuer URL',
      {
        exitCode: 2,
      },
    );
  }
  if (adminAudience === undefined)
    throw new CliError('tokens of an issuer are for somebody', 'say for whom they must be with --admin-audience', { exitCode: 2 });
  return {
    issuer: adminIssuer,
    audience: adminAudience,
    ...(adminRoleClaim !== undefined && { roleClaim: adminRoleClaim.split('.') }),
    ...(adminRole !== undefined && { roles: adminRole }),
    ...(adminRoots !== undefined && { rootsPem: readRoots(adminRoots) }),
  };
}

function readRoots(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(
      `the roots ${path} cannot be read: ${(error as Error).message}`,
      'name a file with certificates (PEM) with --admin-roots',
      {
        cause: error,
      },
    );
  }
}
