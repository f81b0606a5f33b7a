export * from './duration.ts';
export * from './environment.ts';
export * from './json-schema.ts';
export * from './mesh.ts';
export * from './parse.ts';
export * from './problem.ts';
export { nearest } from './suggest.ts';
