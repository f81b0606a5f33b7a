// The door `@heddle/core/config`: reading the mesh file. Its result (`MeshConfig`) and the names of variables are in the main door.
export * from './access-cases.ts';
export * from './duration.ts';
export * from './json-schema.ts';
export type { ConfigFiles } from './named-files.ts';
export * from './parse.ts';
export * from './problem.ts';
export { parseStaticFile, type ParsedStaticFile } from './static-parse.ts';
export { nearest } from './suggest.ts';
