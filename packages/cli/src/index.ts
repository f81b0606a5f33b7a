// The public door of @heddle/cli: the command line as a function, for tools that wrap it.
export { runCommandLine } from './program.ts';
export { VERSION } from './version.ts';
