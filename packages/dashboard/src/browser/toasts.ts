// Short messages about what has been done, which go away by themselves.
import { signal } from '@preact/signals';
import { machine } from './machine.ts';

const SHOWN_MS = 8_000;

export const toasts = signal<readonly { readonly id: number; readonly text: string }[]>([]);
let lastId = 0;

export function say(text: string): void {
  const id = (lastId += 1);
  toasts.value = [...toasts.value, { id, text }];
  machine.after(SHOWN_MS, () => dismiss(id));
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
