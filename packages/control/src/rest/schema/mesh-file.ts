// The REST API's schema: the mesh file that holds, what another one would change, and weights of splits.
import { z } from 'zod';
import { FileProblem, Labels, namespaceName, revision, serviceName, time } from './common.ts';

/** A mesh file has 1 MiB at most; the key sets and authorities that it names come on top. */
export const MESH_FILE_BYTES_MAX = 4_194_304;

const ref = z.strictObject({ namespace: namespaceName, name: serviceName });
const fileRevision = z
  .int()
  .min(0)
  .meta({ description: 'Revision of the mesh file: one more with each change; the entity tag.', examples: [3] });

export const SplitPath = z.strictObject({
  namespace: namespaceName,
  service: serviceName,
  route: z
    .string()
    .min(1)
    .max(256)
    .meta({ description: 'Name of the rule, as `heddle get routes` shows it.', examples: ['canary'] }),
});

const wanted = z.strictObject({
  service: z
    .string()
    .max(127)
    .optional()
    .meta({ description: 'SERVICE or NAMESPACE/SERVICE; may be left out where labels tell destinations apart.' }),
  labels: Labels.optional(),
  weight: z.int().min(0).max(1_000_000).meta({ description: 'Shares are relative to the sum.' }),
});

export const NewSplit = z
  .strictObject({ weights: z.array(wanted).min(1).max(32).meta({ description: 'One for each destination of the rule.' }) })
  .meta({
    id: 'NewSplit',
    examples: [
      {
        weights: [
          { labels: { version: 'v1' }, weight: 90 },
          { labels: { version: 'v2' }, weight: 10 },
        ],
      },
    ],
  });

const split = {
  service: z.string().meta({ description: 'NAMESPACE/SERVICE.', examples: ['default/orders'] }),
  route: z.string().meta({ description: 'Name of the rule.' }),
  weights: z.array(z.strictObject({ service: ref, labels: Labels, weight: z.int().min(0) })),
};
const splitExample = {
  service: 'default/orders',
  route: 'canary',
  weights: [
    { service: { namespace: 'default', name: 'orders' }, labels: { version: 'v1' }, weight: 90 },
    { service: { namespace: 'default', name: 'orders' }, labels: { version: 'v2' }, weight: 10 },
  ],
};

export const Split = z.strictObject(split).meta({ id: 'Split', description: 'Weights of a rule.', examples: [splitExample] });
export const SplitAnswer = z.strictObject({ revision, fileRevision, ...split }).meta({
  id: 'SplitAnswer',
  description: 'The weights as they are then.',
  examples: [{ revision: 42, fileRevision: 3, ...splitExample }],
});

export const SplitList = z
  .strictObject({
    items: z.array(
      z.strictObject({
        ...split,
        inFile: z.array(z.int().min(0)).optional().meta({ description: 'Weights that the mesh file says, where they were changed since.' }),
      }),
    ),
  })
  .meta({
    id: 'SplitList',
    description: 'By service, in the order in which the rules are tried.',
    examples: [{ items: [{ ...splitExample, inFile: [95, 5] }] }],
  });

export const Difference = z
  .strictObject({
    kind: z.enum(['mesh', 'service', 'rule', 'egress', 'security', 'access-rule', 'issuer', 'outbound-token']),
    change: z.enum(['added', 'changed', 'removed']),
    name: z.string().meta({ description: 'NAMESPACE/SERVICE, also of a rule; HOST:PORT; a name; empty for the mesh as a whole.' }),
    rule: z.string().optional(),
    summary: z.string().meta({ description: 'What was added or removed, for people; else empty.' }),
    fields: z
      .array(
        z.strictObject({
          path: z.string().meta({ examples: ['action.to[orders{version=v2}].weight'] }),
          before: z.unknown().optional().meta({ description: 'Absent: there was none.' }),
          after: z.unknown().optional().meta({ description: 'Absent: there is none any more.' }),
        }),
      )
      .meta({ description: 'Of what changed.' }),
  })
  .meta({
    id: 'Difference',
    examples: [
      {
        kind: 'rule',
        change: 'changed',
        name: 'default/orders',
        rule: 'canary',
        summary: '',
        fields: [{ path: 'action.to[orders{version=v2}].weight', before: 10, after: 30 }],
      },
    ],
  });

export const MeshFile = z
  .strictObject({
    revision: fileRevision,
    origin: z.enum(['file', 'applied']).meta({
      description: '`file`: the one that the control plane was started with; `applied`: one that was sent since. Splits lie over either.',
    }),
    path: z.string().meta({ description: "Of the control plane's own file, on its machine; empty: there is none." }),
    text: z.string().optional().meta({ description: 'Of the file that holds, without splits.' }),
    applied: z.strictObject({ time, by: z.string() }).optional().meta({ description: 'When it was sent, and by whom.' }),
    splits: z.array(Split).meta({ description: 'Weights that were set since.' }),
    differences: z.array(Difference).meta({ description: "What holds otherwise than the control plane's own file says." }),
  })
  .meta({
    id: 'MeshFile',
    description: 'Where what holds comes from.',
    examples: [
      {
        revision: 3,
        origin: 'file',
        path: '/etc/heddle/heddle.yaml',
        text: 'mesh: shop\nservices:\n  orders: { port: 8081 }\n',
        splits: [],
        differences: [],
      },
    ],
  });

export const SentMeshFile = z
  .strictObject({
    text: z.string().max(MESH_FILE_BYTES_MAX),
    files: z
      .record(z.string().min(1).max(4_096), z.string())
      .default({})
      .meta({ description: 'What is in the files that it names (keys of issuers, authorities), by name as in the text; no secrets.' }),
  })
  .meta({ id: 'SentMeshFile', examples: [{ text: 'mesh: shop\nservices:\n  orders: { port: 8081 }\n', files: {} }] });

export const ApplyQuery = z.strictObject({
  dryRun: z
    .enum(['true', 'false', ''])
    .default('false')
    .meta({ description: '`true`, or without a value: nothing is changed; what would be is told.', examples: ['true'] }),
});

export const MeshFileChange = z
  .strictObject({
    revision,
    fileRevision,
    changes: z.array(Difference).meta({ description: 'Empty: the mesh is the same.' }),
    notes: z.array(z.string()).meta({ description: 'What the file says and this does not do, for people.' }),
    problems: z.array(FileProblem).meta({ description: 'Warnings about the file.' }),
  })
  .meta({ id: 'MeshFileChange', examples: [{ revision: 42, fileRevision: 3, changes: [], notes: [], problems: [] }] });
