export * from './output.ts';
