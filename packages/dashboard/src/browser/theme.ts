// Dark, light, or as the system has it.
import { effect, signal } from '@preact/signals';
import { recall, remember } from './machine.ts';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'heddle.theme';
const kept = recall('browser', KEY);

export const theme = signal<Theme>(THEMES.find((known) => known === kept) ?? 'auto');
/** Changes whenever colours do, for what is drawn and not styled. */
export const colours = signal(0);

effect(() => {
  if (theme.value === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
  remember('browser', KEY, theme.value === 'auto' ? undefined : theme.value);
  colours.value = colours.peek() + 1;
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  colours.value += 1;
});
