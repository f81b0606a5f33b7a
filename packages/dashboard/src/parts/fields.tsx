// What is filled in, each with its label.

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

interface TextProps extends FieldProps {
  readonly placeholder?: string;
  readonly required?: boolean;
  /** `grow`: it takes the room that is left. */
  readonly class?: 'grow';
}

export function Text({ label, value, onChange, ...more }: TextProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="text"
        autoComplete="off"
        spellcheck={false}
        {...more}
        value={value}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

export function Select({
  label,
  value,
  options,
  onChange,
}: FieldProps & { readonly options: readonly (readonly [value: string, text: string])[] }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
