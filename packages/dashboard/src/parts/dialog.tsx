// A question that must be answered first: the browser's own dialog, which keeps the focus and closes with Escape.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import { ApiError } from '../api/http.ts';
import { Failure } from './basics.tsx';

export interface DialogProps {
  readonly title: string;
  /** What the button that does it says. */
  readonly action: string;
  readonly isDangerous?: boolean;
  /** When it resolves, the dialog closes; what it rejects with is shown. */
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Dialog({ title, action, isDangerous = false, onConfirm, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const busy = useSignal(false);
  const error = useSignal<ApiError | undefined>(undefined);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const confirm = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      error.value = failure instanceof ApiError ? failure : new ApiError(0, 'UNKNOWN', String(failure));
    } finally {
      busy.value = false;
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <h2 id="dialog-title">{title}</h2>
        {children}
        {error.value !== undefined && <Failure error={error.value} what="change" title="It was not changed" />}
        <div class="actions end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={isDangerous ? 'danger' : 'primary'} disabled={busy.value}>
            {busy.value ? 'Working …' : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
