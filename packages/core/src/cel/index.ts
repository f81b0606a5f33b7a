// The door `@heddle/core/cel`: conditions of access rules in the Common Expression Language. Loads the library that reads them (some 2 MB), so
// data planes import it when a policy has a condition, and not before.
export * from './compile.ts';
export * from './syntax.ts';
