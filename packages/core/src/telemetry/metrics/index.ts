export * from './all.ts';
export * from './bounds.ts';
export * from './control.ts';
export * from './definition.ts';
export * from './labels.ts';
export * from './traffic.ts';
export * from './upkeep.ts';
