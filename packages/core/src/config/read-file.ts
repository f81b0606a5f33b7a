// What the kinds of configuration file have in common: text to checked values, or every problem at once, in the order of the file.
// Pure; never throws, whatever the text.
import type { z } from 'zod';
import type { FileForm } from './explain.ts';
import { explainIssue } from './explain.ts';
import type { Fault } from './fault.ts';
import { formatPath } from './fault.ts';
import type { Problem } from './problem.ts';
import type { Place, PlacedFault, Source } from './source.ts';
import { readYaml } from './source.ts';

/** A mesh of 1,000 services fits; more is a mistake or an attack. */
export const CONFIG_FILE_BYTES_MAX = 1_048_576;

export interface FileKind<S extends z.ZodType> extends FileForm {
  readonly schema: S;
  /** What no single field can tell, from the raw values. */
  readonly checkMeaning: (root: unknown) => Fault[];
  /** Mends. */
  readonly whenEmpty: string;
  readonly whenLarge: string;
}

export type ReadConfigFile<S extends z.ZodType> =
  /** There is an error among the problems. */
  | { readonly output?: undefined; readonly source?: undefined; readonly problems: readonly Problem[] }
  /** The problems are warnings. */
  | { readonly output: z.output<S>; readonly source: Source; readonly problems: readonly Problem[] };

/** @param path the file's name, for messages. */
export function readConfigFile<S extends z.ZodType>(kind: FileKind<S>, text: string, path: string): ReadConfigFile<S> {
  const refusal = refuse(kind, text);
  if (refusal !== undefined) return { problems: [problem(refusal, START, path)] };
  const { source, faults } = readYaml(text);
  if (source === undefined) return { problems: inOrder(faults.map((fault) => problem(fault, fault.place, path))) };
  if (source.value === null && faults.length === 0) return { problems: [problem(empty(kind.whenEmpty), START, path)] };
  const parsed = kind.schema.safeParse(source.value);
  const issues = parsed.success ? [] : parsed.error.issues.flatMap((issue) => explainIssue(kind, issue, source.value, source.textOf));
  const problems = collect(source, faults, [...issues, ...kind.checkMeaning(source.value)], path);
  if (!parsed.success || problems.some(({ severity }) => severity === 'error')) return { problems };
  return { output: parsed.data, source, problems };
}

/** What was found later, in its place among the rest. */
export function withFaults(problems: readonly Problem[], faults: readonly Fault[], source: Source, path: string): Problem[] {
  const taken = new Set(problems.map(({ where }) => where));
  return inOrder([...problems, ...collect(source, [], faults, path).filter(({ where }) => !taken.has(where))]);
}

const START: Place = { line: 1, column: 1 };

function empty(mend: string): Fault {
  return { path: [], on: 'value', reason: 'the file is empty', mend };
}

function refuse({ whenEmpty, whenLarge }: FileKind<z.ZodType>, text: string): Fault | undefined {
  if (text.length > CONFIG_FILE_BYTES_MAX || Buffer.byteLength(text) > CONFIG_FILE_BYTES_MAX)
    return { path: [], on: 'value', reason: 'the file is larger than 1 MiB', mend: whenLarge };
  return text.trim() === '' ? empty(whenEmpty) : undefined;
}

/** One problem per place: a second one would only say the same in other words. */
function collect(source: Source, placed: readonly PlacedFault[], faults: readonly Fault[], path: string): Problem[] {
  const taken = new Set(placed.map(({ path }) => JSON.stringify(path)));
  const problems = placed.map((fault) => problem(fault, fault.place, path));
  for (const fault of faults) {
    const key = JSON.stringify(fault.path);
    if (taken.has(key)) continue;
    taken.add(key);
    problems.push(problem(fault, source.placeOf(fault.path, fault.on), path));
  }
  return inOrder(problems);
}

function problem(fault: Fault, place: Place, path: string): Problem {
  const { severity = 'error', reason, mend } = fault;
  return { severity, path, line: place.line, column: place.column, where: formatPath(fault.path), reason, mend };
}

function inOrder(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}
