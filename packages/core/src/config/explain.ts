// zod's issues in words for people: what was expected and found at which path, and how to mend it.
import { z } from 'zod';
import type { Fault, Path } from './fault.ts';
import { isRecord, shown } from './fault.ts';
import type { Planned } from './planned.ts';
import { elsewhereKey, plannedKey, plannedValue } from './planned.ts';
import { EXPECTED } from './schema/fields.ts';
import { asLabel, listed, nearest } from './suggest.ts';

type Issue = z.core.$ZodIssue;

/** What a kind of file may hold. */
export interface FileForm {
  readonly schema: z.ZodType;
  readonly planned: Planned;
}

type TextOf = (path: Path) => string | undefined;

export function explainIssue(form: FileForm, issue: Issue, root: unknown, source: TextOf, base: Path = []): Fault[] {
  const path = [...base, ...(issue.path as Path)];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(form, [...path, key]));
  const value = valueAt(root, path);
  if (issue.code === 'invalid_union') {
    // A map is meant where the union has one: then its own issues say more than "expected this or that".
    const inside = issue.errors.find((branch) => (isRecord(value) || Array.isArray(value)) && branch.every(isInside));
    if (inside !== undefined) return inside.flatMap((inner) => explainIssue(form, inner, root, source, path));
  }
  return [wrongValue(form, path, value, source(path))];
}

function isInside(issue: Issue): boolean {
  if (issue.path.length > 0 || issue.code === 'unrecognized_keys') return true;
  return issue.code === 'invalid_union' && issue.errors.some((branch) => branch.length > 0 && branch.every(isInside));
}

function unknownKey(form: FileForm, path: Path): Fault {
  const key = String(path.at(-1));
  const instead = plannedKey(form.planned, path);
  if (instead !== undefined) return { path, on: 'key', reason: `${shown(key)} is not supported by this version of Heddle`, mend: instead };
  const place = elsewhereKey(form.planned, path);
  if (place !== undefined) return { path, on: 'key', reason: `${shown(key)} does not belong here`, mend: place };
  const known = knownKeys(schemaAt(form, path.slice(0, -1)));
  const meant = nearest(key, known);
  const mend = meant === undefined ? `remove it; known here: ${listed(known, 20)}` : `did you mean "${meant}"?`;
  return { path, on: 'key', reason: `unknown key ${shown(key)}`, mend };
}

function wrongValue(form: FileForm, path: Path, value: unknown, written: string | undefined): Fault {
  const schema = schemaAt(form, path);
  const expected = expectedAt(schema);
  const example = exampleAt(schema, path);
  if (value === undefined) return { path, on: 'key', reason: `is missing; expected ${expected}`, mend: `add ${example}` };
  if (value === null)
    return {
      path,
      on: 'key',
      reason: `has no value; expected ${expected}`,
      mend: isOptional(form, path) ? `write ${example}, or remove the key` : `write ${example}`,
    };
  const instead = plannedValue(form.planned, path, value);
  if (instead !== undefined) {
    const what = isRecord(value) ? 'a map here' : shown(value);
    return { path, on: 'value', reason: `${what} ${instead.reason}`, mend: instead.mend };
  }
  const reason = `expected ${expected}, found ${written ?? shown(value)}`;
  return { path, on: 'value', reason, mend: repair(schema, value, written) ?? `write ${example}` };
}

/** A small change after which the value would do, if there is one. */
function repair(schema: z.ZodType | undefined, value: unknown, written: string | undefined): string | undefined {
  const fits = (candidate: unknown): boolean => schema?.safeParse(candidate).success === true;
  if (typeof value === 'string') {
    const meant = nearest(value, choices(schema));
    if (meant !== undefined) return `did you mean "${meant}"?`;
    if (value.trim() !== '' && fits(Number(value))) return `remove the quotes: ${Number(value)}`;
    if (fits(value.trim())) return `remove the blanks around it: "${value.trim()}"`;
    if (!fits('Any Text') && fits(value.toUpperCase())) return `for example "${value.toUpperCase()}"`;
    if (!fits('x') && value !== '' && fits(`/${value}`)) return `for example "/${value}"`;
    // Where any text will do, another spelling of this one is no help.
    if (!fits('Any Text') && fits(asLabel(value))) return `for example "${asLabel(value)}"`;
  }
  if (typeof value === 'number' && fits(`${value}s`) && !fits(`${value}x`))
    return `add a unit: ${value}ms for milliseconds, ${value}s for seconds`;
  if (typeof value === 'number' && value < 1 && fits(`${value}%`))
    return `write "${Math.round(value * 1e6) / 1e4}%", or "${value}%" if so little is meant`;
  if (written !== undefined && fits(written)) return `put it in quotes: "${written}"`;
  return fits([value]) ? `make it a list: [${written ?? inline(value)}]` : undefined;
}

/** The schema for what stands at a path, optional and default wrappers taken off. */
function schemaAt(form: FileForm, path: Path): z.ZodType | undefined {
  return path.reduce<z.ZodType | undefined>((schema, step) => (schema === undefined ? undefined : child(schema, step)), form.schema);
}

function isOptional(form: FileForm, path: Path): boolean {
  const parent = schemaAt(form, path.slice(0, -1));
  const field = parent instanceof z.ZodObject ? (parent.shape[path.at(-1) as string] as z.ZodType | undefined) : undefined;
  return field === undefined || field.safeParse(undefined).success;
}

function child(schema: z.ZodType, step: string | number): z.ZodType | undefined {
  if (schema instanceof z.ZodObject) return Object.hasOwn(schema.shape, step) ? unwrap(schema.shape[step] as z.ZodType) : undefined;
  if (schema instanceof z.ZodRecord) return unwrap(schema.valueType as z.ZodType);
  if (schema instanceof z.ZodArray) return typeof step === 'number' ? unwrap(schema.element as z.ZodType) : undefined;
  if (schema instanceof z.ZodUnion) {
    return (schema.options as z.ZodType[]).map((option) => child(option, step)).find((found) => found !== undefined);
  }
  return undefined;
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrap(schema.unwrap() as z.ZodType);
  return schema;
}

function knownKeys(schema: z.ZodType | undefined): string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape);
  if (schema instanceof z.ZodUnion) return (schema.options as z.ZodType[]).flatMap(knownKeys);
  return [];
}

function choices(schema: z.ZodType | undefined): string[] {
  if (schema instanceof z.ZodEnum) return schema.options.map(String);
  if (schema instanceof z.ZodLiteral) return [...schema.values].map(String);
  if (schema instanceof z.ZodUnion) return (schema.options as z.ZodType[]).flatMap(choices).filter((word) => word !== '0');
  return [];
}

function expectedAt(schema: z.ZodType | undefined): string {
  return (schema && EXPECTED.get(schema)?.expected) ?? 'something else';
}

function exampleAt(schema: z.ZodType | undefined, path: Path): string {
  const examples = schema?.meta()?.examples;
  const key = path.at(-1);
  if (Array.isArray(examples) && examples.length > 0) return `"${typeof key === 'string' ? `${key}: ` : '- '}${inline(examples[0])}"`;
  return expectedAt(schema);
}

/** YAML on one line. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (isRecord(value)) {
    // A name that stands for nothing (an alias without an anchor) has a problem of its own.
    const known = Object.entries(value).filter(([, item]) => item !== undefined);
    const entries = known.map(([key, item]) => `${key}: ${inline(item)}`);
    return `{ ${entries.join(', ')} }`;
  }
  return typeof value === 'string' && value.trim() !== value ? `"${value}"` : String(value);
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (Array.isArray(value)) value = value[step as number];
    else if (isRecord(value)) value = value[step];
    else return undefined;
  }
  return value;
}
