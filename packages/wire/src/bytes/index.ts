export { Output, type ByteSink } from './output.ts';
