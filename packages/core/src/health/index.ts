export * from './active-check.ts';
export * from './verdict.ts';
