// Where this machine is, as whoever set it up has told its environment.
import { type Locality, parseLocality } from '@heddle/core';
import { CliError } from '../errors.ts';

/** From HEDDLE_LOCALITY; undefined when it is not set. Throws CliError for a value that is none. */
export function localityOfMachine(environment: NodeJS.ProcessEnv = process.env): Locality | undefined {
  const text = environment['HEDDLE_LOCALITY'];
  if (text === undefined || text === '') return undefined;
  const found = parseLocality(text);
  if (found !== undefined) return found;
  throw new CliError(
    `HEDDLE_LOCALITY is ${JSON.stringify(text)}, which is no locality`,
    'write REGION/ZONE or REGION/ZONE/SUBZONE, for example eu-west/a',
    {
      exitCode: 2,
    },
  );
}
