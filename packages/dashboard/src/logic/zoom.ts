// Which part of a picture is shown: moved and scaled, never so far that nothing of it is left.

export interface View {
  readonly scale: number;
  /** Of the picture's top left corner, in the frame. */
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

const SCALE_MIN = 0.2;
const SCALE_MAX = 2.5;
/** Larger than drawn it would look coarse. */
const FIT_MAX = 1.15;

/** All of the picture, in the middle of the frame. */
export function fitted(picture: Size, frame: Size): View {
  if (picture.width <= 0 || picture.height <= 0) return { scale: 1, x: 0, y: 0 };
  const scale = clamp(Math.min(frame.width / picture.width, frame.height / picture.height, FIT_MAX), SCALE_MIN, SCALE_MAX);
  return { scale, x: (frame.width - picture.width * scale) / 2, y: (frame.height - picture.height * scale) / 2 };
}

/** What is at the point of the frame stays there. */
export function zoomed(view: View, factor: number, at: { readonly x: number; readonly y: number }): View {
  const scale = clamp(view.scale * factor, SCALE_MIN, SCALE_MAX);
  const grown = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * grown, y: at.y - (at.y - view.y) * grown };
}

/** At least a corner of the picture stays in the frame. */
export function moved(view: View, dx: number, dy: number, picture: Size, frame: Size): View {
  const keep = 48;
  return {
    scale: view.scale,
    x: clamp(view.x + dx, keep - picture.width * view.scale, frame.width - keep),
    y: clamp(view.y + dy, keep - picture.height * view.scale, frame.height - keep),
  };
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), Math.max(min, max));
}
