// The one place that says which package may import which. `npm run check -- --only layers` enforces it; ARCHITECTURE.md explains it.

/** Each package and the packages of ours it may import, besides itself. */
export const LAYERS = {
  wire: [],
  core: [],
  api: ['core'],
  runtime: ['wire', 'core'],
  dns: ['core', 'runtime'],
  dataplane: ['wire', 'core', 'api', 'runtime'],
  proxy: ['wire', 'core', 'runtime', 'dns', 'dataplane'],
  client: ['wire', 'core', 'api', 'runtime', 'dataplane'],
  control: ['core', 'api', 'runtime', 'dns'],
  dashboard: ['core'],
  cli: ['wire', 'core', 'api', 'runtime', 'dns', 'dataplane', 'proxy', 'client', 'control'],
};

/** What it may import besides, as types: the dashboard knows the answers of the REST API, and nothing of who gives them. */
const TYPES_OF = /** @type {Record<string, string[]>} */ ({ dashboard: ['^packages/control/src/rest/schema/index\\.ts$'] });

const ERROR = /** @type {const} */ ('error');

/** Modules of Node that touch the outside world. */
const NETWORK = '^(node:)?(net|tls|dgram|http2)$';
const WORLD = '^(node:)?(net|tls|dgram|http|https|http2|fs|fs/promises|child_process|worker_threads|cluster|dns|dns/promises|sqlite)$';
/** Tests and what only tests use: they may look around. */
const TEST = ['\\.test\\.ts$', '/testing/', '/test-support/', '/fixtures/', '-contract\\.ts$'];

const layerRules = Object.entries(LAYERS).map(([name, allowed]) => ({
  name: `layer-${name}`,
  comment: `${name} may import ${allowed.length === 0 ? 'no other package of ours' : allowed.join(', ')}.`,
  severity: ERROR,
  from: { path: `^packages/${name}/`, pathNot: TEST },
  to: {
    path: '^(packages|examples|tests|tools|bench)/',
    pathNot: [`^packages/(${[name, ...allowed].join('|')})/`, ...(TYPES_OF[name] ?? [])],
  },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...layerRules,
    {
      name: 'layer-unknown',
      comment: 'A package that is not in the table above has no rule: add it there.',
      severity: ERROR,
      from: { path: '^packages/', pathNot: `^packages/(${Object.keys(LAYERS).join('|')})/` },
      to: {},
    },
    {
      name: 'planes-apart',
      comment: 'Data planes and control plane speak xDS to one another and share no code, in tests neither.',
      severity: ERROR,
      from: { path: '^packages/(dataplane|proxy|client|control)/' },
      to: { path: '^packages/(proxy|client|control|cli)/', pathNot: '^packages/$1/' },
    },
    {
      name: 'control-apart',
      comment: 'The control plane carries no traffic.',
      severity: ERROR,
      from: { path: '^packages/control/' },
      to: { path: '^packages/dataplane/' },
    },
    {
      name: 'dashboard-imports-types-only',
      comment: 'What is imported from the control plane would be sent to every browser.',
      severity: ERROR,
      from: { path: '^packages/dashboard/' },
      to: { path: '^packages/control/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'generated-only-in-api',
      comment: 'Generated protobuf code is an edge format: api converts it, everything else uses the model.',
      severity: ERROR,
      from: { pathNot: '^packages/api/' },
      to: { path: '^packages/api/src/gen/' },
    },
    {
      name: 'pure-packages',
      comment: 'wire, core and api decide; runtime and the planes act.',
      severity: ERROR,
      from: { path: '^packages/(wire|core|api)/src/', pathNot: TEST },
      // node:tls in api: the credentials of a channel of grpc-js need its secure context, which opens nothing.
      to: { path: WORLD, pathNot: '^(node:)?tls$', dependencyTypes: ['core'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'pure-ports',
      comment: 'Ports are contracts; the drivers beside them act.',
      severity: ERROR,
      from: { path: '^packages/runtime/src/', pathNot: ['^packages/runtime/src/node/', ...TEST] },
      to: { path: WORLD, dependencyTypes: ['core'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'sockets-only-in-the-driver',
      comment: 'The data plane uses the Network port, so that it runs on a simulated network too.',
      severity: ERROR,
      from: { path: '^packages/(dataplane|proxy)/src/', pathNot: TEST },
      to: { path: NETWORK, dependencyTypes: ['core'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'data-planes-without-grpc-js',
      comment:
        'An application with a data plane in its process need not have grpc-js, and where it has, that one may be in the mesh itself.',
      severity: ERROR,
      from: { path: ['^packages/(wire|core|runtime|dataplane|proxy)/src/', '^packages/api/src/(?!grpc-js/)'], pathNot: TEST },
      to: { path: ['node_modules/@grpc/', '^packages/api/src/grpc-js/'] },
    },
    {
      name: 'no-cycles',
      comment: 'A cycle has no bottom to understand first.',
      severity: ERROR,
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      comment: 'An import that leads nowhere would hide a violation.',
      severity: ERROR,
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'tests-are-leaves',
      comment: 'Nothing that is shipped imports a test or what only tests use: the build leaves them out.',
      severity: ERROR,
      from: { path: '^packages/', pathNot: TEST },
      to: { path: TEST, pathNot: 'node_modules' },
    },
    {
      name: 'examples-stand-alone',
      comment: 'Example services are ordinary programs that know nothing of the mesh.',
      severity: ERROR,
      from: { path: '^examples/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(packages|tests|tools|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^packages/api/src/gen/'] },
    exclude: { path: ['/dist/'] },
    // Types count: an import of a type is a dependency too.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['heddle-source', 'import', 'require', 'node', 'default', 'types'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};
