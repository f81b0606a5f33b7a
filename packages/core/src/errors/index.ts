export * from './lookup.ts';
export * from './markdown.ts';
export * from './table.ts';
