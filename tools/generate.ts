// Makes packages/api/src/gen from the protobuf contracts: ours whole, Envoy's cut down twice. `gen/envoy` has what Heddle's own data planes
// follow (proto/envoy-subset.json): a field that is cut off is unknown to their decoder, and what is unknown gets rejected. `gen/foreign`
// has what is said to and read from Envoy and the gRPC libraries (proto/foreign-subset.json). Run it by `npm run generate`. Does nothing
// when the result is as new as everything it is made from; replaces it whole otherwise.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clone, create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponseSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type ServiceDescriptorProto,
} from '@bufbuild/protobuf/wkt';

const HERE = fileURLToPath(import.meta.url);
const ROOT = resolve(dirname(HERE), '..');
const API = join(ROOT, 'packages/api');
const PROTO = join(API, 'proto');
const OUTPUT = join(API, 'src/gen');
const STAMP = '.stamp';
/** On the file system of the output, so that renaming works, and ignored by git, so that a killed run leaves no trace there. */
const SCRATCH = join(API, 'node_modules/.cache/heddle-generate');

/** Erasable syntax only (no enums), imports with extension, oneofs as unions: what type stripping can run. */
const COMMON_OPTIONS = [
  'esModuleInterop=true',
  'importSuffix=.ts',
  'enumsAsLiterals=true',
  'oneof=unions-value',
  'outputJsonMethods=false',
  'useDate=false',
  'comments=false',
  'annotateFilesWithVersion=false',
  'exportCommonSymbols=false',
];
/** Services as descriptions without a library; `services/method.ts` makes of them what can be served and called. */
const OWN_OPTIONS = [...COMMON_OPTIONS, 'outputServices=generic-definitions'];
/** Unknown fields are kept, and messages say their type, so that what was cut off can be found and named. */
const ENVOY_OPTIONS = [
  ...COMMON_OPTIONS,
  'outputServices=none',
  'outputClientImpl=false',
  'outputPartialMethods=false',
  'useOptionals=all',
  'unknownFields=true',
  'outputTypeAnnotations=optional',
];

/** For messages that are written, or read by us without following them: fields unknown here do not matter. */
const FOREIGN_OPTIONS = [
  ...COMMON_OPTIONS,
  'outputServices=none',
  'outputClientImpl=false',
  'outputPartialMethods=false',
  'useOptionals=all',
  'outputTypeAnnotations=optional',
];
const ENVOY_SUBSET = 'envoy-subset.json';
const FOREIGN_SUBSET = 'foreign-subset.json';

interface Subset {
  /** The file it comes from, for errors. */
  readonly source: string;
  readonly files: readonly string[];
  readonly messages: Readonly<Record<string, readonly string[]>>;
  /** Fields that Envoy has got since the copy of its contracts that is compiled here, by message. */
  readonly newer?: Readonly<Record<string, readonly NewerField[]>>;
  /** What a control plane serves, with the methods that it has, for reflection. */
  readonly services?: Readonly<Record<string, readonly string[]>>;
}

interface NewerField {
  readonly name: string;
  readonly number: number;
  /** A message. */
  readonly type: string;
  readonly repeated?: true;
  readonly oneof?: string;
}

interface Tools {
  readonly protoc: string;
  readonly wellKnown: string;
  readonly plugin: string;
  /** The include folders with Envoy's contracts and what they import. */
  readonly envoy: readonly string[];
  readonly validate: string;
  /** Package manifests: their versions are part of the stamp. */
  readonly manifests: readonly string[];
}

/** Brings the generated code up to date. `fresh`: it was so already. Throws with what the compiler said when a contract is wrong. */
export async function generate(): Promise<'fresh' | 'generated'> {
  const tools = findTools();
  const stamp = inputsHash(tools);
  if (readStamp() === stamp) return 'fresh';
  sweepScratch();
  const work = join(SCRATCH, String(process.pid));
  const result = join(work, 'gen');
  mkdirSync(result, { recursive: true });
  try {
    await Promise.all([generateOwn(tools, work, result), generateEnvoy(tools, work, result), generateForeign(tools, work, result)]);
    writeFileSync(join(result, STAMP), stamp);
    swap(result, join(work, 'old'), stamp);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return 'generated';
}

async function generateOwn(tools: Tools, work: string, result: string): Promise<void> {
  const sources = protoFiles(PROTO);
  const files = await compile(tools, [PROTO], sources, join(work, 'own.pb'));
  // What travels inside of Envoy's resources is read as strictly as they are.
  const isExtension = (source: string): boolean => source.startsWith('heddle/config/');
  await Promise.all([
    runPlugin(
      tools,
      files,
      sources.filter((source) => !isExtension(source)),
      OWN_OPTIONS,
      join(result, 'own'),
    ),
    runPlugin(tools, files, sources.filter(isExtension), ENVOY_OPTIONS, join(result, 'own')),
  ]);
  writeFileSync(join(result, 'descriptors.ts'), descriptorsModule(files));
}

async function generateEnvoy(tools: Tools, work: string, result: string): Promise<void> {
  const subset = readSubset(ENVOY_SUBSET);
  const { all, kept } = await generateSubset(tools, subset, ENVOY_OPTIONS, join(work, 'envoy'), join(result, 'envoy'));
  writeFileSync(join(result, 'field-names.ts'), fieldNamesModule(all, subset));
  writeFileSync(join(result, 'envoy-descriptors.ts'), descriptorsModule(kept));
}

async function generateForeign(tools: Tools, work: string, result: string): Promise<void> {
  await generateSubset(tools, readSubset(FOREIGN_SUBSET), FOREIGN_OPTIONS, join(work, 'foreign'), join(result, 'foreign'));
}

function readSubset(name: string): Subset {
  return { source: name, ...(JSON.parse(readFileSync(join(PROTO, name), 'utf8')) as Omit<Subset, 'source'>) };
}

/** Gives the contracts as they were before they were cut down, and after. */
async function generateSubset(
  tools: Tools,
  subset: Subset,
  options: readonly string[],
  work: string,
  output: string,
): Promise<{ all: FileDescriptorProto[]; kept: FileDescriptorProto[] }> {
  const overlay = join(work, 'overlay');
  mkdirSync(join(overlay, 'validate'), { recursive: true });
  writeFileSync(join(overlay, 'validate/validate.proto'), patchValidate(readFileSync(tools.validate, 'utf8')));
  const all = await compile(tools, [overlay, ...tools.envoy], subset.files, join(work, 'contracts.pb'));
  addNewer(all, subset);
  const kept = prune(all, subset);
  const own = kept.filter((file) => file.messageType.length + file.enumType.length > 0).map((file) => file.name);
  const targets = own.filter((name) => !name.startsWith('google/protobuf/'));
  const wellKnown = kept.map((file) => file.name).filter((name) => name.startsWith('google/protobuf/'));
  await runPlugin(tools, kept, [...targets, ...wellKnown], options, output);
  return { all, kept };
}

/** Where npm put the tools. Binaries come inside the packages; nothing is looked up on PATH. */
function findTools(): Tools {
  const require = createRequire(HERE);
  const folder = (name: string): string => dirname(require.resolve(`${name}/package.json`));
  const protocFolder = folder('protoc');
  const assets = JSON.parse(readFileSync(join(protocFolder, 'assets.json'), 'utf8')) as {
    arch: string;
    platform: string;
    executable: string;
  }[];
  const asset = assets.find((candidate) => candidate.arch === process.arch && candidate.platform === process.platform);
  if (asset === undefined) throw new Error(`The npm package "protoc" has no compiler for ${process.platform} on ${process.arch}.`);
  const tsProto = folder('ts-proto');
  // The package's exports hide its manifest, so the folder is found by its entry.
  const xds = packageFolder(require.resolve('@grpc/grpc-js-xds'), '@grpc/grpc-js-xds');
  return {
    protoc: join(protocFolder, 'bin', asset.executable),
    wellKnown: join(protocFolder, 'include'),
    plugin: join(tsProto, 'build/src/plugin.js'),
    envoy: ['envoy-api', 'xds', 'googleapis'].map((name) => join(xds, 'deps', name)),
    validate: join(xds, 'deps/protoc-gen-validate/validate/validate.proto'),
    manifests: [protocFolder, tsProto, xds].map((at) => join(at, 'package.json')),
  };
}

function packageFolder(entry: string, name: string): string {
  const end = entry.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length;
  return entry.slice(0, end);
}

function protoFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.proto'))
    .sort();
}

function inputsHash(tools: Tools): string {
  const hash = createHash('sha256');
  const inputs = [HERE, join(PROTO, ENVOY_SUBSET), join(PROTO, FOREIGN_SUBSET), ...protoFiles(PROTO).map((name) => join(PROTO, name))];
  for (const path of inputs)
    hash
      .update(`${relative(ROOT, path)}\0`)
      .update(readFileSync(path))
      .update('\0');
  for (const path of tools.manifests)
    hash.update(String((JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version)).update('\0');
  return hash.digest('hex');
}

function readStamp(): string | undefined {
  try {
    return readFileSync(join(OUTPUT, STAMP), 'utf8');
  } catch {
    return undefined;
  }
}

/** What a killed run has left: the folders of processes that are gone. */
function sweepScratch(): void {
  let names: string[] = [];
  try {
    names = readdirSync(SCRATCH);
  } catch {
    return;
  }
  for (const name of names) {
    if (!isAlive(Number(name))) rmSync(join(SCRATCH, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Puts the new folder in the old one's place. Another run may do the same at this moment: whoever comes second keeps the other's. */
function swap(result: string, old: string, stamp: string): void {
  mkdirSync(dirname(OUTPUT), { recursive: true });
  try {
    renameSync(OUTPUT, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  try {
    renameSync(result, OUTPUT);
  } catch (error) {
    if (readStamp() !== stamp) throw error;
  }
}

/** Parses the files and everything they import. */
async function compile(tools: Tools, folders: readonly string[], files: readonly string[], output: string): Promise<FileDescriptorProto[]> {
  const includes = [...folders, tools.wellKnown].map((folder) => `-I${folder}`);
  const { code, stderr } = await run(
    tools.protoc,
    [...includes, '--include_imports', `--descriptor_set_out=${output}`, ...files],
    undefined,
  );
  if (code !== 0) throw new Error(`protoc rejects the contracts:\n${stderr.trimEnd()}`);
  return fromBinary(FileDescriptorSetSchema, readFileSync(output)).file;
}

/** Calls ts-proto as protoc would, but on the Node that runs now: the one on PATH may be too old for it. */
async function runPlugin(
  tools: Tools,
  files: FileDescriptorProto[],
  targets: readonly string[],
  options: readonly string[],
  output: string,
): Promise<void> {
  const request = create(CodeGeneratorRequestSchema, { fileToGenerate: [...targets], parameter: options.join(','), protoFile: files });
  const { code, stdout, stderr } = await run(process.execPath, [tools.plugin], toBinary(CodeGeneratorRequestSchema, request));
  if (code !== 0) throw new Error(`ts-proto failed:\n${stderr.trimEnd()}`);
  const response = fromBinary(CodeGeneratorResponseSchema, stdout);
  if (response.error !== '') throw new Error(`ts-proto failed: ${response.error}`);
  for (const file of response.file) {
    const path = join(output, file.name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file.content);
  }
}

function run(
  command: string,
  args: readonly string[],
  input: Uint8Array | undefined,
): Promise<{ code: number | null; stdout: Buffer; stderr: string }> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', (error) => fail(new Error(`cannot start ${command}: ${error.message}`)));
    child.on('close', (code) => done({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }));
    // A child that ends before it has read everything is reported by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

/** Adds the option `ignore_empty`, which Envoy's contracts use and the copy of validate.proto beside them lacks. */
function patchValidate(source: string): string {
  const numbers: Record<string, number> = { String: 26, Bytes: 14, Repeated: 6, Map: 6 };
  const without = new Set(['Field', 'Bool', 'Enum', 'Message', 'Any', 'Duration', 'Timestamp']);
  if (source.includes('ignore_empty')) return source;
  return source.replace(/^message (\w+)Rules \{/gm, (line, kind: string) =>
    without.has(kind) ? line : `${line}\n    optional bool ignore_empty = ${numbers[kind] ?? 8};`,
  );
}

function addNewer(files: readonly FileDescriptorProto[], { newer = {}, source }: Subset): void {
  const known = new Map<string, DescriptorProto>();
  for (const file of files) collectMessages(file.messageType, file.package, known);
  for (const [messageName, fields] of Object.entries(newer)) {
    const message = known.get(messageName);
    if (message === undefined) throw new Error(`${source}: there is no message ${messageName}`);
    for (const { name, number, type, repeated, oneof } of fields) {
      if (message.field.some((field) => field.name === name || field.number === number))
        throw new Error(`${source}: ${messageName} has the field ${name}, or one with its number, by itself`);
      const oneofIndex = message.oneofDecl.findIndex((decl) => decl.name === oneof);
      if (oneof !== undefined && oneofIndex === -1) throw new Error(`${source}: ${messageName} has no oneof ${oneof}`);
      message.field.push(
        create(FieldDescriptorProtoSchema, {
          name,
          number,
          jsonName: name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
          label: repeated === true ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
          type: FieldDescriptorProto_Type.MESSAGE,
          typeName: `.${type}`,
          ...(oneof !== undefined && { oneofIndex }),
        }),
      );
    }
  }
}

/** Leaves of each file the listed messages with the listed fields, the enums these use, and of the imports those still needed. */
function prune(files: readonly FileDescriptorProto[], subset: Subset): FileDescriptorProto[] {
  checkSubset(files, subset);
  const used = new Set<string>();
  const kept = files.map((file) => {
    if (file.package === 'google.protobuf') return file;
    const copy = clone(FileDescriptorProtoSchema, file);
    copy.options = undefined;
    copy.sourceCodeInfo = undefined;
    pruneServices(copy, subset, used);
    copy.extension = [];
    copy.messageType = pruneMessages(copy.messageType, copy.package, subset, used);
    return copy;
  });
  for (const file of kept) {
    if (file.package !== 'google.protobuf') pruneEnums(file, used);
  }
  return withoutUnused(kept, used, subset.source);
}

function pruneServices(file: FileDescriptorProto, subset: Subset, used: Set<string>): void {
  file.service = file.service.filter(({ name }) => subset.services?.[`${file.package}.${name}`] !== undefined);
  for (const service of file.service) {
    service.options = undefined;
    service.method = service.method.filter(({ name }) => subset.services?.[`${file.package}.${service.name}`]?.includes(name));
    for (const method of service.method) {
      method.options = undefined;
      used.add(method.inputType.slice(1)).add(method.outputType.slice(1));
    }
  }
}

function checkSubset(files: readonly FileDescriptorProto[], subset: Subset): void {
  const known = new Map<string, DescriptorProto>();
  for (const file of files) collectMessages(file.messageType, file.package, known);
  for (const [name, fields] of Object.entries(subset.messages)) {
    const message = known.get(name);
    if (message === undefined) throw new Error(`${subset.source}: there is no message ${name}`);
    const missing = fields.find((field) => !message.field.some((candidate) => candidate.name === field));
    if (missing !== undefined) throw new Error(`${subset.source}: ${name} has no field ${missing}`);
  }
  const services = new Map<string, ServiceDescriptorProto>(
    files.flatMap((file) => file.service.map((service) => [`${file.package}.${service.name}`, service] as const)),
  );
  for (const [name, methods] of Object.entries(subset.services ?? {})) {
    const service = services.get(name);
    if (service === undefined) throw new Error(`${subset.source}: there is no service ${name}`);
    const missing = methods.find((method) => !service.method.some((candidate) => candidate.name === method));
    if (missing !== undefined) throw new Error(`${subset.source}: ${name} has no method ${missing}`);
  }
}

function collectMessages(messages: readonly DescriptorProto[], scope: string, into: Map<string, DescriptorProto>): void {
  for (const message of messages) {
    const name = `${scope}.${message.name}`;
    into.set(name, message);
    collectMessages(message.nestedType, name, into);
  }
}

/** A message that is not listed stays, empty, only around a listed nested one. Entries of kept maps stay as they are. */
function pruneMessages(messages: DescriptorProto[], scope: string, subset: Subset, used: Set<string>): DescriptorProto[] {
  return messages.filter((message) => {
    const name = `${scope}.${message.name}`;
    const fields = subset.messages[name];
    const entries = message.nestedType.filter((nested) => nested.options?.mapEntry === true);
    message.field = message.field.filter((field) => fields?.includes(field.name));
    const keptEntries = entries.filter((entry) => message.field.some((field) => field.typeName === `.${name}.${entry.name}`));
    message.nestedType = [
      ...keptEntries,
      ...pruneMessages(
        message.nestedType.filter((nested) => !entries.includes(nested)),
        name,
        subset,
        used,
      ),
    ];
    message.options = undefined;
    message.extension = [];
    pruneOneofs(message);
    for (const field of [...message.field, ...keptEntries.flatMap((entry) => entry.field)]) {
      field.options = undefined;
      if (field.typeName !== '') used.add(field.typeName.slice(1));
    }
    return fields !== undefined || message.nestedType.length > 0;
  });
}

function pruneOneofs(message: DescriptorProto): void {
  const used = message.oneofDecl.map((_, index) => message.field.some((field) => oneofOf(field) === index));
  const renumbered = used.map((_, index) => used.slice(0, index).filter(Boolean).length);
  message.oneofDecl = message.oneofDecl.filter((_, index) => used[index]);
  for (const field of message.field) {
    const index = oneofOf(field);
    if (index !== undefined) field.oneofIndex = renumbered[index] ?? 0;
  }
}

/** `oneofIndex` reads as 0 where it is not set: the message itself says which. */
function oneofOf(field: FieldDescriptorProto): number | undefined {
  return Object.hasOwn(field, 'oneofIndex') ? field.oneofIndex : undefined;
}

function pruneEnums(file: FileDescriptorProto, used: ReadonlySet<string>): void {
  const keep = (scope: string) => (candidate: EnumDescriptorProto) => {
    candidate.options = undefined;
    for (const value of candidate.value) value.options = undefined;
    return used.has(`${scope}.${candidate.name}`);
  };
  file.enumType = file.enumType.filter(keep(file.package));
  const visit = (messages: readonly DescriptorProto[], scope: string): void => {
    for (const message of messages) {
      const name = `${scope}.${message.name}`;
      message.enumType = message.enumType.filter(keep(name));
      visit(message.nestedType, name);
    }
  };
  visit(file.messageType, file.package);
}

/** Drops files nothing refers to any more, and sets each file's imports to those that define what it uses. */
function withoutUnused(files: readonly FileDescriptorProto[], used: ReadonlySet<string>, source: string): FileDescriptorProto[] {
  const home = new Map<string, string>();
  for (const file of files) {
    for (const message of file.messageType) home.set(`${file.package}.${message.name}`, file.name);
    for (const candidate of file.enumType) home.set(`${file.package}.${candidate.name}`, file.name);
  }
  const homeOf = (type: string): string | undefined => {
    for (let name = type; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
      if (home.has(name)) return home.get(name);
    }
    return undefined;
  };
  const usedFiles = new Set([...used].map(homeOf));
  const kept = files.filter((file) =>
    file.package === 'google.protobuf'
      ? usedFiles.has(file.name)
      : file.messageType.length + file.enumType.length + file.service.length > 0,
  );
  for (const file of kept) {
    const types = new Set(
      file.service.flatMap(({ method }) => method.flatMap(({ inputType, outputType }) => [inputType.slice(1), outputType.slice(1)])),
    );
    collectTypes(file.messageType, types);
    const missing = [...types].find((type) => homeOf(type) === undefined);
    if (missing !== undefined) throw new Error(`${source}: ${file.name} uses ${missing}, which is not listed`);
    file.dependency = [...new Set([...types].map((type) => homeOf(type) as string))].filter((name) => name !== file.name).sort();
    file.publicDependency = [];
    file.weakDependency = [];
  }
  return kept;
}

function collectTypes(messages: readonly DescriptorProto[], into: Set<string>): void {
  for (const message of messages) {
    for (const field of message.field) {
      if (field.typeName !== '') into.add(field.typeName.slice(1));
    }
    collectTypes(message.nestedType, into);
  }
}

/** Names of the fields that were cut off, so that a rejection can say `access_log` and not `field 22`. */
function fieldNamesModule(files: readonly FileDescriptorProto[], subset: Subset): string {
  const messages = new Map<string, DescriptorProto>();
  for (const file of files) collectMessages(file.messageType, file.package, messages);
  const table: Record<string, Record<number, string>> = {};
  for (const [name, fields] of Object.entries(subset.messages)) {
    const cut = (messages.get(name)?.field ?? []).filter((field) => !fields.includes(field.name));
    if (cut.length > 0) table[name] = Object.fromEntries(cut.map((field) => [field.number, field.name]));
  }
  const type = 'Readonly<Record<string, Readonly<Record<number, string>>>>';
  const header = "// Generated by tools/generate.ts: fields of Envoy's messages that Heddle does not support, by message and number.";
  return `${header}
export const UNSUPPORTED_FIELDS: ${type} = ${JSON.stringify(table, null, 1)};
`;
}

/** Our contracts as descriptors, for gRPC reflection; a module, so that the built package carries it too. */
function descriptorsModule(files: readonly FileDescriptorProto[]): string {
  const entries = files.map((file) => {
    const bare = clone(FileDescriptorProtoSchema, file);
    bare.sourceCodeInfo = undefined;
    return `  ${JSON.stringify(file.name)}: '${Buffer.from(toBinary(FileDescriptorProtoSchema, bare)).toString('base64')}',\n`;
  });
  const header = '// Generated by tools/generate.ts: serialized FileDescriptorProto of each contract, base64.';
  return `${header}
export const DESCRIPTORS: Readonly<Record<string, string>> = {
${entries.join('')}};
`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === HERE) {
  try {
    const outcome = await generate();
    console.log(outcome === 'fresh' ? 'generated code is up to date' : `generated ${relative(ROOT, OUTPUT)}`);
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
