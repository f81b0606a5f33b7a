// docs/reference/mesh-file.md, from the JSON Schema of the mesh file: one row for each key, with its default and an example.

export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

export function meshFilePage(schema: Schema): string {
  const services = schema.properties?.['services'];
  const service = typeof services?.additionalProperties === 'object' ? services.additionalProperties : {};
  return `# The mesh file

<!-- Written by \`npm run docs\` from packages/core/src/config/schema/; change it there. -->

One YAML file, \`heddle.yaml\`, describes a mesh. \`heddle validate\` reads it and reports every problem at once, each with its
place, the reason and the mend. Unknown keys are errors, and so are keys that have no effect where they stand.

Durations are a number with a unit: \`250ms\`, \`2s\`, \`1m\`, \`1h\`; sizes too: \`512B\`, \`8KiB\`, \`1MiB\`. Percentages are a number with a sign, \`20%\` or \`0.5%\`; from 1% on the sign
may be left out. Relative paths are relative to the file. Texts with \`{\`, \`}\`, \`[\`, \`]\`, \`,\`, \`#\` or \`: \` in them need quotes. For
completion in an editor, put this line first:

\`\`\`yaml
# yaml-language-server: $schema=./packages/core/schema/heddle.schema.json
\`\`\`

## Top level

${table(schema)}

## A service

Each key below \`services\` is the name of a service: lower-case letters, digits and \`-\`, at most 63. Others reach it as
\`NAME.mesh.internal\`.

${table(service)}

${SERVICE_SECTIONS.map((path) => section(path.join('.'), service, path, path.length > 1 ? '###' : '##')).join('\n\n')}

${section('routes', schema, ['routes'])}

### A rule

${table(mapAt(schema, ...RULE))}

${RULE_SECTIONS.map((path) => section(path.join('.'), schema, [...RULE, ...path], '###')).join('\n\n')}

${section('egress', schema, ['egress'])}

${section('security', schema, ['security'])}

${SECURITY_SECTIONS.map(([title, path]) => section(title, schema, ['security', ...path], '###')).join('\n\n')}

${section('telemetry', schema, ['telemetry'])}

${section('telemetry.tracing', schema, ['telemetry', 'tracing'], '###')}

${section('telemetry.accessLog', schema, ['telemetry', 'accessLog'], '###')}

${section('discovery', schema, ['discovery'])}
`;
}

/** Maps below a service that have a table of their own. */
const SERVICE_SECTIONS = [
  ['health'],
  ['balance'],
  ['balance', 'hash'],
  ['sticky'],
  ['outlier'],
  ['retry'],
  ['hedge'],
  ['breaker'],
  ['concurrency'],
  ['rateLimit'],
  ['telemetry'],
  ['telemetry', 'tracing'],
  ['telemetry', 'accessLog'],
];
const RULE = ['routes', 'rules'];
const RULE_SECTIONS = [
  ['match'],
  ['match', 'path'],
  ['match', 'headers'],
  ['match', 'grpc'],
  ['to'],
  ['mirror'],
  ['headers'],
  ['headers', 'request'],
  ['rewrite'],
  ['rewrite', 'path'],
  ['redirect'],
  ['respond'],
  ['fault'],
  ['fault', 'delay'],
  ['fault', 'abort'],
];

const SECURITY_SECTIONS: readonly (readonly [title: string, path: readonly string[]])[] = [
  ['security.tls', ['tls']],
  ['security.issuers', ['issuers']],
  ['issuers.from', ['issuers', 'from']],
  ['issuers.keys', ['issuers', 'keys']],
  ['issuers.introspection', ['issuers', 'introspection']],
  ['security.access', ['access']],
  ['access.rules', ['access', 'rules']],
  ['rules.from', ['access', 'rules', 'from']],
  ['rules.to', ['access', 'rules', 'to']],
  ['access.roles', ['access', 'roles']],
  ['roles.permissions', ['access', 'roles', 'permissions']],
  ['access.authorizer', ['access', 'authorizer']],
  ['security.outbound', ['outbound']],
];

/** A section for the keys of a map, with what is said about it. */
function section(title: string, schema: Schema, path: readonly string[], level = '##'): string {
  const { description = '' } = mapAt(schema, ...path.slice(0, -1)).properties?.[path.at(-1) ?? ''] ?? {};
  return `${level} \`${title}\`\n\n${words(description)}\n\n${table(mapAt(schema, ...path))}`;
}

/** The map that stands below the keys, alone, in a list, or by a name. */
function mapAt(schema: Schema, ...path: readonly string[]): Schema {
  let map = schema;
  for (const key of path) {
    const inner = map.properties?.[key];
    const found = inner === undefined ? undefined : mapIn(inner);
    if (found === undefined) throw new Error(`the schema of the mesh file has no map at ${path.join('.')}`);
    map = found;
  }
  return map;
}

function mapIn(schema: Schema): Schema | undefined {
  if (schema.properties !== undefined) return schema;
  const named = typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : [];
  const inside = [...(schema.anyOf ?? []), ...(schema.items === undefined ? [] : [schema.items]), ...named];
  return inside.map(mapIn).find((found) => found !== undefined);
}

function table(schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([key, property]) => {
    const { description = '', examples = [] } = property;
    return `| \`${key}\` | ${cell(words(description))}${choices(property)} | ${standard(key, property, schema)} | ${cell(code(examples[0]))} |`;
  });
  return `| key | what it does | default | example |\n|---|---|---|---|\n${rows.join('\n')}`;
}

function choices({ enum: values, description = '' }: Schema): string {
  if (values === undefined || values.length < 2 || values.every((value) => description.includes(String(value)))) return '';
  return ` One of ${values.map((value) => `\`${String(value)}\``).join(', ')}.`;
}

/** Defaults that depend on something else stand in the description. */
function standard(key: string, property: Schema, parent: Schema): string {
  if (property.default !== undefined && !isEmpty(property.default)) return cell(code(property.default));
  return parent.required?.includes(key) === true ? 'required' : '';
}

function isEmpty(value: unknown): boolean {
  return value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}

function code(value: unknown): string {
  return value === undefined ? '' : `\`${inline(value)}\``;
}

/** As it would be written on one line of YAML. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value === 'string' && value.trim() !== value) return `"${value}"`;
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).map(([key, item]) => `${key}: ${inline(item)}`);
  return `{ ${entries.join(', ')} }`;
}

/** A name with a placeholder would be taken for HTML. */
function words(text: string): string {
  return text.replace(/<[A-Z]+>\w+/g, '`$&`');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
