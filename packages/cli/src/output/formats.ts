// The formats of results. Apart from `format.ts`, so that reading the command line needs no table or YAML code.
export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];
