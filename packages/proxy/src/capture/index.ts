// The door `@heddle/proxy/capture`: pure, so that the command that uses it needs no proxy in its process.
export { chooseCallers, type UidChoice } from './callers.ts';
export { captureDifferences, counterIn } from './compare.ts';
export { type InstalledTable, readInstalled } from './installed.ts';
export { type CapturePlan, hostnameOf, planCapture, readVirtualServices, readWorkloads } from './plan.ts';
export { REMOVAL, renderRuleset } from './ruleset.ts';
export { CaptureError, TABLE } from './types.ts';
