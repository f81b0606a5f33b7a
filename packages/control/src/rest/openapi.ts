// The OpenAPI 3.1 document, made from the table of operations and the schemas that requests are checked with.
import { z } from 'zod';
import { OPERATIONS } from './operations.ts';
import type { Answer, Operation } from './operations.ts';
import { PROBLEMS, problemBody, ProblemError } from './problems.ts';
import type { ProblemCode } from './problems.ts';
import { Problem } from './schema/common.ts';
import { TAP_EVENTS } from './schema/tap.ts';
import { WATCH_EVENTS } from './schema/watch.ts';

type Json = Record<string, unknown>;

const DESCRIPTION = `What the \`heddle\` command asks of a control plane, for programs and pages: the mesh, its services and instances, registration,
health, data planes, events, identities, join tokens, the replacement of the root, and a watch by server-sent events.

Every call but \`/healthz\`, \`/readyz\` and this document needs \`authorization: Bearer TOKEN\`, with the operator's token (the file \`operator.token\` in the state directory), a named one (\`heddle token create --admin\`) or that of a login. Each operation says which role it needs: viewers read, editors change what runs, the operator may do everything.
What goes wrong is told as \`application/problem+json\`. Unknown fields and parameters are errors.`;

const TAGS: readonly { readonly name: Operation['tag']; readonly description: string }[] = [
  { name: 'mesh', description: 'The mesh as a whole, mesh files' },
  { name: 'administration', description: 'Who administers the mesh, and what they have done' },
  { name: 'identities', description: 'Certificates, denied identities, join tokens, the root' },
  { name: 'services', description: 'Services of the mesh file' },
  { name: 'instances', description: 'Instances of services: registration, health, drain' },
  { name: 'proxies', description: 'Data planes, and what they report' },
  { name: 'traffic', description: 'Who calls whom, how much, how fast and how well' },
  { name: 'events', description: 'What has happened' },
  { name: 'watch', description: 'Changes as they happen' },
];

/** What any call may be answered with. */
const ALWAYS: readonly ProblemCode[] = ['MISDIRECTED', 'INTERNAL'];

export function openApiDocument(version: string): Json {
  const components = new Components();
  const paths: Record<string, Json> = {};
  for (const [id, operation] of Object.entries(OPERATIONS) as [string, Operation][])
    (paths[operation.url] ??= {})[operation.method.toLowerCase()] = operationObject(id, operation, components);
  for (const schema of [...Object.values(WATCH_EVENTS), ...Object.values(TAP_EVENTS)]) components.reference(schema, 'output');
  return {
    openapi: '3.1.1',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: { title: 'Heddle control plane', version, description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: 'http://127.0.0.1:15080', description: 'On the same machine' }],
    security: [{ token: [] }],
    tags: TAGS,
    paths,
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: "The operator's token, from `operator.token` in the state directory, a named one, or that of a login.",
        },
      },
      responses: problemResponses(components),
      schemas: components.schemas(),
    },
  };
}

function operationObject(id: string, operation: Operation, components: Components): Json {
  const { summary, tag, role } = operation;
  const description = [operation.description ?? '', role === undefined ? '' : `Needs the role \`${role}\`.`].join(' ').trim();
  const parameters = [...parametersOf('path', operation.path), ...parametersOf('query', operation.query), ...headersOf(operation)];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === '' ? {} : { description }),
    ...(role === undefined ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...requestBodyOf(operation, components),
    responses: responsesOf(operation, components),
  };
}

/** JSON, text, or either. */
function requestBodyOf({ body, bodyOptional, text }: Operation, components: Components): Json {
  if (body === undefined && text === undefined) return {};
  const asText = text?.mediaTypes.map((mediaType) => [mediaType, { schema: { type: 'string' }, example: text.example }]) ?? [];
  return {
    requestBody: {
      required: bodyOptional !== true,
      ...(text === undefined ? {} : { description: text.description }),
      content: {
        ...(body === undefined ? {} : { 'application/json': { schema: components.reference(body, 'input') } }),
        ...Object.fromEntries(asText),
      },
    },
  };
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return [];
  const { required = [] } = plainSchema(schema, 'input') as { required?: string[] };
  // As it is when it has been read: a number is a number, though it comes as text.
  const { properties = {} } = plainSchema(schema, 'output') as { properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    // `kinds=a,b`, but `label=a&label=b`: a label's value may have a comma.
    ...(property['type'] === 'array' ? { style: 'form', explode: name === 'label' } : {}),
    schema: property,
  }));
}

function headersOf({ conditional, tagged, method, answers }: Operation): Json[] {
  const header = (name: string, description: string, example: string): Json => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string', examples: [example] },
  });
  return [
    ...(conditional === true ? [header('if-match', 'Only when the resource has this entity tag.', '"41"')] : []),
    ...(conditional === true && method === 'PUT' ? [header('if-none-match', '`*`: only when there is no such resource.', '*')] : []),
    ...(tagged === true
      ? [header('if-none-match', 'An entity tag: when nothing has changed since, the answer is 304.', '"mguk2x80-42"')]
      : []),
    ...(answers[200]?.mediaType === 'text/event-stream'
      ? [header('last-event-id', 'The last `id` of an earlier stream, to go on from there.', 'mguk2x80.42.17.1111.')]
      : []),
  ];
}

function responsesOf(operation: Operation, components: Components): Json {
  const responses: Record<string, Json> = {};
  for (const [status, answer] of Object.entries(operation.answers)) responses[status] = answerObject(answer, operation, components);
  if (operation.tagged === true) responses['304'] = { description: 'Nothing has changed since the entity tag.' };
  for (const status of new Set(problemsOf(operation).map((code) => PROBLEMS[code].status)))
    responses[String(status)] = { $ref: `#/components/responses/${responseName(status)}` };
  return responses;
}

function answerObject(
  { description, schema, mediaType = 'application/json' }: Answer,
  { tagged, conditional }: Operation,
  components: Components,
): Json {
  return {
    description,
    ...(tagged === true || (conditional === true && schema !== undefined)
      ? { headers: { etag: { description: 'Entity tag.', schema: { type: 'string' } } } }
      : {}),
    ...(schema === undefined ? {} : { content: { [mediaType]: { schema: components.reference(schema, 'output') } } }),
  };
}

/** Everything that the operation may refuse with. */
export function problemsOf(operation: Operation): ProblemCode[] {
  const { body, text, role, conditional, method, problems = [] } = operation;
  const changes = method !== 'GET';
  const codes: ProblemCode[] = [
    ...ALWAYS,
    'INVALID',
    ...(body === undefined ? [] : (['BAD_JSON'] as const)),
    ...(body === undefined && text === undefined ? [] : (['UNSUPPORTED_MEDIA_TYPE', 'TOO_LARGE'] as const)),
    ...(role === undefined ? [] : (['UNAUTHENTICATED', 'LIMIT'] as const)),
    ...(role === undefined || role === 'viewer' ? [] : (['FORBIDDEN'] as const)),
    ...(changes ? (['FOREIGN_ORIGIN', 'UNAVAILABLE'] as const) : []),
    ...(conditional === true ? (['PRECONDITION_FAILED'] as const) : []),
    ...problems,
  ];
  return [...new Set(codes)];
}

function problemResponses(components: Components): Json {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of Object.keys(PROBLEMS) as ProblemCode[])
    byStatus.set(PROBLEMS[code].status, [...(byStatus.get(PROBLEMS[code].status) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      responseName(status),
      {
        description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(' '),
        content: {
          'application/problem+json': {
            schema: components.reference(Problem, 'output'),
            examples: Object.fromEntries(
              codes.map((code) => [
                code,
                { value: problemBody(new ProblemError(code, PROBLEMS[code].title.toLowerCase()), '/api/v1/services') },
              ]),
            ),
          },
        },
      },
    ]),
  );
}

function responseName(status: number): string {
  return `Problem${status}`;
}

/** Schemas with an id, each once; what refers to one says where it is. */
class Components {
  readonly #known = new Map<string, Json>();

  reference(schema: z.ZodType, io: 'input' | 'output'): Json {
    const { $schema: _, $defs = {}, ...root } = jsonSchema(schema, io);
    for (const [name, definition] of Object.entries($defs as Record<string, Json>)) this.#add(name, pointed(definition));
    return pointed(root);
  }

  schemas(): Json {
    return Object.fromEntries([...this.#known].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(name: string, schema: Json): void {
    const known = this.#known.get(name);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) throw new Error(`two schemas are called ${name}`);
    this.#known.set(name, schema);
  }
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  return z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    // That a number is one which JavaScript can hold goes without saying.
    override: ({ jsonSchema: made }) => {
      if (made.maximum === Number.MAX_SAFE_INTEGER) delete made.maximum;
      if (made.minimum === Number.MIN_SAFE_INTEGER) delete made.minimum;
    },
  });
}

/** Without references, for parameters. */
function plainSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $defs = {}, ...root } = jsonSchema(schema, io);
  const definitions = $defs as Record<string, Json>;
  return JSON.parse(JSON.stringify(root), (_, value: unknown) => {
    const { $ref: target, ...own } = (value ?? {}) as { $ref?: string };
    return target === undefined ? value : { ...definitions[target.replace('#/$defs/', '')], ...own };
  }) as Json;
}

/** References lead to the components of the document. */
function pointed(schema: Json): Json {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json;
}
