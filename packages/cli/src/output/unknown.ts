// A name that is none: what might be meant, or what there is.
import { CliError } from '../errors.ts';

const SHOWN_MAX = 20;

/** @param what `service` for example. @param see where all are listed. */
export async function unknownName(what: string, name: string, known: readonly string[], see: string): Promise<CliError> {
  // Only where it is needed: reading mesh files comes along.
  const { nearest } = await import('@heddle/core/config');
  const near = nearest(name, known);
  const all = known.length === 0 ? `there is no ${what} yet` : known.length > SHOWN_MAX ? `see ${see}` : `there are ${known.join(', ')}`;
  return new CliError(`there is no ${what} ${name}`, near === undefined ? all : `did you mean ${near}? Or see ${see}`);
}
