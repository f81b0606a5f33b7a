export * from './control-table.ts';
export * from './table.ts';
