export * from './active-check.ts';
export * from './verdict.ts';
export * from './distrust.ts';
export * from './outlier.ts';
export * from './stream-watch.ts';
