export * from './collector.ts';
export * from './matcher.ts';
export * from './order.ts';
export * from './redaction.ts';
